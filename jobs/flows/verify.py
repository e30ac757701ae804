"""The flow `verify-archive`: fixity of sources, results and sidecars, as a Prefect run."""

from __future__ import annotations

from typing import Annotated

from prefect import flow, task
from prefect.cache_policies import NO_CACHE
from pydantic import Field

from jobs.console.summary import Verification
from jobs.flows.artifacts import show_verification
from jobs.flows.restore import restore_and_print
from jobs.flows.states import UnsoundError, finished, is_retryable, refusals_as_states
from jobs.verification import PROBLEMS, VerifyOptions, run_verify
from pipelines.settings import Settings

__all__ = ["verify_archive", "verify_task"]


@task(
    name="verify",
    cache_policy=NO_CACHE,
    persist_result=False,
    retries=1,  # from the start: hours of reading, so not at once
    retry_delay_seconds=900,
    retry_condition_fn=is_retryable,
)
def verify_task(settings: Settings, options: VerifyOptions) -> tuple[int, Verification]:
    """Read and hash everything again; repair if the options say so."""
    return run_verify(settings, options, restore=restore_and_print)


@flow(name="verify-archive", persist_result=False)
@refusals_as_states
def verify_archive(
    settings: Settings,
    sample: Annotated[float, Field(gt=0, le=1)] = 1.0,
    results_only: bool = False,
    repair: bool = False,
) -> Verification:
    """Check the fixity of what is restored; the record.

    Args:
        settings: source, output, and those that results are made with if `repair`.
        sample: share of the items, others each time.
        results_only: leave the sources unread.
        repair: mend sidecars and lost rows, restore what is missing or altered.

    Raises:
        UnsoundError: problems were found, or with `repair` are left.
    """
    options = VerifyOptions(repair=repair, results_only=results_only, sample=sample)
    code, record = verify_task(settings, options)
    show_verification(record)
    if code >= PROBLEMS:
        raise UnsoundError(
            f"{record['items_with_problems']} of {record['items']} items have problems: record {record['id']} in "
            "_faitharchive/verifications says which and what to do"
        )
    return finished(f"{record['items']} items checked, all sound", record)
