"""The flow `backfill-archive`: an old archive, part after part, each a run of `restore-archive`."""

from __future__ import annotations

import time
from typing import Annotated, Any

from prefect import flow
from prefect.logging import get_run_logger
from pydantic import Field

from jobs.flows.restore import restore_archive
from jobs.flows.states import final_state, refusals_as_states
from pipelines.settings import Settings


@flow(name="backfill-archive", persist_result=False)
@refusals_as_states
def backfill_archive(settings: Settings, parts: Annotated[list[str], Field(min_length=1)]) -> list[dict[str, Any]]:
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
    done: list[dict[str, Any]] = []
    for part in parts:
        left = settings.budget_hours - (time.monotonic() - started) / 3600
        if settings.budget_hours and left <= 0:
            logger.info("the time budget is spent; %d parts are left to the next run", len(parts) - len(done))
            break
        changes: dict[str, Any] = {"only": part}
        if settings.budget_hours:
            changes["budget_hours"] = left
        summary = restore_archive(settings.model_copy(update=changes))
        done.append({"part": part, **summary})
        if summary["signal"] or summary["stopped"]:
            break
    total = {name: sum(part[name] for part in done) for name in ("restored", "failed", "already_done", "quarantined")}
    unfinished = done[-1] if done else {"signal": 0, "stopped": "", "left": 0}
    more = f"; {len(parts) - len(done)} parts were not begun" if len(done) < len(parts) else ""
    parts_done: list[dict[str, Any]] = final_state({**unfinished, **total}, done, more)
    return parts_done
