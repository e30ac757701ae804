"""What became of a run's items, counted as they end."""

from __future__ import annotations

from dataclasses import dataclass, field

from pipelines.manifest.warning_counts import WarningCounts
from pipelines.rows import FAILED, RESTORED, Row

__all__ = ["Outcome"]


@dataclass
class Outcome:
    """What became of a run's items.

    Attributes:
        restored, failed: items by how they ended.
        by_code: failed items by error code.
        with_warnings: restored items whose row has warnings.
        warnings: these, by what each says.
        left: planned items that the run did not get to.
        stopped: why it ended before its end; empty if it did not.
        signal: number of the signal that ended it, or 0.
    """

    restored: int = 0
    failed: int = 0
    by_code: dict[str, int] = field(default_factory=dict)
    with_warnings: int = 0
    warnings: WarningCounts = field(default_factory=WarningCounts)
    left: int = 0
    stopped: str = ""
    signal: int = 0

    def count(self, row: Row) -> None:
        """Count a final row."""
        if row["status"] == RESTORED:
            self.restored += 1
            self.with_warnings += bool(row["warnings"])
            self.warnings.add(row["warnings"] or ())
        elif row["status"] == FAILED:
            self.failed += 1
            self.by_code[row["error_code"]] = self.by_code.get(row["error_code"], 0) + 1
