"""Numbered names become sequences, whatever the names are and in whatever order they come."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.media.film.sequence.names import FrameSequence, SequenceGrouper, frame_path
from pipelines.media.kinds import looks_numbered


def group(paths: list[str], *, keep_numbers: bool = True, size: int = 10) -> dict[str, FrameSequence]:
    grouper = SequenceGrouper(keep_numbers=keep_numbers)
    for path in paths:
        grouper.add(path, size, f"v of {path}")
    return {sequence.pattern: sequence for sequence in grouper.sequences()}


def numbers(paths: list[str]) -> dict[str, list[int]]:
    found = group(paths)
    for sequence in found.values():
        assert sequence.numbers is not None
        assert sequence.numbers.dtype == np.int64
        counted = (sequence.count, sequence.first, sequence.last, sequence.size)
        kept = sequence.numbers.tolist()
        assert counted == (len(kept), min(kept), max(kept), 10 * len(kept))
    return {pattern: sequence.numbers.tolist() for pattern, sequence in found.items()}  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("path", "pattern", "number"),
    [
        ("reel1/shot.000123.dpx", "reel1/shot.%06d.dpx", 123),
        ("shot.123.dpx", "shot.%d.dpx", 123),
        ("a_0.png", "a_%d.png", 0),
        ("a_00.png", "a_%02d.png", 0),
        ("A012C003.dpx", "A012C%03d.dpx", 3),
        ("r2/take 7 v01 final.tif", "r2/take 7 v%02d final.tif", 1),
        ("clip.dpx", "clip.dpx", 0),
        ("r01/clip.dpx", "r01/clip.dpx", 0),
        ("0007", "%04d", 7),
        ("clip.0007", "clip.0007", 0),  # an extension of digits is no number
        ("50%_01.dpx", "50%%_%02d.dpx", 1),
        ("100%1.dpx", "100%%%d.dpx", 1),
        ("100%/1%.dpx", "100%/%d%%.dpx", 1),  # folders are as they are
        ("%06d.dpx", "%%06d.dpx", None),
        ("x²٣.dpx", "x²٣.dpx", 0),  # digits of others are none of printf
        (f"{'1' * 19}.dpx", f"{'1' * 19}.dpx", 0),
        (f"0{'9' * 17}.dpx", "%018d.dpx", int("9" * 17)),
    ],
)
def test_names(path: str, pattern: str, number: int | None) -> None:
    if number is None:  # "%06d" holds digits, too
        pattern, number = "%%%02dd.dpx", 6
    assert numbers([path]) == {pattern: [number]}
    assert frame_path(pattern, number) == path


@pytest.mark.parametrize("path", ["", "folder/"])
def test_no_name(path: str) -> None:
    with pytest.raises(ValueError, match="no file name"):
        SequenceGrouper().add(path, 1, "")


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["a_9.png", "a_10.png"], {"a_%d.png": [9, 10]}),
        (["a_10.png", "a_09.png"], {"a_%02d.png": [9, 10]}),
        (["a_999.png", "a_1000.png", "a_001.png"], {"a_%03d.png": [1, 999, 1000]}),
        (["a_1.png", "a_01.png"], {"a_%d.png": [1], "a_%02d.png": [1]}),
        (["a_1.png", "a_01.png", "a_10.png"], {"a_%d.png": [1], "a_%02d.png": [1, 10]}),
        (["a_01.png", "a_001.png", "a_123.png", "a_12.png"], {"a_%02d.png": [1, 12], "a_%03d.png": [1, 123]}),
        (["a_0.png", "a_1.png"], {"a_%d.png": [0, 1]}),
        (["a_1.png", "a_2.PNG", "b/a_3.png"], {"a_%d.png": [1], "a_%d.PNG": [2], "b/a_%d.png": [3]}),
        (["clip.dpx", "clip1.dpx"], {"clip.dpx": [0], "clip%d.dpx": [1]}),
    ],
)
def test_widths(names: list[str], expected: dict[str, list[int]]) -> None:
    assert numbers(names) == expected
    assert numbers(names[::-1]) == expected


texts = st.text(st.sampled_from("ab.%_ -0d1é²\\"), max_size=6)
stems = st.builds("{}{}{}".format, texts, st.integers(0, 30).map(str) | st.sampled_from(["", "00", "007"]), texts)
paths = st.builds(
    "{}{}{}".format, st.sampled_from(["", "r%d/", "r1/r2/"]), stems, st.sampled_from([".dpx", ".tif", ""])
)


@given(paths.filter(lambda path: path.rpartition("/")[2] != ""))
def test_a_name_comes_back(path: str) -> None:
    ((pattern, (number,)),) = numbers([path]).items()
    assert frame_path(pattern, number) == path
    assert pattern.rpartition("/")[0] == path.rpartition("/")[0]
    has_digits = any(c in "0123456789" for c in path.rpartition("/")[2].rpartition(".")[0] or path)
    assert has_digits or not looks_numbered(pattern)


@given(
    st.lists(paths.filter(lambda path: not path.endswith("/") and path != ""), max_size=30, unique=True), st.randoms()
)
def test_every_file_is_in_one_sequence(files: list[str], order: random.Random) -> None:
    found = numbers(files)
    again = [frame_path(pattern, number) for pattern, kept in found.items() for number in kept]
    assert sorted(again) == sorted(files)
    assert list(found) == sorted(found)
    shuffled = list(files)
    order.shuffle(shuffled)
    one, other = group(files, keep_numbers=False), group(shuffled, keep_numbers=False)
    assert one == other
    assert all(sequence.numbers is None for sequence in one.values())


@given(st.lists(st.integers(0, 10**9), min_size=1, max_size=20, unique=True), st.integers(0, 9))
def test_patterns_are_what_printf_says(found: list[int], width: int) -> None:
    expected = f"s_%0{width}d.dpx" if width else "s_%d.dpx"
    named = [expected % number for number in found]
    if width < 2 or min(len(str(number)) for number in found) < width:  # else no name shows the padding
        expected = expected.replace("%01d", "%d")
        assert numbers(named) == {expected: sorted(found)}
    else:
        assert numbers(named) == {"s_%d.dpx": sorted(found)}


def test_the_version_is_of_every_file() -> None:
    files = [("s.01.dpx", 5, "a"), ("s.02.dpx", 5, "b"), ("s.03.dpx", 6, "b")]

    def version(files: list[tuple[str, int, str]]) -> str:
        grouper = SequenceGrouper()
        for file in files:
            grouper.add(*file)
        (sequence,) = grouper.sequences()
        return sequence.version

    whole = version(files)
    assert whole == version(files[::-1])
    assert len(whole) == 64
    others = {
        version(files[:2]),
        version([*files, ("s.04.dpx", 5, "a")]),
        version([("s.01.dpx", 5, "b"), ("s.02.dpx", 5, "a"), files[2]]),  # swapped
        version([files[0], files[1], ("s.03.dpx", 7, "b")]),
        version([files[0], files[1], ("s.03.dpx", 6, "c")]),
        version([files[0], files[1], ("s.04.dpx", 6, "b")]),
    }
    assert len(others) == 6
    assert whole not in others


def test_a_long_reel_takes_little_memory() -> None:
    grouper = SequenceGrouper(keep_numbers=True)
    for number in range(200_000):
        grouper.add(f"reel/shot.{number:06d}.dpx", 50_000_000, "2026-11-23T19:32")
    (reel,) = grouper.sequences()
    assert (reel.pattern, reel.count, reel.first, reel.last) == ("reel/shot.%06d.dpx", 200_000, 0, 199_999)
    assert reel.size == 200_000 * 50_000_000
    held = sum(part.numbers.itemsize * len(part.numbers) for by in grouper._groups.values() for part in by.values())
    assert held == 8 * 200_000
    assert sum(len(by) for by in grouper._groups.values()) <= 2
