"""Hands a plan's rows to a stream while it runs: so many that its replicas are busy, so few that the driver holds them lightly.

What went with a process that died comes out of no stream. Once all else is through, the feeder knows what is missing, and hands
it out again, each row alone, to the same actors.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator

import pyarrow as pa

from pipelines.plan.pending import PendingRows
from pipelines.rows import PENDING, Row, to_table
from pipelines.run.assembly import blocks
from pipelines.run.streaming import FedStream

__all__ = ["Feeder"]

# Blocks in a stream at a time: a replica works on one, one waits for it, others are decoded and written meanwhile.
_BLOCKS_A_REPLICA = 4
_BLOCKS = 16
_LOOK = 10.0  # seconds between two looks how large the cluster is


class Feeder:
    """Of one stream.

    Args:
        rows: photographs and films.
        stream: that they are handed to.
        replicas: how many the cluster has room for now.
        alone: a row a block from the start, so that whichever kills its process takes no other row with it.

    Attributes:
        alone: whether a block holds a row.
    """

    def __init__(self, rows: PendingRows, stream: FedStream, replicas: Callable[[], int], *, alone: bool) -> None:
        self.alone = alone
        self._rows, self._stream, self._replicas = rows, stream, replicas
        self._most, self._next_look = 0, 0.0
        self._segments: deque[Row] = deque()
        self._unfinished: set[str] = set()
        self._block_of: dict[str, int] = {}
        self._left: dict[int, int] = {}  # rows of each block that are still in the stream
        self._number = 0
        self._stopped = False
        self._blocks = self._in_turn(rows)

    @property
    def exhausted(self) -> bool:
        """Whether everything was handed out."""
        return self._stopped or (not self._segments and self._ahead is None)

    @property
    def missing(self) -> list[str]:
        """Ids of items that were handed out and are not finished."""
        return list(self._unfinished)

    def top_up(self) -> None:
        """Hand out as much as there is room for; segments of films that are begun before anything new."""
        if self._stopped:
            return
        if time.monotonic() >= self._next_look:
            self._next_look = time.monotonic() + _LOOK
            self._most = _BLOCKS_A_REPLICA * self._replicas() + _BLOCKS
        while len(self._left) < self._most and not self.exhausted:
            if self._segments:
                self._add_segment(self._segments.popleft())
            else:
                self._add_block()

    def spread(self, row: Row) -> None:
        """A segment of a film, for a block of its own. The film itself is through with it."""
        self.streamed(row["item_id"])
        self._segments.append(row)

    def streamed(self, item_id: str, part: int | None = None) -> None:
        """All that the stream makes of an item, or of a segment of a film, has come out."""
        block = self._block_of.pop(_key(item_id, part), None)
        if block is not None:
            self._left[block] -= 1
            if not self._left[block]:
                del self._left[block]

    def finished(self, item_id: str) -> None:
        """An item needs nothing any more, or cannot be worked on now."""
        self._unfinished.discard(item_id)
        self.streamed(item_id)

    def again(self) -> None:
        """Begin a round: hand out what is missing, each row alone."""
        self.alone = True
        self._block_of.clear()
        self._left.clear()
        self._segments.clear()
        self._blocks = self._in_turn(self._rows.select(self._unfinished))

    def stop(self) -> None:
        """Hand out nothing more: the stream ends with what is in it."""
        if not self._stopped:
            self._stopped = True
            self._stream.close()

    def _in_turn(self, rows: PendingRows) -> Iterator[pa.Table]:
        """Photographs in blocks, then films one by one."""
        self._ahead: pa.Table | None = None
        spread = len(rows) if self.alone else _BLOCKS_A_REPLICA * self._replicas()
        made = self._make(rows, spread)
        self._ahead = next(made, None)
        return made

    def _make(self, rows: PendingRows, spread: int) -> Iterator[pa.Table]:
        yield from blocks(rows.of_kind("photo").table, spread=spread)
        films = rows.of_kind("film")
        yield from blocks(films.table, spread=len(films))

    def _add_block(self) -> None:
        assert self._ahead is not None
        items = self._ahead["item_id"].to_pylist()
        self._unfinished.update(items)
        self._note([_key(each) for each in items])
        self._stream.add(self._ahead)
        self._ahead = next(self._blocks, None)

    def _add_segment(self, row: Row) -> None:
        if row["item_id"] in self._unfinished:  # else another segment of the film failed
            self._note([_key(row["item_id"], row["part"])])
            self._stream.add(to_table([{**row, "status": PENDING}]))

    def _note(self, keys: list[str]) -> None:
        self._number += 1
        self._left[self._number] = len(keys)
        self._block_of.update(dict.fromkeys(keys, self._number))


def _key(item_id: str, part: int | None = None) -> str:
    return item_id if part is None else f"{item_id} {part}"
