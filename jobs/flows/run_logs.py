"""Our log lines in the page of a deployment's run, where whoever runs the nights looks first."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from prefect.logging.handlers import APILogHandler
from prefect.runtime import flow_run

from jobs.flows.states import deployed
from pipelines.telemetry import logs

__all__ = ["MOST_LINES", "log_to_run"]

# Of items only what went wrong, and of that no flood: each line is a row in Prefect's database, and the manifest has them all.
MOST_LINES = 1000


class _OfRun(logging.Filter):
    """Lines for a run's page; tells Prefect which run, also in threads that it knows nothing of.

    Args:
        run_id: Prefect's, of the flow run.
    """

    def __init__(self, run_id: str) -> None:
        super().__init__()
        self._run_id, self._lines = run_id, 0

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether a line is shown."""
        if record.levelno < logging.WARNING and "item_id" in getattr(record, "about", {}):
            return False
        if record.levelno < logging.ERROR and self._lines >= MOST_LINES:
            return False
        self._lines += 1
        record.flow_run_id = self._run_id
        return True


@contextmanager
def log_to_run() -> Iterator[None]:
    """Within the block, what happens to the run is told in its page; nothing changes outside of deployments."""
    if not deployed() or not flow_run.id:
        yield
        return
    handler = APILogHandler(logging.INFO)
    handler.setFormatter(logs.Lines())
    handler.addFilter(_OfRun(str(flow_run.id)))
    with logs.events_to(handler):
        yield
