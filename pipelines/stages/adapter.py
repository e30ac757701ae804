"""From a function of one row to what Ray Data calls: a table in, a table out, and every failure a row."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterable

import pyarrow as pa

from pipelines.errors import ItemError
from pipelines.rows import PENDING, Row, fail, to_table

Core = Callable[[Row], Iterable[Row]]


def run_rows(stage: str, fallback_code: str, core: Core, table: pa.Table) -> pa.Table:
    """Apply `core` to the pending rows of a table.

    Args:
        stage: named in failed rows.
        fallback_code: error code of an exception that is not an `ItemError`.
        core: one pending row in, one or more rows out (1:1 or 1:N).
        table: rows; those not pending pass through.
    """
    done: list[Row] = []
    for row in table.to_pylist():
        done.extend(guarded(stage, fallback_code, core, row) if row["status"] == PENDING else [row])
    return to_table(done)


def guarded(stage: str, fallback_code: str, core: Core, row: Row) -> list[Row]:
    """`core` on one row; an exception becomes a failed row."""
    try:
        return list(core(row))
    except ItemError as error:
        return [fail(row, stage, error)]
    except Exception as error:  # one bad item never stops a run, whatever it raises
        return [fail(row, stage, ItemError(fallback_code, describe(error, row)))]


def describe(error: Exception, row: Row) -> str:
    """One line on an unexpected exception: what, and where in our code."""
    frames = traceback.extract_tb(error.__traceback__)
    where = f" at {frames[-1].name}:{frames[-1].lineno}" if frames else ""
    text = " ".join(str(error).split())[:200]
    return f"{row['source_path']}: {type(error).__name__}: {text}{where}"
