"""Rows of a stream, drawn in a thread of their own: whoever waits for the next can look after other things meanwhile."""

from __future__ import annotations

import queue
import threading
from collections.abc import Generator, Iterator
from types import TracebackType

from pipelines.rows import Row

__all__ = ["RowFeed"]

_AHEAD = 64  # rows that were drawn and are not taken yet
_LOOK = 0.5  # seconds between two looks whether anybody still wants them


class RowFeed:
    """A context, as long as somebody takes rows. Left early, it draws none beyond the one that it is waiting for.

    Args:
        rows: of a stream; drawn and closed in the thread.

    Attributes:
        ended: whether all rows were taken.
    """

    def __init__(self, rows: Iterator[Row]) -> None:
        self.ended = False
        self._rows = rows
        self._queue: queue.Queue[Row | None] = queue.Queue(_AHEAD)
        self._error: BaseException | None = None
        self._left = threading.Event()
        self._thread = threading.Thread(target=self._draw, name="rows", daemon=True)

    def __enter__(self) -> RowFeed:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._left.set()

    def take(self, seconds: float) -> Row | None:
        """The next row; None if none came in time, or all were taken.

        Raises:
            BaseException: what the stream raised.
        """
        if self.ended:
            return None
        try:
            row = self._queue.get(timeout=seconds)
        except queue.Empty:
            return None
        if row is None:
            self.ended = True
            if self._error is not None:
                raise self._error
        return row

    def _draw(self) -> None:
        try:
            for row in self._rows:
                if not self._hand_on(row):
                    break
        except BaseException as error:
            self._error = error
        finally:
            if isinstance(self._rows, Generator):
                self._rows.close()
            self._hand_on(None)

    def _hand_on(self, row: Row | None) -> bool:
        while not self._left.is_set():
            try:
                self._queue.put(row, timeout=_LOOK)
                return True
            except queue.Full:
                continue
        return False
