"""Frames that replicas have restored of segments in work: a film's progress moves by them, and not by segments alone."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import ray
from ray.actor import ActorHandle
from ray.exceptions import RayError

__all__ = ["FrameCounts", "FrameReporter", "FramesDone", "OnFrames"]

_PAUSE = 1.0  # seconds between two reports of a process, and between two looks


@dataclass(frozen=True)
class FramesDone:
    """Of a film.

    Attributes:
        path: of its source.
        done, total: frames. Those that segments share are counted once at most, so `done` may lag behind a little.
    """

    path: str
    done: int
    total: int


OnFrames = Callable[[FramesDone], None]


class _Counts:
    """Keeps them, on the cluster."""

    def __init__(self) -> None:
        self._films: dict[str, tuple[str, int, dict[int, int]]] = {}
        self._last = ""

    def note(self, item_id: str, path: str, total: int, part: int, done: int) -> None:
        self._films.setdefault(item_id, (path, total, {}))[2][part] = done
        self._last = item_id

    def latest(self) -> FramesDone | None:
        """Of the film that moved last."""
        if not self._last:
            return None
        path, total, parts = self._films[self._last]
        return FramesDone(path, min(sum(parts.values()), total), total)


class FrameReporter:
    """Tells the count from a worker, once a second at most and at a segment's end. Can be pickled.

    Args:
        counts: the actor that keeps them.
    """

    def __init__(self, counts: ActorHandle) -> None:
        self._counts, self._next = counts, 0.0

    def __call__(self, item_id: str, path: str, total: int, part: int, done: int, *, last: bool = False) -> None:
        if last or time.monotonic() >= self._next:
            self._next = time.monotonic() + _PAUSE
            self._counts.note.remote(item_id, path, total, part, done)


class FrameCounts:
    """A driver's view of them.

    Args:
        on_frames: called with what has moved; nothing is counted if None.

    Attributes:
        reporter: for the workers.
    """

    def __init__(self, on_frames: OnFrames | None) -> None:
        self._on_frames, self._next = on_frames, 0.0
        self._seen: FramesDone | None = None
        self._actor = ray.remote(num_cpus=0)(_Counts).remote() if on_frames else None
        self.reporter = FrameReporter(self._actor) if self._actor else None

    def look(self) -> None:
        """Tell what has moved, if it is time to look."""
        if self._on_frames is None or self._actor is None or time.monotonic() < self._next:
            return
        self._next = time.monotonic() + _PAUSE
        try:
            seen = ray.get(self._actor.latest.remote(), timeout=_PAUSE)
        except RayError:  # it went with its node, or is slow: the bar stands still, and nothing else does
            return
        if seen is not None and seen != self._seen:
            self._seen = seen
            self._on_frames(seen)
