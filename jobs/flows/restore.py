"""The flow `restore-archive`: plan, run, commit, summary, each a task. The command line and deployments call this one flow."""

from __future__ import annotations

import time
from collections.abc import Collection
from contextlib import ExitStack
from datetime import UTC, datetime
from functools import partial
from typing import Any, TypeVar, cast

from prefect import flow, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.runtime import flow_run
from prefect.utilities.annotations import quote

from jobs.console.exit_codes import exit_code
from jobs.console.progress import RunProgress
from jobs.console.summary import Failure, RunResult, Summary
from jobs.console.tables import print_summary
from jobs.console.terminal import ERR, OUT
from jobs.flows.artifacts import show_report, show_run
from jobs.flows.run_logs import log_to_run
from jobs.flows.shards import restore_in_shards
from jobs.flows.states import PATIENT, copy_state, emit_run_event, final_state, is_retryable, refusals_as_states
from jobs.restoration import handed_over, handed_run_id, record_run, record_start, summarise, take_and_plan
from pipelines.manifest.runs import new_run_id
from pipelines.plan.plan import Plan
from pipelines.plan.slices import shard_count
from pipelines.review.report import NIGHTLY_CARDS, Published, make_and_publish
from pipelines.rows import FAILED, Row
from pipelines.run.cluster import connected
from pipelines.run.driver import run
from pipelines.run.outcome import Outcome
from pipelines.run.stop import Stop, on_purpose
from pipelines.settings import Settings
from pipelines.store.lease import Lease

__all__ = [
    "commit_task",
    "plan_task",
    "report_task",
    "restore_and_print",
    "restore_archive",
    "run_task",
    "summary_task",
]

T = TypeVar("T")

_SHOWN_FAILURES = 50
# Rows are never kept as Prefect results: the manifest is the record, and results would copy it into Prefect's own store.
# What fails in passing is tried again; nothing else is.
_TASK: dict[str, Any] = {"cache_policy": NO_CACHE, "persist_result": False, "retry_condition_fn": is_retryable}


@task(name="plan", **_TASK, **PATIENT)
@refusals_as_states
def plan_task(
    settings: Settings, run_id: str, holding: ExitStack, damaged: Collection[str] = ()
) -> tuple[Lease, Plan] | State:
    """Take the output, and compare: sources minus what is covered. Refuses what cannot work before any work starts.

    A try that fails gives the output back, so that nothing is held while it waits for the next.

    Args:
        settings: all settings.
        run_id: who takes the output.
        holding: gives the output back.
        damaged: ids of items that are pending whatever the manifest says.

    Returns:
        The lease and the plan, `_opaque`; or a refusal.
    """
    lease, plan = handed_over() or take_and_plan(settings, run_id, holding, damaged)
    return _opaque((lease, plan))


# A Ray cluster whose head is just starting; what happens later is `run`'s own to mend.
@task(name="run", **_TASK, retries=2, retry_delay_seconds=[30, 120])
def run_task(plan: Plan, settings: Settings, lease: Lease, flow_run_id: str) -> tuple[Outcome, list[Failure]]:
    """Restore what is pending on Ray, with progress on the terminal. Without pending items Ray is not even started."""
    failures: list[Failure] = []
    progress, stop = _progress(plan, settings)

    def on_row(row: Row) -> None:
        progress(row)
        _note_failure(failures, row)

    for row in plan.final_rows:
        _note_failure(failures, row)
    restore = partial(run, plan, settings, run_id=lease.run_id, flow_run_id=flow_run_id, lease=lease, stop=stop)
    if not plan.pending:
        return restore(), failures
    with progress, connected(settings):  # Ray takes seconds to start, and to end
        return restore(on_row=on_row, on_part=progress.part, on_frames=progress.frames), failures


def _run_shards(plan: Plan, settings: Settings, lease: Lease, shards: int) -> tuple[Outcome, list[Failure]]:
    """The same in shards. No task: each shard is a flow within this one, which a task cannot have."""
    progress, stop = _progress(plan, settings)
    failures: list[Failure] = []
    for row in plan.final_rows:
        _note_failure(failures, row)
    with progress:
        outcome, more = restore_in_shards(plan, settings, lease, stop, shards, progress.counts)
    return outcome, [*failures, *more][:_SHOWN_FAILURES]


def _progress(plan: Plan, settings: Settings) -> tuple[RunProgress, Stop]:
    """What is shown while a run goes on, and what ends it early, which is shown, too."""
    progress, stop = RunProgress(len(plan.pending), ERR), Stop()

    def on_stop() -> None:
        if on_purpose(stop.reason, stop.signal):  # the summary says what else ended it
            progress.ending(stop.reason, settings.drain_seconds)

    stop.when_requested(on_stop)
    return progress, stop


@task(name="commit", **_TASK, retries=2, retry_delay_seconds=[30, 120])
def commit_task(settings: Settings, run_id: str, summary: Summary) -> None:
    """Publish the run's record: the mark that the run came to its end and all its rows are in the manifest."""
    record_run(settings, run_id, summary)


@task(name="summary", **_TASK)
def summary_task(plan: Plan, outcome: Outcome, run_id: str, started: datetime, seconds: float) -> Summary:
    """What the run did, as plain values."""
    return summarise(plan, outcome, run_id, started, seconds)


@task(name="report", **_TASK, **PATIENT)
def report_task(output: str, name: str, pictures: int = NIGHTLY_CARDS) -> Published:
    """A page on the archive's state in the output store."""
    return make_and_publish(output, name, pictures=pictures)


@flow(name="restore-archive", persist_result=False)
@refusals_as_states
def restore_archive(settings: Settings, damaged: list[str] | None = None, report: bool = False) -> RunResult:
    """Restore what is new in an archive. Holds the output store for the time: a second run on it is refused.

    Args:
        settings: at least `source` and `output`; the rest has defaults.
        damaged: ids of items whose results are known to be altered, and are made again.
        report: make a page on the archive's state afterwards.

    Returns:
        The summary, with the first failures under `failures`.
    """
    started, clock = datetime.now(UTC), time.monotonic()
    run_id = handed_run_id() or new_run_id(started)
    with log_to_run(), ExitStack() as holding:
        planned = plan_task(settings, run_id, _opaque(holding), damaged or ())
        if isinstance(planned, State):
            return cast("RunResult", copy_state(planned))  # in truth a state, which Prefect takes as this run's
        lease, plan = _plain(planned)
        record_start(settings, run_id, started)
        shards = shard_count(settings.shards, len(plan.pending))
        if shards > 1:
            outcome, failures = _run_shards(plan, settings, lease, shards)
        else:
            outcome, failures = run_task(_opaque(plan), settings, _opaque(lease), str(flow_run.id or ""))
        summary = summary_task(_opaque(plan), outcome, run_id, started, time.monotonic() - clock)
        try:
            if not lease.lost:
                commit_task(settings, run_id, summary)
        except OSError:
            if not outcome.stopped:  # a store that is full or down is why it stopped, and cannot take the record either
                raise
    show_run(summary, failures)
    emit_run_event(settings.output, summary)
    if report and not lease.lost:
        show_report(report_task(settings.output, run_id.replace(".", "-")))
    return final_state(summary, RunResult(**summary, failures=failures))


def restore_and_print(settings: Settings, damaged: Collection[str] = ()) -> int:
    """Run the flow and print its summary; the exit code.

    Args:
        settings: all settings.
        damaged: ids of items whose results are to be made again, whatever the manifest says.
    """
    summary = restore_archive(settings, list(damaged))
    print_summary(summary, settings, OUT)
    return exit_code(summary)


def _note_failure(failures: list[Failure], row: Row) -> None:
    if row["status"] == FAILED and len(failures) < _SHOWN_FAILURES:
        failures.append(
            Failure(
                source_path=row["source_path"] or "",
                error_stage=row["error_stage"] or "",
                error_code=row["error_code"] or "",
                error_reason=row["error_reason"] or "",
            )
        )


def _opaque(value: T) -> T:
    """A value that Prefect does not look into, and hands to a task as it is: it would walk through a plan row by row."""
    return cast("T", quote(value))


def _plain(value: T) -> T:
    """A task's result, which Prefect leaves opaque."""
    return cast("T", value.unquote()) if isinstance(value, quote) else value
