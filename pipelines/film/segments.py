"""A film's segments: shots cut into pieces that are restored side by side, and joined again in order."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TypedDict

import numpy as np

from pipelines.store.layout import parts_folder

__all__ = ["ReadSegment", "Segment", "SegmentRecord", "cross_fade", "cut", "joined", "segment_path"]


@dataclass(frozen=True)
class Segment:
    """Frames that are restored together: the unit of scheduling, and what a crash costs.

    Attributes:
        number: of the part.
        shot: that it belongs to.
        first, count: frames of the timeline.
        shared: how many of its first frames the segment before has, too.
    """

    number: int
    shot: int
    first: int
    count: int
    shared: int


class SegmentRecord(TypedDict):
    """What a restored segment says of itself, for the film's row that is made of all of them.

    The first columns are those of the segment's row. `error` and `count` are the sum of squared errors over so many values, and
    `first` the number of the segment's first frame.
    """

    warnings: list[str]
    seconds_restore: float
    caption: str | None
    prompt: str
    caption_source: str
    caption_model: str | None
    seconds_caption: float | None
    device: str | None
    software: str | None
    model_preset: str | None
    model_trained: bool | None
    error: float
    count: int
    first: int
    shot: int


def cut(shots: list[tuple[int, int]], frames: int, overlap: int) -> list[Segment]:
    """Shots into segments of nearly equal length.

    Args:
        shots: first frame and number of frames of each, covering the film.
        frames: most frames of a segment.
        overlap: frames that neighbours within a shot share, at most a third of `frames`, so that no frame is in three segments.
    """
    segments: list[Segment] = []
    for shot, (first, count) in enumerate(shots):
        pieces = 1 if count <= frames else -(-(count - overlap) // (frames - overlap))
        starts = [first + piece * (count - overlap) // pieces for piece in range(pieces)]
        for piece, start in enumerate(starts):
            end = starts[piece + 1] + overlap if piece + 1 < pieces else first + count
            segments.append(Segment(len(segments), shot, start, end - start, overlap if piece else 0))
    return segments


def segment_path(key: str, number: int) -> str:
    """Where a restored segment is."""
    return f"{parts_folder(key)}/{number:05d}.mkv"


ReadSegment = Callable[[int], Iterator[np.ndarray]]


def joined(segments: Sequence[Segment], read: ReadSegment) -> Iterator[np.ndarray]:
    """Every frame of the film once, uint16 [H, W, 3]. Holds no more frames than two segments share.

    Args:
        segments: of the film, in order, covering it.
        read: gives the frames of a segment by its number, in order.

    Raises:
        ValueError: a segment has fewer frames than it should.
    """
    tail: list[np.ndarray] = []
    for position, segment in enumerate(segments):
        following = segments[position + 1].shared if position + 1 < len(segments) else 0
        frames = read(segment.number)
        for step, (before, after) in enumerate(zip(tail, islice(frames, segment.shared), strict=True), start=1):
            yield cross_fade(before, after, step / (segment.shared + 1))
        middle = segment.count - segment.shared - following
        got = 0
        for frame in islice(frames, middle):
            got += 1
            yield frame
        tail = list(islice(frames, following))
        if got != middle or len(tail) != following:
            raise ValueError(f"segment {segment.number} has fewer than its {segment.count} frames")


def cross_fade(before: np.ndarray, after: np.ndarray, share: float) -> np.ndarray:
    """Two uint16 frames mixed: `share` of the second, above 0 and below 1."""
    mixed = before.astype(np.float32) * np.float32(1 - share) + after.astype(np.float32) * np.float32(share)
    return np.rint(mixed).astype(np.uint16)
