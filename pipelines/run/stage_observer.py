"""Reports a worker's work on a stage: seconds for Prometheus, failures for the logs, spans for a trace."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator

import pyarrow as pa
import pyarrow.compute as pc
import ray

from pipelines.rows import FAILED, PENDING, Row, columns_of
from pipelines.run import ray_patches
from pipelines.run.terminal import leave_terminal
from pipelines.settings import Settings
from pipelines.telemetry import logs
from pipelines.telemetry.metrics import change, record
from pipelines.telemetry.traces import add_span

__all__ = ["StageObserver"]

_ROW_NAMES = ["run_id", "item_id", "source_path", "part"]
_FAILURE_NAMES = [*_ROW_NAMES, "error_code", "error_reason"]


class StageObserver:
    """Stands beside one stage in one process.

    Args:
        stage: its name.
        settings: how to log.
        run_id: of the run.
        traceparent: of the run's trace; empty if there is none.
    """

    def __init__(self, stage: str, settings: Settings, *, run_id: str, traceparent: str = "") -> None:
        self.stage, self.run_id, self.traceparent = stage, run_id, traceparent
        self.device = "cpu"
        self._spans: list[tuple[dict[str, object], float, float]] = []  # rows whose outcome is still to come
        self._in_worker = ray_patches.is_worker()
        if self._in_worker:
            leave_terminal()
            logs.configure(settings.log_format, settings.log_level, worker=True)

    def log_creation(self, device: str, seconds: float) -> None:
        """An actor has created the stage, with its model on a device."""
        self.device = device
        gpus = float(ray.get_runtime_context().get_assigned_resources().get("GPU", 0)) if self._in_worker else 0.0
        record([change("faitharchive_replica_gpus", gpus, stage=self.stage, device=self.device)])
        about = {"run_id": self.run_id, "stage": self.stage}
        logs.event(logging.INFO, "actor made", **about, device=self.device, gpus=gpus, seconds=round(seconds, 3))

    def log_fault(self, fault: str) -> None:
        """The stage cannot be created; its rows will be held back."""
        logs.event(logging.ERROR, "stage cannot be made", run_id=self.run_id, stage=self.stage, reason=fault)

    def row(self, row: Row, results: Iterable[Row]) -> Iterator[Row]:
        """A row's results as they come; what the receiver does between two of them is not the stage's work."""
        busy, rows, began = 0.0, iter(results), time.time()
        try:
            while True:
                started = time.perf_counter()
                try:
                    result = next(rows)
                except StopIteration:
                    return
                finally:
                    busy += time.perf_counter() - started
                yield result
        finally:
            self._record(busy, [row], began)

    def batch(self, table: pa.Table, call: Callable[[pa.Table], pa.Table]) -> pa.Table:
        """What `call` makes of a table whose pending rows are handled together."""
        pending = table.select(_ROW_NAMES).filter(pc.equal(table["status"], PENDING)).to_pylist()
        began, started = time.time(), time.perf_counter()
        results = call(table)
        if pending:
            self._record(time.perf_counter() - started, pending, began)
        return results

    def log_failures(self, table: pa.Table) -> pa.Table:
        """A table as it leaves the stage, after its failures were logged and its rows traced."""
        codes: dict[str, str] = {}
        failed = pc.and_(pc.equal(table["status"], FAILED), pc.equal(table["error_stage"], self.stage))
        if pc.any(failed).as_py():
            for row in table.select(_FAILURE_NAMES).filter(failed).to_pylist():
                reason = row.pop("error_reason")
                codes[row["item_id"]] = row["error_code"]
                logs.event(logging.WARNING, "item failed", stage=self.stage, reason=reason, **row)
        spans, self._spans = self._spans, []
        for row, began, ended in spans:
            code = codes.get(str(row["item_id"]))
            outcome = {"status": FAILED if code else "ok", "error_code": code}
            about = {"stage": self.stage, "device": self.device}
            add_span(self.stage, self.traceparent, began, ended, row | about | outcome)
        return table

    def _record(self, seconds: float, rows: list[Row], began: float) -> None:
        changes = [change("faitharchive_stage_seconds", seconds, stage=self.stage, device=self.device)]
        changes += [change("faitharchive_item_seconds", seconds / len(rows), stage=self.stage)] * len(rows)
        record(changes)
        if self.traceparent:
            ended = time.time()
            self._spans += [({name: columns_of(row)[name] for name in _ROW_NAMES}, began, ended) for row in rows]
