"""What the flow and the command line share of a restoration: taking the output, planning, and a run's record.

Nothing here needs Prefect or Ray: a run that has nothing to do starts neither.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime

from jobs.console.progress import rate_per_hour
from jobs.console.summary import Summary
from pipelines.manifest.runs import all_runs_ended, write_run_record, write_run_start
from pipelines.plan.plan import Plan, make_plan
from pipelines.plan.stores import open_stores
from pipelines.run.outcome import Outcome
from pipelines.run.shard_board import clear_plans
from pipelines.settings import Settings
from pipelines.store.cleanup import clear_unfinished
from pipelines.store.lease import Lease, hold_lease
from pipelines.store.stores import stores_of

__all__ = [
    "handed_over",
    "handed_run_id",
    "handing_over",
    "record_run",
    "record_start",
    "summarise",
    "take_and_plan",
]

_SLACK = 30.0  # seconds that drivers of a dead run's shards get beyond their lease, to write down what they have done
# What the command line has planned, for the flow that it then starts: a plan is no parameter that Prefect can hold.
_HANDED: ContextVar[tuple[str, Lease, Plan] | None] = ContextVar("handed", default=None)


def take_and_plan(
    settings: Settings, run_id: str, holding: ExitStack, damaged: Collection[str] = ()
) -> tuple[Lease, Plan]:
    """Take the output, and compare: sources minus what is covered. Refuses what cannot work before any work starts.

    A try that fails gives the output back, so that nothing is held while somebody waits for the next.

    Args:
        settings: all settings.
        run_id: who takes the output.
        holding: gives the output back.
        damaged: ids of items that are pending whatever the manifest says.

    Raises:
        LeaseError: another run holds the output, or a driver of a dead run's shard does not end.
        StoreError: a store cannot be read or written.
    """
    stores = open_stores(settings)
    output = stores.output
    with ExitStack() as attempt:
        lease = attempt.enter_context(
            hold_lease(output, run_id=run_id, seconds=settings.lease_seconds, steal=settings.steal_lease)
        )
        output.check_writable()
        clear_plans(output, settings.lease_seconds + _SLACK)
        if not all_runs_ended(output):
            clear_unfinished(output, 0)  # what a run that died left behind; nobody else writes while we hold the lease
        plan = make_plan(settings, damaged=damaged, stores=stores)
        holding.push(attempt.pop_all())
    return lease, plan


@contextmanager
def handing_over(run_id: str, lease: Lease, plan: Plan) -> Iterator[None]:
    """Within the block the flow restores this plan under this lease, instead of making and taking its own."""
    token = _HANDED.set((run_id, lease, plan))
    try:
        yield
    finally:
        _HANDED.reset(token)


def handed_run_id() -> str:
    """The run that was planned before the flow began; empty if none was."""
    handed = _HANDED.get()
    return handed[0] if handed else ""


def handed_over() -> tuple[Lease, Plan] | None:
    """What was planned before the flow began; None if nothing was."""
    handed = _HANDED.get()
    return handed[1:] if handed else None


def summarise(plan: Plan, outcome: Outcome, run_id: str, started: datetime, seconds: float) -> Summary:
    """What a run did, as plain values; `seconds` from its start to now."""
    return {
        "run_id": run_id,
        "started_at": started.isoformat(),
        "finished_at": datetime.now(UTC).isoformat(),
        "restored": outcome.restored,
        "with_warnings": outcome.with_warnings,
        "warnings": outcome.warnings.commonest(),
        "failed": outcome.failed,
        "failed_by_code": dict(sorted(outcome.by_code.items())),
        "left": outcome.left,
        "stopped": outcome.stopped,
        "signal": outcome.signal,
        "already_done": plan.done,
        "quarantined": len(plan.quarantined),
        "pending_because": plan.counts(),
        "other_files": dict(sorted(plan.skipped.items())),
        "not_taken": plan.not_taken.listed(),
        "model_digest": plan.model_digest,
        "seconds": round(seconds, 3),
        "items_per_hour": round(rate_per_hour(outcome.restored + outcome.failed, seconds), 1),
    }


def record_start(settings: Settings, run_id: str, started: datetime) -> None:
    """Note in the output that a run has begun."""
    write_run_start(stores_of(settings).output, run_id, {"started_at": started.isoformat(), "only": settings.only})


def record_run(settings: Settings, run_id: str, summary: Summary) -> None:
    """Publish a run's record: the mark that the run came to its end and all its rows are in the manifest."""
    record = {**summary, "only": settings.only, "settings": settings.result_settings()}
    if not settings.disclosure:
        record["undisclosed_because"] = settings.undisclosed_because
    write_run_record(stores_of(settings).output, run_id, record)
