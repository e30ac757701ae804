"""Puts any stage on Ray's tasks or actors, and asks before each row whether the run may still begin or write something.

Rows that may not go on come out as `held_back`: nobody has tried them, so they are neither results nor failures, and the next
run plans them again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

import pyarrow as pa

from pipelines.rows import HELD_BACK, PENDING, Row, drop_payload, to_table, whole_row
from pipelines.run.frame_counts import FrameReporter
from pipelines.run.stage_observer import StageObserver
from pipelines.settings import Settings
from pipelines.stages.adapter import BatchStage, Stage, run_batch, stream_rows
from pipelines.store.lease import HELD, LOST, Fence

__all__ = ["SEGMENT", "RunContext", "StageRunner", "hold_back", "media_kind"]

SEGMENT = "segment"

_HEAVY = ["pixels", "extra_pixels", "icc_profile", "damage_mask", "filled_mask"]

Expand = Callable[[pa.Table], list[Row]]


@dataclass(frozen=True)
class RunContext:
    """What every worker of a run is given.

    Attributes:
        fence: of the run's lease.
        run_id: of the run.
        traceparent: of the run's trace, as W3C has it; empty if there is none.
        on_frame: told of each frame of a film that is restored.
    """

    fence: Fence
    run_id: str
    traceparent: str = ""
    on_frame: FrameReporter | None = None


@dataclass(frozen=True)
class StageRunner:
    """How a stage is run; travels to the workers, where the stage is created.

    A stage that cannot be created (no memory on the device, weights unreadable there) holds its rows back with the reason, so
    that the run ends with it instead of creating actor after actor.

    Attributes:
        stage: class of the stage; the arguments of its constructor are `settings` and `arguments`.
        settings: all settings.
        context: of the run.
        writes: whether the stage finishes what others have begun, and so goes on while the run drains.
        expand: gives the whole rows of a table that is no table of rows yet; for the first stage of a stream.
        arguments: further arguments of the stage's constructor, by name.
        rows: that a `BatchStage` is given together; 0 is a whole table.
        by_kind: who handles the tables of a kind (`media_kind`) instead, in the same processes; None hands them on. A table
            never mixes kinds.
    """

    stage: type[Stage]
    settings: Settings
    context: RunContext
    writes: bool = False
    expand: Expand | None = None
    arguments: Mapping[str, object] = field(default_factory=dict)
    rows: int = 0
    by_kind: Mapping[str, StageRunner | None] = field(default_factory=dict)

    def task(self) -> Callable[[pa.Table], Iterator[pa.Table]]:
        """The stage as a function for stateless tasks. Its tables are of bounded size."""
        kinds: list[_Kinds] = []  # none where the function is unpickled, then one

        def call(table: pa.Table) -> Iterator[pa.Table]:
            if self.expand is not None and "status" not in table.column_names:
                table = to_table(self.expand(table))
            if not kinds:
                kinds.append(_Kinds(self))
            yield from kinds[0].stream(table)

        call.__name__ = self.stage.__name__
        return call

    def actor(self) -> type:
        """The stage as a class for a pool of actors. Its constructor takes this runner; an actor gives a table for a table."""

        class Actor:
            def __init__(self, runner: StageRunner) -> None:
                self.kinds = _Kinds(runner, log_creation=True)

            def __call__(self, table: pa.Table) -> pa.Table:
                tables = list(self.kinds.stream(table))
                return tables[0] if len(tables) == 1 else pa.concat_tables([to_table([]), *tables])

        Actor.__name__ = Actor.__qualname__ = self.stage.__name__
        return Actor


class _Kinds:
    """The stages of one process, by the kind of media that each handles; each is created when its first table comes.

    Args:
        runner: of the stage that handles all kinds without another.
        log_creation: as for `_StageProcess`.
    """

    def __init__(self, runner: StageRunner, *, log_creation: bool = False) -> None:
        self._runner, self._log_creation = runner, log_creation
        self._made: dict[str, _StageProcess] = {}

    def stream(self, table: pa.Table) -> Iterator[pa.Table]:
        """A table through the stage for it."""
        if not table.num_rows:
            return
        kind = media_kind(table)
        kind = kind if kind in self._runner.by_kind else ""
        runner = self._runner.by_kind[kind] if kind else self._runner
        if runner is None:
            yield table
            return
        if kind not in self._made:
            self._made[kind] = _StageProcess(runner, log_creation=self._log_creation)
        yield from self._made[kind].stream(table)


class _StageProcess:
    """One stage in one process.

    Args:
        runner: how the stage is run.
        log_creation: whether the logs say that the stage was created, with its model.
    """

    def __init__(self, runner: StageRunner, *, log_creation: bool = False) -> None:
        self.fence, self.writes, self.rows = runner.context.fence, runner.writes, runner.rows
        context = runner.context
        self.observer = StageObserver(
            runner.stage.name, runner.settings, run_id=context.run_id, traceparent=context.traceparent
        )
        self.stage: Stage | None = None
        self.fault = ""
        create: Callable[..., Stage] = runner.stage
        started = time.monotonic()
        try:
            self.stage = create(runner.settings, **runner.arguments)
        except Exception as error:
            self.fault = f"{type(error).__name__}: " + " ".join(str(error).split())[:300]
            self.observer.log_fault(self.fault)
            return
        if log_creation:
            self.observer.log_creation(getattr(self.stage, "device", "cpu"), time.monotonic() - started)

    def stream(self, table: pa.Table) -> Iterator[pa.Table]:
        """The stage applied to a table: of a batch stage one table, else as many as its rows' pixels fill."""
        stage = self.stage
        if stage is None:
            yield hold_back(table, self.fault)
        elif not isinstance(stage, BatchStage):
            # Asked before each row, inside the stage, so that its rows still leave it in tables of many.
            yield from map(self.observer.log_failures, stream_rows(stage, table, self._core(stage)))
        else:
            together = self.rows or table.num_rows
            for start in range(0, table.num_rows, together):
                yield self._batch(stage, table.slice(start, together))

    def _batch(self, stage: BatchStage, table: pa.Table) -> pa.Table:
        if not self._may_go_on():
            return hold_back(table)
        return self.observer.log_failures(self.observer.batch(table, lambda rows: run_batch(stage, rows)))

    def _core(self, stage: Stage) -> Callable[[Row], Iterator[Row]]:
        def core(row: Row) -> Iterator[Row]:
            if self._may_go_on():
                yield from self.observer.row(row, stage.core(row))
            else:
                yield _held_back_row(row, "")

        return core

    def _may_go_on(self) -> bool:
        state = self.fence.state()
        return state == HELD or (self.writes and state != LOST)


def media_kind(table: pa.Table) -> str:
    """What the rows of a table that is not empty are of: `photo`, `film`, or `segment`, a part of a film by itself."""
    kind = table["media_kind"][0].as_py() or ""
    return SEGMENT if kind == "film" and table["part"][0].as_py() is not None else kind


def hold_back(table: pa.Table, fault: str = "") -> pa.Table:
    """A table whose pending rows are held back, without their pixels.

    Args:
        table: rows.
        fault: why no row of this run can go on, if that is so.
    """
    rows = table.drop_columns(_HEAVY).to_pylist()
    if not any(row["status"] == PENDING for row in rows):
        return table
    return to_table([_held_back_row(whole_row(row), fault) for row in rows])


def _held_back_row(row: Row, fault: str) -> Row:
    if row["status"] != PENDING:
        return row
    return drop_payload(row | {"status": HELD_BACK, "error_reason": fault or None})
