"""Numbered frames as a film: order, gaps, facts, fixity, and files of the same kind for the result."""

from __future__ import annotations

import hashlib
import struct
import subprocess
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from frame_files import LIMITS, PATTERN, SIZE, Files, code_of, codes_of, dpx, opened, reel
from photo_files import pillow_file
from PIL import Image

from pipelines.errors import ItemError
from pipelines.media.film.facts import SLATE, FilmOptions, Frame, Timeline
from pipelines.media.film.sequence.listing import sequence_digest
from pipelines.media.film.sequence.names import frame_path
from pipelines.media.film.sequence.reader import open_sequence, ranges
from pipelines.media.film.slate import slate


def same(frames: list[Frame], others: list[Frame]) -> None:
    assert [frame.number for frame in frames] == [frame.number for frame in others]
    for frame, other in zip(frames, others, strict=True):
        np.testing.assert_array_equal(frame.pixels, other.pixels)
        assert frame.pixels.dtype == other.pixels.dtype


def test_a_whole_reel() -> None:
    numbers = list(range(998, 1010))
    files = reel(numbers)
    reader = opened(files, numbers[::-1])
    frames = list(reader.scan())
    assert [frame.number for frame in frames] == list(range(12))
    for number, frame in zip(numbers, frames, strict=True):
        expected = np.rint(codes_of(10, 3, SIZE, seed=number) / 1023 * 65535)
        np.testing.assert_array_equal(frame.pixels, expected)
    assert files.read == [frame_path(PATTERN, number) for number in numbers]
    assert reader.facts.to_dict() == {
        "format": "dpx sequence",
        "codec": "dpx",
        "width": 64,
        "height": 48,
        "channels": 3,
        "bit_depth": 10,
        "pixel_format": "rgb10 filled A big-endian",
        "rate": "24/1",
        "variable_rate": False,
        "time_base": "1/24",
        "pixel_aspect": "1/1",
        "rotation": 0,
        "field_order": "progressive",
        "deinterlaced": False,
        "colour_range": "full",
        "matrix": "rgb",
        "primaries": "bt709",
        "transfer": "bt709",
        "assumed": (),
        "timecode": "01:02:03:04",
        "streams": (),
        "warnings": (),
    }
    timeline = reader.timeline()
    assert timeline.to_dict() == {
        "pts": list(range(12)),
        "durations": [1] * 12,
        "origins": list(range(12)),
        "repeats": [False] * 12,
    }
    files.read.clear()
    # In another process, with nothing but the timeline.
    other = opened(files, numbers)
    part = list(other.frames(Timeline.from_dict(timeline.to_dict()), 3, 4))
    same(part, frames[3:7])
    assert files.read == [frame_path(PATTERN, number) for number in range(1001, 1005)]


def test_the_digest_is_that_of_sha256sum(tmp_path: Path) -> None:
    numbers = [1, 2, 4]
    files = reel(numbers)
    files[frame_path(PATTERN, 2)] = b"damaged"
    reader = opened(files, numbers)
    assert reader.digest == ""
    scan = reader.scan()
    next(scan)
    assert reader.digest == ""
    assert len(list(scan)) == 1
    for path, data in files.items():
        (tmp_path / path.rpartition("/")[2]).write_bytes(data)
    names = sorted(file.name for file in tmp_path.iterdir())
    listing = subprocess.run(["sha256sum", "--", *names], cwd=tmp_path, capture_output=True, check=True).stdout
    assert reader.digest == hashlib.sha256(listing).hexdigest()
    returned = hashlib.sha256(b"\\" + b"0" * 64 + b"  a\\rb\n").hexdigest()  # older sha256sum left these alone
    assert sequence_digest([("0" * 64, "a\rb")]) == returned
    odd = tmp_path / "odd"
    odd.mkdir()
    lines = []
    for name in ("a b é.dpx", "back\\slash.dpx", "line\nbreak.dpx", "z.dpx"):
        (odd / name).write_bytes(name.encode())
        lines.append((hashlib.sha256(name.encode()).hexdigest(), name))
    run = subprocess.run(["sha256sum", *(name for _, name in lines)], cwd=odd, capture_output=True, check=True)
    assert sequence_digest(lines) == hashlib.sha256(run.stdout).hexdigest()


@pytest.mark.parametrize("fill", ["repeat", "slate"])
def test_gaps_are_filled(fill: str) -> None:
    there = [10, 11, 14, 15, 17]
    files = reel(there)
    files[frame_path(PATTERN, 10)] = files[frame_path(PATTERN, 10)][:5000]  # cut off: the first frame is missing, too
    files[frame_path(PATTERN, 15)] = b""
    reader = opened(files, there, tolerate_gaps=5, gap_fill=fill)
    frames = list(reader.scan())
    assert len(frames) == 3
    timeline = reader.timeline()
    assert len(timeline) == 8
    assert timeline.filled == [0, 2, 3, 5, 6]
    assert timeline.pts.tolist() == list(range(8))
    if fill == "repeat":
        assert timeline.origins.tolist() == [0, 0, 0, 0, 1, 1, 1, 2]
        assert timeline.repeats.tolist() == [True, False, True, True, False, True, True, False]
        expected = [frames[origin].pixels for origin in timeline.origins]
    else:
        assert timeline.origins.tolist() == [SLATE, 0, SLATE, SLATE, 1, SLATE, SLATE, 2]
        assert not timeline.repeats.any()
        slates = {number: slate(*SIZE, np.uint16, str(10 + number)) for number in timeline.filled}
        expected = [slates.get(k, frames[max(timeline.origins[k], 0)].pixels) for k in range(8)]
    want = [Frame(number, pixels) for number, pixels in enumerate(expected)]
    for first in range(8):
        for count in range(1, 9 - first):
            same(list(opened(files, there).frames(timeline, first, count)), want[first : first + count])
    assert reader.facts.timecode == ""  # that of the first frame is not known
    assert any(line.startswith("2 frame files are damaged: reel/shot.0010.dpx: ") for line in reader.facts.warnings)
    # What the restored file of each takes its header from: of two as near, the one before.
    originals = [reader.original(timeline, number) for number in range(8)]
    assert originals == [frame_path(PATTERN, number) for number in (11, 11, 11, 14, 14, 14, 17, 17)]
    assert [reader.path(number) for number in (0, 7)] == [frame_path(PATTERN, 10), frame_path(PATTERN, 17)]


def test_of_two_frames_as_near_the_one_before_lends_its_header() -> None:
    reader = opened(reel([1, 3, 7]), [1, 3, 7], tolerate_gaps=9)
    list(reader.scan())
    originals = [reader.original(reader.timeline(), number) for number in range(7)]
    assert originals == [frame_path(PATTERN, number) for number in (1, 1, 3, 3, 3, 7, 7)]


def test_remarks_say_how_many_frames_they_are_of() -> None:
    files = reel([1, 2, 3])
    files[frame_path(PATTERN, 2)] = dpx(2, fields={1928: b"\1"})
    reader = opened(files, [1, 2, 3])
    list(reader.scan())
    remark = "the header says that frames are interlaced: they were taken as they are (1 of 3 frames)"
    assert reader.facts.warnings == (remark,)


def test_too_many_missing_are_named() -> None:
    there = [*range(1, 12), *range(15, 80), 81]
    files = reel(there, lambda number: dpx(1, size=(8, 8)))
    files[frame_path(PATTERN, 40)] = b"no frame"
    del files[frame_path(PATTERN, 41)]  # listed, but gone
    reader = opened(files, there, tolerate_gaps=5)
    assert len(list(reader.scan())) == 75
    with pytest.raises(ItemError) as caught:
        reader.timeline()
    assert str(caught.value) == (
        "missing_frames: reel/shot.%04d.dpx: 6 frames are missing (2 of them cannot be read or decoded), more than the 5 of "
        "--tolerate-gaps: 12-14, 40-41, 80; find them, or fill them with --tolerate-gaps 6"
    )
    reader = opened(reel([1, 3], lambda number: dpx(1, size=(8, 8))), [1, 3])
    assert len(list(reader.scan())) == 2
    with pytest.raises(ItemError, match=r"1 frame is missing, more than the 0 of --tolerate-gaps: 2; "):
        reader.timeline()


def test_ranges() -> None:
    assert ranges(np.array([5])) == "5"
    assert ranges(np.array([1, 2, 3, 7, 9, 10])) == "1-3, 7, 9-10"
    assert ranges(np.arange(0, 100, 2), most=3) == "0, 2, 4 and 47 more"


def test_what_is_no_film() -> None:
    assert code_of(lambda: opened(Files(), [])).code == "no_frames"
    files = reel([1, 2], lambda number: b"no frame")
    error = code_of(lambda: list(opened(files, [1, 2]).scan()))
    assert str(error).startswith(
        "no_frames: reel/shot.%04d.dpx: not one frame can be decoded; the first: reel/shot.0001.dpx: "
    )
    assert code_of(lambda: opened(Files(), list(range(11)), max_frames=10)).code == "too_many_frames"
    assert code_of(lambda: opened(Files(), [1, 2, 12], max_frames=10, tolerate_gaps=9)).code == "too_many_frames"
    far = code_of(lambda: opened(Files(), [1, 2, 10**15], max_frames=1000))
    assert far.code == "missing_frames"
    assert f"3-{10**15 - 1};" in far.reason
    with pytest.raises(RuntimeError):
        opened(files, [1]).timeline()
    assert code_of(lambda: list(opened(reel([1]), [1], max_pixels=48 * 64 - 1).scan())).code == "too_many_pixels"


@pytest.mark.parametrize(
    "odd",
    [
        dpx(3, size=(48, 63)),
        dpx(3, bits=12),
        dpx(3, packing=2),
        dpx(3, transfer=1),
        pillow_file(Image.new("RGB", (64, 48)), "PNG"),
    ],
)
def test_all_frames_are_alike(odd: bytes) -> None:
    files = reel([1, 2, 3, 4])
    timeline_of = opened(files, [1, 2, 3, 4])
    list(timeline_of.scan())
    files[frame_path(PATTERN, 3)] = odd
    error = code_of(lambda: list(opened(files, [1, 2, 3, 4]).scan()))
    assert error.code == "unsupported"
    assert error.reason.startswith("reel/shot.0003.dpx: is ")
    assert code_of(lambda: list(opened(files, [1, 2, 3, 4]).frames(timeline_of.timeline(), 0, 4))).code == "unsupported"


def test_a_sequence_that_changed_after_the_scan() -> None:
    reader = opened(reel([1, 2, 3, 4]), [1, 2, 3, 4])
    list(reader.scan())
    assert reader.original(reader.timeline(), 1) == frame_path(PATTERN, 2)
    other = Timeline(*(np.arange(4), np.ones(4, int), np.array([0, 0, 1, 2]), np.array([False, True, False, False])))
    assert reader.original(other, 1) == frame_path(PATTERN, 1)
    for numbers in ([1, 2, 3], [1, 2, 4], [1, 2, 3, 4, 5]):
        changed = opened(reel(numbers), numbers)
        assert code_of(lambda changed=changed: list(changed.frames(reader.timeline(), 0, 1))).code == "unreadable"


def test_rates() -> None:
    silent = {1724: b"\xff" * 4, 1940: b"\xff" * 4}
    reader = opened(files := reel([1], lambda number: dpx(1, fields=silent)), [1], rate="24000/1001")
    list(reader.scan())
    assert (reader.facts.rate, reader.facts.time_base) == ("24000/1001", "1001/24000")
    assert any("24000/1001 a second were assumed" in line for line in reader.facts.warnings)
    files[frame_path(PATTERN, 2)] = dpx(2, fields={1724: struct.pack(">f", 18)})
    reader = opened(files, [1, 2], rate="25")
    list(reader.scan())
    assert reader.facts.rate == "25/1"
    assert any("differ in their rate" in line for line in reader.facts.warnings)


def test_a_lone_frame_without_a_number() -> None:
    files = Files({"titles/50%.dpx": dpx(1)})
    reader = opened(files, [0], "titles/50%%.dpx")
    assert len(list(reader.scan())) == 1
    assert len(list(reader.frames(reader.timeline(), 0, 1))) == 1


def test_memory_stays_flat() -> None:
    data = dpx(1, size=(240, 320))
    numbers = list(range(120))

    def peak(count: int) -> int:
        reader = open_sequence(PATTERN, numbers[:count], lambda path: data, FilmOptions(), LIMITS)
        tracemalloc.start()
        for _ in reader.scan():
            pass
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found

    peak(2)
    assert peak(120) < peak(4) + 400_000  # a frame takes 460,800 bytes


@pytest.mark.parametrize("size", [(48, 64), (480, 720), (7, 5), (1, 1)])
def test_slates(size: tuple[int, int]) -> None:
    grey, wide = slate(*size, np.uint8, "17"), slate(*size, np.uint16, "17")
    assert grey.shape == wide.shape == (*size, 3)
    assert (grey.dtype, wide.dtype) == (np.uint8, np.uint16)
    np.testing.assert_array_equal(wide, grey.astype(np.uint16) * 257)
    np.testing.assert_array_equal(grey, slate(*size, np.uint8, "17"))
    if min(size) >= 48:
        assert (grey != slate(*size, np.uint8, "18")).any()
        assert np.median(grey) < 64  # dark
        height, width = size
        for row, column in ((height // 10, width // 10), (height // 10, width - 1 - width // 10)):  # the cross
            assert grey[row - 2 : row + 3, column - 2 : column + 3].max() > 120
        assert grey[height // 3 : 2 * height // 3, width // 4 : 3 * width // 4].max() > 120  # the words
