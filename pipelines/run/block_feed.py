"""Blocks on their way into a stream that takes them as they come, and how the stream tells that it has nothing left to do."""

from __future__ import annotations

import threading
from collections import deque

import pyarrow as pa

__all__ = ["BlockFeed"]


class BlockFeed:
    """Stands between one thread that adds blocks, one that takes them into a stream, and one that handles what comes out."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._waiting: deque[pa.Table] = deque()
        self._closed = False
        self._added = self._taken = self._handled = 0
        self._rest = (-1, -1)  # blocks taken and tables delivered when the stream had nothing to do

    def add(self, block: pa.Table) -> None:
        """A block of rows for the stream."""
        with self._changed:
            self._waiting.append(block)
            self._added += 1
            self._changed.notify_all()

    def close(self) -> None:
        """No block will be added any more: the stream ends when all that were are through."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    @property
    def has_next(self) -> bool:
        """Whether a block waits to be taken."""
        return bool(self._waiting)

    @property
    def ended(self) -> bool:
        """Whether all blocks were taken, and none will come."""
        with self._changed:
            return self._closed and not self._waiting

    def take(self) -> pa.Table:
        """The next block, in the order in which they were added."""
        with self._changed:
            self._taken += 1
            return self._waiting.popleft()

    def handled(self) -> None:
        """A table that the stream delivered is dealt with."""
        with self._changed:
            self._handled += 1

    def rest(self, delivered: int, seconds: float) -> None:
        """The stream has nothing to do: wait for a block, for a while.

        Args:
            delivered: tables that the stream has given out since it began.
            seconds: to wait at most.
        """
        with self._changed:
            self._rest = self._taken, delivered
            if not self._waiting and not self._closed:
                self._changed.wait(seconds)

    @property
    def idle(self) -> bool:
        """Whether all blocks that were added went through the stream, and all that came of them is dealt with: rows that are
        still missing went with a process that died."""
        with self._changed:
            return not self._waiting and self._rest == (self._added, self._handled)
