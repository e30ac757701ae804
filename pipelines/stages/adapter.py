"""What a stage is, and how any stage is applied to a table of rows: tables out, and every failure a row."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterable, Iterator
from typing import ClassVar, Protocol, runtime_checkable

import pyarrow as pa

from pipelines.errors import ItemError
from pipelines.rows import PENDING, Row, fail, to_table

__all__ = ["BatchStage", "Core", "Stage", "describe", "run_batch", "run_stage", "stream_rows"]

Core = Callable[[Row], Iterable[Row]]

# Pixels in one table that leaves a stage: many small photographs together, the tiles of a giant scan one by one.
_TABLE_BYTES = 32 << 20


class Stage(Protocol):
    """One step of the assembly. It is created once in each process that works on it.

    Attributes:
        name: of the stage in failed rows, metrics, logs and traces.
        fallback_code: error code of an exception that is not an `ItemError`.
    """

    name: ClassVar[str]
    fallback_code: ClassVar[str]

    def core(self, row: Row) -> Iterable[Row]:
        """One pending row in, one or more rows out (1:1 or 1:N). What it raises becomes a failed row."""
        ...


@runtime_checkable
class BatchStage(Stage, Protocol):
    """A stage that handles several rows at once faster than one by one, as a model does."""

    def core_batch(self, rows: list[Row]) -> list[Row]:
        """Pending rows in, one result for each of them out, in the same order.

        Where it raises, the rows are given to `core` one by one: it must not have changed what `core` reads of them.
        """
        ...


def run_stage(stage: Stage, table: pa.Table) -> pa.Table:
    """A stage applied to a whole table, as one table."""
    if isinstance(stage, BatchStage):
        return run_batch(stage, table)
    return pa.concat_tables([to_table([]), *stream_rows(stage, table)])


def stream_rows(stage: Stage, table: pa.Table, core: Core | None = None) -> Iterator[pa.Table]:
    """Apply a stage to the pending rows of a table one by one, and hand results on before they pile up.

    Args:
        stage: names failures.
        table: rows; those not pending pass through.
        core: called with each pending row; by default the stage's own.
    """
    results: list[Row] = []
    size = 0
    for number in range(table.num_rows):
        (row,) = table.slice(number, 1).to_pylist()  # one row's pixels at a time become Python's
        for result in _guarded(stage, core or stage.core, row) if row["status"] == PENDING else [row]:
            results.append(result)
            size += len(result["pixels"] or b"")
            if size >= _TABLE_BYTES:
                yield to_table(results)
                results, size = [], 0
    if results:
        yield to_table(results)


def run_batch(stage: BatchStage, table: pa.Table) -> pa.Table:
    """Apply a stage to the pending rows of a table together, or, where that fails, one by one: only the culprit's row fails."""
    rows: list[Row] = table.to_pylist()
    places = [place for place, row in enumerate(rows) if row["status"] == PENDING]
    if places:
        pending = [rows[place] for place in places]
        try:
            results = stage.core_batch(pending)
        except Exception:
            results = [result for row in pending for result in _guarded(stage, stage.core, row)]
        for place, result in zip(places, results, strict=True):
            rows[place] = result
    return to_table(rows)


def _guarded(stage: Stage, core: Core, row: Row) -> Iterator[Row]:
    """`core` on one row; an exception becomes a failed row, after what came before it."""
    try:
        yield from core(row)
    except ItemError as error:
        yield fail(row.copy(), stage.name, error)
    except Exception as error:  # one bad item never stops a run, whatever it raises
        yield fail(row.copy(), stage.name, ItemError(stage.fallback_code, describe(error, row)))


def describe(error: Exception, row: Row) -> str:
    """One line on an unexpected exception: what, and where in our code."""
    frames = traceback.extract_tb(error.__traceback__)
    where = f" at {frames[-1].name}:{frames[-1].lineno}" if frames else ""
    text = " ".join(str(error).split())[:200]
    return f"{row['source_path']}: {type(error).__name__}: {text}{where}"
