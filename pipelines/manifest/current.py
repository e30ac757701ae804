"""The one rule by which an item's current row is its newest: as an SQL clause, and as a Python function that agrees with it.

The newest is that of the latest run; of one run's, the one that became final last; of equally new ones the last that is read,
in the order of the manifest's files and of the rows in each. Compaction keeps that order. A run or a time that is missing is
older than any other.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from pipelines.rows import Row

__all__ = ["newest_rows", "only_newest"]

_NEWEST_FIRST = "run_id desc nulls last, finished_at desc nulls last, file desc, position desc"
_NEVER = datetime.min.replace(tzinfo=UTC)


def only_newest(columns: str = "item_id") -> str:
    """The clause of a query that keeps the newest of all rows with the same values in `columns`.

    The table has columns `run_id`, `finished_at`, `file` and `position`, the numbers of the manifest file and of the row in it.
    """
    return f"qualify row_number() over (partition by {columns} order by {_NEWEST_FIRST}) = 1"


def newest_rows(rows: Iterable[Row]) -> dict[str, Row]:
    """The newest of each item's rows, by item id. The rows come in the order of files and positions."""
    current: dict[str, Row] = {}
    for row in rows:
        known = current.get(row["item_id"])
        if known is None or _age(row) >= _age(known):
            current[row["item_id"]] = row
    return current


def _age(row: Row) -> tuple[bool, str, datetime]:
    run, moment = row["run_id"], row["finished_at"]
    return run is not None, run or "", _NEVER if moment is None else moment
