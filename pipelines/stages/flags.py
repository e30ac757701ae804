"""Which results a person should look at: of damaged sources, and those whose measures of trust are below the thresholds."""

from __future__ import annotations

from pipelines.rows import Row
from pipelines.settings import Settings

__all__ = ["needs_review"]


def needs_review(row: Row, settings: Settings) -> bool | None:
    """Whether a result is to be looked at; None where nothing was measured and the source is sound.

    Args:
        row: with what was measured of it.
        settings: the thresholds.
    """
    if row["lost_rows"] is not None:
        return True
    measured = ((row["trust"], settings.review_below), (row["consistency_worst_db"], settings.review_worst_db))
    below = [value < least for value, least in measured if value is not None]
    return any(below) if below else None
