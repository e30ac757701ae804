"""A stream on the driver's side: rows go in as there is room, parts become items, and each item comes out once."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator

from pipelines.errors import ItemError
from pipelines.plan.pending import PendingRows
from pipelines.rows import CUT, PART_DONE, PENDING, Row, fail
from pipelines.run.cluster import alive_nodes
from pipelines.run.feeder import Feeder
from pipelines.run.joiner import Joiner
from pipelines.run.row_feed import RowFeed
from pipelines.run.stall import StallWatch
from pipelines.run.stop import DrainTimeout, Stop
from pipelines.run.streaming import FedStream

__all__ = ["Flow", "gone"]

_LOOK = 0.2  # seconds between two looks at what was joined
_NODES = 5.0  # seconds between two looks at which nodes there are


class Flow:
    """Of one stream.

    Args:
        rows: photographs and films.
        stream: that they go through.
        feeder: hands them to it.
        feed: of the rows that come out.
        joining: of items whose parts are all durable.
        stall: watches that something happens.
        stop: asks the run to end.
        waiting: ids of items without a final row; the caller takes out those that `items` gave.
        on_part: called with the row of each part that became durable.

    Attributes:
        doubtful: whether rows are left that went twice while nodes went, too: actors of another stream must tell which it was.
    """

    def __init__(
        self,
        rows: PendingRows,
        stream: FedStream,
        feeder: Feeder,
        feed: RowFeed,
        joining: Joiner,
        stall: StallWatch,
        stop: Stop,
        waiting: Collection[str],
        on_part: Callable[[Row], None],
    ) -> None:
        self.rows, self.stream, self.feeder, self.feed = rows, stream, feeder, feed
        self.joining, self.stall, self.stop, self.waiting = joining, stall, stop, waiting
        self.on_part = on_part
        self._durable: dict[str, set[int]] = {}
        self.doubtful = False
        self._nodes, self._next_look = alive_nodes(), 0.0

    def items(self, look: Callable[[], None]) -> Iterator[Row]:
        """Final rows and rows that were held back, an item's once. What was cut is joined meanwhile, also while the run drains:
        else a night that always ends early would never show any.

        Args:
            look: called again and again.

        Raises:
            DrainTimeout: nothing happens any more; the stop has the reason.
            RayError: the cluster failed.
        """
        while not (self.feed.ended and self.joining.idle):
            for joined in self.joining.finished(_LOOK if self.feed.ended else 0.0):
                self.stall.see()
                if joined["item_id"] in self.waiting:
                    self.feeder.finished(joined["item_id"])
                    yield joined
            look()
            if time.monotonic() >= self._next_look:
                self._next_look = time.monotonic() + _NODES
                self._nodes |= alive_nodes()
            if self.stop.requested:
                self.feeder.stop()
            self.feeder.top_up()
            row = self.feed.take(_LOOK)
            if row is None and self._at_rest:
                row = self.feed.take(0.0)  # what came while we looked
                if row is None:
                    yield from self._missing()
                    continue
            if row is None:
                self._end_stall()
            else:
                yield from self._came(row)

    @property
    def _at_rest(self) -> bool:
        """Whether nothing more comes out unless something goes in."""
        return not self.feed.ended and self.feeder.exhausted and self.joining.idle and self.stream.idle

    def _came(self, row: Row) -> Iterator[Row]:
        """What a row of the stream means for its item."""
        self.stall.see()
        if row["item_id"] not in self.waiting:
            self.feeder.finished(row["item_id"])  # a sibling tile failed before, or its block came twice
        elif row["status"] == CUT:
            self.feeder.spread(row)
        elif row["status"] == PART_DONE:
            self._part_done(row)
        else:
            self.feeder.finished(row["item_id"])
            yield row

    def _part_done(self, row: Row) -> None:
        self.on_part(row)
        self.feeder.streamed(row["item_id"], row["part"])
        parts = self._durable.setdefault(row["item_id"], set())
        whole = len(parts | {row["part"]}) == row["parts"] != len(parts)
        parts.add(row["part"])
        if whole:
            self.feeder.streamed(row["item_id"])
            self.joining.add({**row, "status": PENDING})

    def _missing(self) -> Iterator[Row]:
        """Rows that went with processes that died are tried again, each alone, and fail if they go again though no node did."""
        if not self.feeder.missing:
            self.feeder.stop()
        elif not self.feeder.alone:
            self._durable = {item: parts for item, parts in self._durable.items() if item not in self.feeder.missing}
            self.feeder.again()
        elif not self._nodes <= alive_nodes():
            self.doubtful = True  # they may have been given to an actor of a node that went
            self.feeder.stop()
        else:
            for row in self.rows.select(self.feeder.missing):
                self.feeder.finished(row["item_id"])
                yield fail(row, "run", gone(row, ""))

    def _end_stall(self) -> None:
        if self.stall.is_over():
            left = self.rows.select(self.waiting).table["source_path"].to_pylist()
            self.stop.request(self.stall.reason(left, not self.joining.idle))
            raise DrainTimeout


def gone(row: Row, cause: str) -> ItemError:
    """Why a row has no result after it was tried alone. `cause`: what of the cluster failed; empty if nothing did."""
    if cause:
        reason = f"no result came back from the cluster ({cause}); the next run tries it again"
        return ItemError("lost", f"{row['source_path']}: {reason}")
    reason = "each process that worked on it died; look at the file, or lower --max-pixels or add memory if it is large"
    return ItemError("crashed", f"{row['source_path']}: {reason}")
