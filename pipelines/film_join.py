"""A film's restored frames in order: segments read one after the other, cross-faded where they overlap."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import islice

import numpy as np

from pipelines.film.plan import Segment

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
