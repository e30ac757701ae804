"""Segments come back bit for bit with their record, and damage never goes unnoticed."""

from __future__ import annotations

import io
import struct
import tracemalloc
from functools import partial
from pathlib import Path

import av
import numpy as np
import pytest

from pipelines.media.film.write.segment_file import SegmentWriter, read_record, read_segment

RECORD = {"warnings": ["a line", "äöü 日本"], "seconds": 1.5, "caption": None, "first": 7}


def frames_of(count: int, width: int, height: int, seed: int = 0) -> list[np.ndarray]:
    """Noise over the whole range, with both ends."""
    rng = np.random.default_rng(seed)
    frames = [rng.integers(0, 65536, (height, width, 3), dtype=np.uint16) for _ in range(count)]
    frames[0][0, 0], frames[0][0, 1] = (0, 65535, 0), (65535, 0, 65535)
    return frames


def written(path: Path, frames: list[np.ndarray]) -> Path:
    height, width = frames[0].shape[:2]
    with SegmentWriter(path, width=width, height=height) as writer:
        for frame in frames:
            writer.write(frame)
        writer.finish(RECORD)
    return path


def read(path: Path) -> list[np.ndarray]:
    return list(read_segment(partial(str, path)))


@pytest.mark.parametrize(("width", "height"), [(64, 48), (75, 33), (3, 2), (2, 3), (257, 9)])
def test_frames_and_record_come_back(tmp_path: Path, width: int, height: int) -> None:
    frames = frames_of(4, width, height)
    path = written(tmp_path / "a b:c.mkv", frames)
    for got, wanted in zip(read(path), frames, strict=True):
        assert got.dtype == np.uint16
        np.testing.assert_array_equal(got, wanted)
    assert read_record(partial(str, path)) == RECORD


def test_it_is_read_from_an_open_file(tmp_path: Path) -> None:
    frames = frames_of(3, 32, 24)
    data = written(tmp_path / "part", frames).read_bytes()
    assert read_record(lambda: io.BytesIO(data)) == RECORD
    np.testing.assert_array_equal(np.stack(list(read_segment(lambda: io.BytesIO(data)))), np.stack(frames))


def test_players_see_plain_ffv1(tmp_path: Path) -> None:
    frames = frames_of(5, 64, 48)
    with av.open(str(written(tmp_path / "part.mkv", frames))) as container:
        stream = container.streams.video[0]
        assert (container.format.name, stream.codec_context.name) == ("matroska,webm", "ffv1")
        packets = [packet for packet in container.demux(stream) if packet.size]
        decoded = [frame.to_ndarray() for packet in packets for frame in packet.decode()]
        assert all(packet.is_keyframe for packet in packets)
        assert stream.codec_context.pix_fmt == "gbrp16le"
    np.testing.assert_array_equal(np.stack(decoded), np.stack(frames))


def test_same_frames_give_the_same_bytes(tmp_path: Path) -> None:
    frames = frames_of(3, 64, 48)
    assert written(tmp_path / "a", frames).read_bytes() == written(tmp_path / "b", frames).read_bytes()


def test_no_frame_at_all(tmp_path: Path) -> None:
    with SegmentWriter(tmp_path / "part", width=8, height=8) as writer:
        writer.finish(RECORD)
    assert read_record(partial(str, tmp_path / "part")) == RECORD
    assert read(tmp_path / "part") == []


def test_every_cut_is_noticed(tmp_path: Path) -> None:
    data = written(tmp_path / "part", frames_of(3, 16, 12)).read_bytes()
    for length in [0, 1, 55, 56, 57, len(data) // 2, len(data) - 200, len(data) - 1]:
        (tmp_path / "cut").write_bytes(data[:length])
        for reader in (read_record, lambda opener: list(read_segment(opener))):
            with pytest.raises(ValueError, match="restore the segment again"):
                reader(partial(str, tmp_path / "cut"))


def test_bytes_missing_in_the_middle_are_noticed(tmp_path: Path) -> None:
    data = written(tmp_path / "part", frames_of(3, 16, 12)).read_bytes()
    (tmp_path / "part").write_bytes(data[:900] + data[950:])
    with pytest.raises(ValueError, match="length is not what it was"):
        read(tmp_path / "part")


def test_no_flipped_bit_changes_a_frame_unseen(tmp_path: Path) -> None:
    frames = frames_of(3, 16, 12)
    data = written(tmp_path / "part", frames).read_bytes()
    noticed, positions = 0, range(0, len(data), 37)
    for position in positions:
        damaged = bytearray(data)
        damaged[position] ^= 0x10
        (tmp_path / "part").write_bytes(damaged)
        try:
            got = read(tmp_path / "part")
        except ValueError:
            noticed += 1
        else:  # the bit means nothing to the frames, such as one of the index
            np.testing.assert_array_equal(np.stack(got), np.stack(frames))
    assert noticed > 0.8 * len(positions)  # most of the file is frames


def test_frames_that_the_record_misses_are_noticed(tmp_path: Path) -> None:
    """The frames of a short segment under the record of a long one."""
    frames = frames_of(5, 64, 48)
    long, short = (written(tmp_path / "part", frames[:count]).read_bytes() for count in (5, 3))
    (_, _, record, magic), (_, length, _, _) = (struct.unpack(">32sQQ8s", data[-56:]) for data in (long, short))
    end = long[-56:-24] + struct.pack(">QQ8s", length, record, magic)
    behind = long[-56 - record - 9 : -56]
    (tmp_path / "part").write_bytes(short[:length] + behind + end)
    with pytest.raises(ValueError, match="has 3 frames and should have 5"):
        read(tmp_path / "part")


def test_a_damaged_frame_is_named(tmp_path: Path) -> None:
    frames = frames_of(5, 64, 48)
    data = bytearray(written(tmp_path / "part", frames).read_bytes())
    data[len(data) // 2] ^= 1  # in the third of five frames of equal size
    (tmp_path / "part").write_bytes(data)
    reader = read_segment(partial(str, tmp_path / "part"))
    np.testing.assert_array_equal([next(reader), next(reader)], frames[:2])
    with pytest.raises(ValueError, match="frame 2 of the segment is damaged"):
        next(reader)


def test_a_file_of_another_kind(tmp_path: Path) -> None:
    (tmp_path / "part").write_bytes(b"\0" * 4096)
    with pytest.raises(ValueError, match="something else"):
        read_record(partial(str, tmp_path / "part"))


def test_an_error_while_writing_stays_the_error_and_leaves_no_segment(tmp_path: Path) -> None:
    with pytest.raises(KeyError, match="mine"), SegmentWriter(tmp_path / "part", width=8, height=8) as writer:
        writer.write(np.zeros((8, 8, 3), np.uint16))
        raise KeyError("mine")
    with pytest.raises(ValueError, match="cut off"):
        read_record(partial(str, tmp_path / "part"))


def test_a_long_segment_takes_no_more_memory(tmp_path: Path) -> None:
    def peak(count: int) -> int:
        tracemalloc.start()
        with SegmentWriter(tmp_path / "part", width=64, height=48) as writer:
            frame = np.zeros((48, 64, 3), np.uint16)
            for _ in range(count):
                writer.write(frame)
            writer.finish({})
        for _ in read_segment(partial(str, tmp_path / "part")):
            pass
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most

    peak(2)  # loads what is loaded once
    assert peak(300) - peak(20) < 5 * 64 * 48 * 6
