"""The flow `backfill-archive`: an old archive, part after part, each a run of `restore-archive`."""

from __future__ import annotations

import time
from typing import Annotated

from prefect import flow
from prefect.logging import get_run_logger
from pydantic import Field

from jobs.console.summary import Counts, PartResult
from jobs.flows.restore import restore_archive
from jobs.flows.states import final_state, refusals_as_states
from pipelines.settings import Settings

__all__ = ["backfill_archive"]


@flow(name="backfill-archive", persist_result=False)
@refusals_as_states
def backfill_archive(settings: Settings, parts: Annotated[list[str], Field(min_length=1)]) -> list[PartResult]:
    """Restore parts of an archive in order, with one time budget for all; what is left is for the next run.

    Each part is a run of its own, so its manifest rows and its record are there when it ends.

    Args:
        settings: as of a nightly run; `budget_hours` is for all parts together, `only` must be empty.
        parts: globs of source paths, such as `1924/*`.

    Raises:
        ValueError: `only` is set.
    """
    if settings.only:
        raise ValueError(f"only is {settings.only!r}: a backfill takes its globs from parts; leave only empty")
    logger, started = get_run_logger(), time.monotonic()
    done: list[PartResult] = []
    for part in parts:
        left = settings.budget_hours - (time.monotonic() - started) / 3600
        if settings.budget_hours and left <= 0:
            logger.info("the time budget is spent; %d parts are left to the next run", len(parts) - len(done))
            break
        budget = {"budget_hours": left} if settings.budget_hours else {}
        summary = restore_archive(settings.model_copy(update={"only": part, **budget}))
        done.append(PartResult(part=part, **summary))
        if summary["signal"] or summary["stopped"]:
            break
    total = Counts(
        restored=sum(part["restored"] for part in done),
        with_warnings=sum(part["with_warnings"] for part in done),
        failed=sum(part["failed"] for part in done),
        already_done=sum(part["already_done"] for part in done),
        quarantined=sum(part["quarantined"] for part in done),
        left=done[-1]["left"] if done else 0,
        stopped=done[-1]["stopped"] if done else "",
        signal=done[-1]["signal"] if done else 0,
    )
    more = f"; {len(parts) - len(done)} parts were not begun" if len(done) < len(parts) else ""
    return final_state(total, done, more)
