"""How far the review of an archive is: of how many results something was decided, and what."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from pipelines.manifest.decision import ACCEPT, REDO, REJECT, Decision, standing
from pipelines.manifest.decisions import DecisionLog
from pipelines.manifest.reader import current_rows
from pipelines.rows import RESTORED, Row
from pipelines.store.store import Store

__all__ = ["ReviewCounts", "count_reviews", "review_counts"]


@dataclass(frozen=True, kw_only=True)
class ReviewCounts:
    """Results by what was decided about them.

    Attributes:
        results: restored items.
        accepted, rejected, redo: of them; `redo` waits for the next run.
    """

    results: int = 0
    accepted: int = 0
    rejected: int = 0
    redo: int = 0

    @property
    def reviewed(self) -> int:
        """Results of which something was decided."""
        return self.accepted + self.rejected + self.redo

    def in_words(self) -> str:
        """`212 of 500 reviewed: 190 accepted, 12 rejected, 10 to redo`."""
        by_decision = {"accepted": self.accepted, "rejected": self.rejected, "to redo": self.redo}
        parts = [f"{count} {name}" for name, count in by_decision.items() if count]
        return f"{self.reviewed} of {self.results} reviewed" + (f": {', '.join(parts)}" if parts else "")


def count_reviews(rows: Iterable[Row], decisions: Mapping[str, Decision]) -> ReviewCounts:
    """Count current rows by decision.

    Args:
        rows: with `item_id`, `status`, `output_sha256` and `settings_digest`.
        decisions: of `DecisionLog.current`.
    """
    states = Counter(standing(decisions.get(row["item_id"]), row) for row in rows if row["status"] == RESTORED)
    return ReviewCounts(results=states.total(), accepted=states[ACCEPT], rejected=states[REJECT], redo=states[REDO])


def review_counts(store: Store) -> ReviewCounts | None:
    """The same of an output store; None where nobody has decided anything.

    Raises:
        StoreError: decisions or manifest cannot be read.
    """
    decisions = DecisionLog(store).current()
    if not decisions:
        return None
    return count_reviews(current_rows(store, ["status", "output_sha256", "settings_digest"]).values(), decisions)
