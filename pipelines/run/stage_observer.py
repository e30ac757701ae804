"""What a worker tells of its work on a stage: seconds for Prometheus, failures for the logs, spans for a trace."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import ray

from pipelines.rows import FAILED, PENDING, Row
from pipelines.store.lease import Fence
from pipelines.telemetry import logs
from pipelines.telemetry.metrics import change, record
from pipelines.telemetry.traces import add_span

_NAMED = ["run_id", "item_id", "source_path", "part"]
_TOLD = [*_NAMED, "error_code", "error_reason"]


class StageObserver:
    """Stands beside one stage in one process.

    Args:
        stage: its class.
        settings: all settings; how to log.
        fence: of the run, which it names.
    """

    def __init__(self, stage: type, settings: Any, fence: Fence) -> None:
        self.stage = getattr(sys.modules.get(stage.__module__), "STAGE", stage.__name__.lower())
        self.run_id, self.traceparent = fence.run_id, fence.traceparent
        self.device = "cpu"
        self._tried: list[tuple[Row, float, float]] = []  # rows of a traced run whose outcome is still to come
        if _is_worker():
            logs.configure(settings.log_format, settings.log_level, worker=True)

    def made(self, stage: Any, seconds: float) -> None:
        """An actor's stage, with its model, is there."""
        self.device = getattr(stage, "device", "cpu")
        gpus = float(ray.get_runtime_context().get_assigned_resources().get("GPU", 0)) if _is_worker() else 0.0
        record([change("faitharchive_replica_gpus", gpus, stage=self.stage, device=self.device)])
        about = {"run_id": self.run_id, "stage": self.stage}
        logs.event(logging.INFO, "actor made", **about, device=self.device, gpus=gpus, seconds=round(seconds, 3))

    def not_made(self, fault: str) -> None:
        """A stage cannot be made; its rows will be held back."""
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

    def call(self, table: pa.Table, stage: Callable[[pa.Table], pa.Table]) -> pa.Table:
        """A stage called with a table of rows."""
        pending = table.select(_NAMED).filter(pc.equal(table["status"], PENDING)).to_pylist()
        began, started = time.time(), time.perf_counter()
        done = stage(table)
        if pending:
            self._record(time.perf_counter() - started, pending, began)
        return self.log_failures(done)

    def log_failures(self, table: pa.Table) -> pa.Table:
        """A table as it leaves the stage, after its failures were logged and its rows traced."""
        codes: dict[str, str] = {}
        failed = pc.and_(pc.equal(table["status"], FAILED), pc.equal(table["error_stage"], self.stage))
        if pc.any(failed).as_py():
            for row in table.select(_TOLD).filter(failed).to_pylist():
                reason = row.pop("error_reason")
                codes[row["item_id"]] = row["error_code"]
                logs.event(logging.WARNING, "item failed", stage=self.stage, reason=reason, **row)
        tried, self._tried = self._tried, []
        for row, began, ended in tried:
            about = {name: row[name] for name in _NAMED} | {"stage": self.stage, "device": self.device}
            code = codes.get(row["item_id"])
            outcome = {"status": FAILED if code else "ok", "error_code": code}
            add_span(self.stage, self.traceparent, began, ended, about | outcome)
        return table

    def _record(self, seconds: float, rows: list[Row], began: float) -> None:
        changes = [change("faitharchive_stage_seconds", seconds, stage=self.stage, device=self.device)]
        changes += [change("faitharchive_item_seconds", seconds / len(rows), stage=self.stage)] * len(rows)
        record(changes)
        if self.traceparent:
            ended = time.time()
            self._tried += [({name: row[name] for name in _NAMED}, began, ended) for row in rows]


def _is_worker() -> bool:
    return ray.is_initialized() and ray.get_runtime_context().worker.mode == ray.WORKER_MODE
