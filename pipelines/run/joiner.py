"""Joins the parts of items while others are still restored: a film appears when its last segment is there."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator

import ray
from ray.exceptions import RayError

from pipelines.rows import Row, to_table, whole_row
from pipelines.run.assembly import join_task
from pipelines.run.stage_runner import RunContext
from pipelines.settings import Settings
from pipelines.telemetry.traces import add_span

__all__ = ["Joiner"]


class Joiner:
    """Items whose parts are all durable, on their way to final rows. An item whose task dies gives none: it is found missing.

    Args:
        settings: all settings.
        context: of the run.
        most: items that are joined at a time.
    """

    def __init__(self, settings: Settings, context: RunContext, most: int) -> None:
        self._settings, self._context, self._most = settings, context, most
        self._waiting: deque[Row] = deque()
        self._tasks: dict[ray.ObjectRef, tuple[Row, float]] = {}

    @property
    def idle(self) -> bool:
        """Whether nothing is joined, and nothing waits for it."""
        return not self._waiting and not self._tasks

    def add(self, row: Row) -> None:
        """Join an item. `row`: of any of its parts, pending."""
        self._waiting.append(row)
        self._start()

    def finished(self, seconds: float = 0.0) -> Iterator[Row]:
        """Final rows of the items that are joined.

        Args:
            seconds: to wait for one.
        """
        if not self._tasks:
            return
        done, _ = ray.wait(list(self._tasks), num_returns=1, timeout=seconds)
        for task in done:
            row, began = self._tasks.pop(task)
            try:
                table = ray.get(task)
            except RayError:
                continue
            finally:
                self._start()
                about = {"run_id": self._context.run_id, "media_kind": row["media_kind"], "items": 1}
                add_span("assemble", self._context.traceparent, began, time.time(), about)
            for final in table.to_pylist():
                yield whole_row(final)

    def _start(self) -> None:
        while self._waiting and len(self._tasks) < self._most:
            row = self._waiting.popleft()
            task = join_task(row["media_kind"], self._settings, self._context).remote(to_table([row]))
            self._tasks[task] = row, time.time()
