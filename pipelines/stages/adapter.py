"""From a function of one row to what Ray Data calls: a table in, tables out, and every failure a row."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterable, Iterator

import pyarrow as pa

from pipelines.errors import ItemError
from pipelines.rows import PENDING, Row, fail, to_table

Core = Callable[[Row], Iterable[Row]]

# Pixels in one table that leaves a stage: many small photographs together, the tiles of a giant scan one by one.
_TABLE_BYTES = 32 << 20


def run_rows(stage: str, fallback_code: str, core: Core, table: pa.Table) -> pa.Table:
    """`stream_rows` as one table."""
    return pa.concat_tables([to_table([]), *stream_rows(stage, fallback_code, core, table)])


def stream_rows(stage: str, fallback_code: str, core: Core, table: pa.Table) -> Iterator[pa.Table]:
    """Apply `core` to the pending rows of a table, and hand results on before they pile up.

    Args:
        stage: named in failed rows.
        fallback_code: error code of an exception that is not an `ItemError`.
        core: one pending row in, one or more rows out (1:1 or 1:N).
        table: rows; those not pending pass through.
    """
    held: list[Row] = []
    size = 0
    for number in range(table.num_rows):
        (row,) = table.slice(number, 1).to_pylist()  # one row's pixels at a time become Python's
        results = guarded(stage, fallback_code, core, row) if row["status"] == PENDING else [row]
        for result in results:
            held.append(result)
            size += len(result["pixels"] or b"")
            if size >= _TABLE_BYTES:
                yield to_table(held)
                held, size = [], 0
    if held:
        yield to_table(held)


def guarded(stage: str, fallback_code: str, core: Core, row: Row) -> Iterator[Row]:
    """`core` on one row; an exception becomes a failed row, after what came before it."""
    try:
        yield from core(row)
    except ItemError as error:
        yield fail(dict(row), stage, error)
    except Exception as error:  # one bad item never stops a run, whatever it raises
        yield fail(dict(row), stage, ItemError(fallback_code, describe(error, row)))


def describe(error: Exception, row: Row) -> str:
    """One line on an unexpected exception: what, and where in our code."""
    frames = traceback.extract_tb(error.__traceback__)
    where = f" at {frames[-1].name}:{frames[-1].lineno}" if frames else ""
    text = " ".join(str(error).split())[:200]
    return f"{row['source_path']}: {type(error).__name__}: {text}{where}"
