"""The flow `restore-archive`: plan, run, commit, summary, each a task. The command line and deployments call this one flow."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any

from prefect import flow, task
from prefect.cache_policies import NO_CACHE
from prefect.runtime import flow_run
from prefect.utilities.annotations import quote
from rich.console import Console

from jobs.progress import RunProgress, rate_per_hour
from pipelines.cluster import connected
from pipelines.manifest import new_run_id, write_run_record
from pipelines.plan import Plan, make_plan
from pipelines.restore import Outcome, run
from pipelines.rows import FAILED, Row
from pipelines.settings import Settings
from pipelines.storage import Store

_SHOWN_FAILURES = 50
# Rows are never kept as Prefect results: the manifest is the record, and results would copy it into Prefect's own store.
_TASK: dict[str, Any] = {"cache_policy": NO_CACHE, "persist_result": False}


@task(name="plan", **_TASK)
def plan_task(settings: Settings) -> Any:
    """Sources minus what is covered; refuses an output that cannot be written before any work starts."""
    plan = make_plan(settings)
    Store(settings.output).check_writable()
    return _opaque(plan)


@task(name="run", **_TASK)
def run_task(plan: Plan, settings: Settings, run_id: str, flow_run_id: str) -> Any:
    """Restore what is pending on Ray, with progress on the terminal. Without pending items Ray is not even started."""
    failures: list[dict[str, str]] = []
    progress = RunProgress(len(plan.pending), Console(stderr=True))

    def on_row(row: Row) -> None:
        progress(row)
        _note_failure(failures, row)

    for row in plan.settled:
        _note_failure(failures, row)
    if not plan.pending:
        return run(plan, settings, run_id=run_id, flow_run_id=flow_run_id), failures
    with connected(settings), progress:
        return run(plan, settings, run_id=run_id, flow_run_id=flow_run_id, on_row=on_row), failures


@task(name="commit", **_TASK)
def commit_task(settings: Settings, run_id: str, summary: dict[str, Any]) -> None:
    """Publish the run's record: the mark that the run came to its end and all its rows are in the manifest."""
    write_run_record(Store(settings.output), run_id, {**summary, "settings": settings.result_settings()})


@task(name="summary", **_TASK)
def summary_task(plan: Plan, outcome: Outcome, run_id: str, started: datetime, seconds: float) -> dict[str, Any]:
    """What the run did, as plain values."""
    return {
        "run_id": run_id,
        "started_at": started.isoformat(),
        "finished_at": datetime.now(UTC).isoformat(),
        "restored": outcome.restored,
        "failed": outcome.failed,
        "failed_by_code": dict(sorted(outcome.by_code.items())),
        "already_done": plan.done,
        "quarantined": len(plan.quarantined),
        "pending_because": plan.counts(),
        "not_photographs": dict(sorted(plan.skipped.items())),
        "model_digest": plan.model_digest,
        "seconds": round(seconds, 3),
        "items_per_hour": round(rate_per_hour(outcome.restored + outcome.failed, seconds), 1),
    }


@flow(name="restore-archive", persist_result=False)
def restore_archive(settings: dict[str, Any]) -> dict[str, Any]:
    """Restore what is new in an archive.

    Args:
        settings: fields of `pipelines.settings.Settings`; at least `source` and `output`.

    Returns:
        The summary, with the first failures under `failures`.
    """
    checked = Settings(**settings)
    started = datetime.now(UTC)
    run_id = new_run_id(started)
    clock = time.monotonic()
    plan: Plan = _unquoted(plan_task(checked))
    ran: Any = run_task(_opaque(plan), checked, run_id, str(flow_run.id or ""))
    outcome, failures = ran
    summary = summary_task(_opaque(plan), outcome, run_id, started, time.monotonic() - clock)
    commit_task(checked, run_id, summary)
    return {**summary, "failures": failures}


def _note_failure(failures: list[dict[str, str]], row: Row) -> None:
    if row["status"] == FAILED and len(failures) < _SHOWN_FAILURES:
        failures.append(
            {name: row[name] or "" for name in ("source_path", "error_stage", "error_code", "error_reason")}
        )


def _opaque(plan: Plan) -> Any:
    """The plan as Prefect should see it: not to be walked through row by row in search of futures."""
    return quote(plan)


def _unquoted(value: Any) -> Any:
    return value.unquote() if isinstance(value, quote) else value
