"""What a review lets an export take: never what was rejected, and on request only what was accepted."""

from __future__ import annotations

from collections.abc import Sequence

from pipelines.manifest.decision import ACCEPT, REJECT, standing
from pipelines.manifest.decisions import DecisionLog
from pipelines.rows import Row
from pipelines.store.store import Store

__all__ = ["Reviewed"]


class Reviewed:
    """The decisions about an archive's results, as they were when the export began.

    Args:
        output: the archive's results.
        accepted: take only what was accepted.

    Attributes:
        rejected, undecided: ids of the items that were held back so far.

    Raises:
        StoreError: the decisions cannot be read.
    """

    def __init__(self, output: Store, *, accepted: bool) -> None:
        self._decisions, self._accepted = DecisionLog(output).current(), accepted
        self.rejected: set[str] = set()
        self.undecided: set[str] = set()

    def exportable(self, rows: Sequence[Row]) -> list[Row]:
        """Those of some rows that may be exported; the others are remembered."""
        taken = []
        for row in rows:
            state = standing(self._decisions.get(row["item_id"]), row)
            if state == REJECT:
                self.rejected.add(row["item_id"])
            elif self._accepted and state != ACCEPT:
                self.undecided.add(row["item_id"])
            else:
                taken.append(row)
        return taken
