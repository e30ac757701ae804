"""What stands around a stage on the cluster: it asks, before each row, whether the run may still begin or write something.

Rows that may not go on come out as `held_back`: nobody has tried them, so they are neither results nor failures, and the next
run plans them again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pyarrow as pa

from pipelines.rows import HELD_BACK, PENDING, Row, drop_payload, new_row, to_table
from pipelines.run.stage_observer import StageObserver
from pipelines.store.lease import HELD, LOST, Fence

_HEAVY = ["pixels", "icc_profile"]


def guarded_task(
    stage: type, settings: Any, fence: Fence, *, writes: bool = False, expand: Callable[[Any], list[Row]] | None = None
) -> Callable[[Any], Iterator[Any]]:
    """A stage as a function for stateless tasks, which make it when they first call it.

    Args:
        stage: made with `settings`; has `stream`.
        settings: all settings.
        fence: of the run's lease.
        writes: whether it finishes what others have begun, and so goes on while the run drains.
        expand: makes rows of the table first.
    """
    made: dict[str, Any] = {}

    def make() -> Any:
        made_stage = stage(settings)
        # Asked before each row, inside the stage, so that its rows still leave it in tables of many.
        made_stage.core = _asking(made_stage.core, fence, writes, made["watch"])
        return made_stage

    def call(table: Any) -> Iterator[Any]:
        if expand is not None:
            table = to_table(expand(table))
        if "watch" not in made:
            made["watch"] = StageObserver(stage, settings, fence)
            _make(made, make)
        if "fault" in made:
            yield held_back(table, made["fault"])
        else:
            yield from map(made["watch"].log_failures, made["stage"].stream(table))

    call.__name__ = stage.__name__
    return call


def _asking(
    core: Callable[[Row], Iterable[Row]], fence: Fence, writes: bool, watch: StageObserver
) -> Callable[[Row], Iterator[Row]]:
    def asked(row: Row) -> Iterator[Row]:
        if _may_go_on(fence, writes):
            yield from watch.row(row, core(row))
        else:
            yield _held(row, "")

    return asked


def guarded_actor(stage: type) -> type:
    """A stage for a pool of actors: its constructor takes the fence before its own arguments.

    A stage that cannot be made (no memory on the device, weights unreadable there) holds its rows back with the reason, so
    that the run ends with it instead of making actor after actor.
    """

    class Guarded:
        def __init__(self, fence: Fence, **arguments: Any) -> None:
            self.fence = fence
            self.watch = StageObserver(stage, arguments.get("settings"), fence)
            self.made: dict[str, Any] = {"watch": self.watch}
            started = time.monotonic()
            _make(self.made, lambda: stage(**arguments))
            if "stage" in self.made:
                self.watch.made(self.made["stage"], time.monotonic() - started)

        def __call__(self, table: pa.Table) -> pa.Table:
            if "fault" in self.made or not _may_go_on(self.fence, writes=False):
                return held_back(table, self.made.get("fault", ""))
            return self.watch.call(table, self.made["stage"])

    Guarded.__name__ = Guarded.__qualname__ = stage.__name__
    return Guarded


def held_back(table: pa.Table, fault: str = "") -> pa.Table:
    """A table whose pending rows are held back, without their pixels.

    Args:
        table: rows.
        fault: why no row of this run can go on, if that is so.
    """
    rows = table.drop_columns(_HEAVY).to_pylist()
    if not any(row["status"] == PENDING for row in rows):
        return table
    return to_table([_held(new_row() | row, fault) for row in rows])


def _held(row: Row, fault: str) -> Row:
    if row["status"] != PENDING:
        return row
    return drop_payload(row | {"status": HELD_BACK, "error_reason": fault or None})


def _make(made: dict[str, Any], construct: Callable[[], Any]) -> None:
    try:
        made["stage"] = construct()
    except Exception as error:
        made["fault"] = f"{type(error).__name__}: " + " ".join(str(error).split())[:300]
        made["watch"].not_made(made["fault"])


def _may_go_on(fence: Fence, writes: bool) -> bool:
    state = fence.state()
    return state == HELD or (writes and state != LOST)
