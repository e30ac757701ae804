"""How a film is cut into segments, and how they are joined again."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.film.segments import Segment, cut, joined


@given(
    lengths=st.lists(st.integers(1, 400), min_size=1, max_size=6),
    frames=st.integers(8, 100),
    data=st.data(),
)
def test_segments_cover_each_shot_and_share_just_the_overlap(
    lengths: list[int], frames: int, data: st.DataObject
) -> None:
    overlap = data.draw(st.integers(0, frames // 3))
    starts = np.cumsum([0, *lengths[:-1]]).tolist()
    segments = cut(list(zip(starts, lengths, strict=True)), frames, overlap)
    assert [segment.number for segment in segments] == list(range(len(segments)))
    for shot, (first, length) in enumerate(zip(starts, lengths, strict=True)):
        mine = [segment for segment in segments if segment.shot == shot]
        assert (mine[0].first, mine[0].shared) == (first, 0)
        assert mine[-1].first + mine[-1].count == first + length
        assert all(segment.count <= frames for segment in mine)
        for before, after in pairwise(mine):
            assert before.first + before.count - after.first == after.shared == overlap
            assert after.first > before.first
        if len(mine) > 1:  # of nearly equal length: no replica gets a scrap
            assert max(s.count for s in mine) - min(s.count for s in mine) <= 1


def _film(segments: list[Segment], value: int = 0) -> dict[int, list[np.ndarray]]:
    """Frames that say which film frame they are, the same in each segment that has them."""
    return {
        s.number: [np.full((2, 3, 3), 100 * (s.first + n) + value * s.number, np.uint16) for n in range(s.count)]
        for s in segments
    }


@pytest.mark.parametrize(("frames", "overlap"), [(8, 0), (9, 3), (8, 2), (60, 4)])
def test_joining_gives_every_frame_once_in_order(frames: int, overlap: int) -> None:
    segments = cut([(0, 37), (37, 5), (42, 16)], frames, overlap)
    parts = _film(segments)
    values = [int(frame[0, 0, 0]) for frame in joined(segments, lambda number: iter(parts[number]))]
    assert values == [100 * n for n in range(58)]


def test_what_segments_share_fades_from_one_to_the_other() -> None:
    segments = cut([(0, 14)], 8, 2)
    assert [(s.first, s.count) for s in segments] == [(0, 8), (6, 8)]
    parts = _film(segments, value=30)
    values = [int(frame[0, 0, 0]) - 100 * n for n, frame in enumerate(joined(segments, lambda n: iter(parts[n])))]
    assert values == [0] * 6 + [10, 20] + [30] * 6


def test_a_short_segment_is_told() -> None:
    segments = cut([(0, 14)], 8, 2)
    parts = _film(segments)
    del parts[1][-1]
    with pytest.raises(ValueError, match=r"segment 1 has fewer than its 8 frames"):
        list(joined(segments, lambda number: iter(parts[number])))


def test_few_frames_are_held() -> None:
    segments = cut([(0, 1000)], 100, 4)
    alive = 0
    most = 0

    class Frame(np.ndarray):
        def __del__(self) -> None:
            nonlocal alive
            alive -= 1

    def read(number: int) -> Iterator[np.ndarray]:
        nonlocal alive, most
        for _ in range(segments[number].count):
            alive += 1
            most = max(most, alive)
            yield np.zeros((2, 2, 3), np.uint16).view(Frame)

    assert sum(1 for _ in joined(segments, read)) == 1000
    assert most < 20
