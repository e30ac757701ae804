"""`faitharchive restore`: the flow run from the command line, its summary printed, its exit code given."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import ExitStack
from datetime import UTC, datetime

import typer

from jobs.console.exit_codes import exit_code
from jobs.console.messages import warn
from jobs.console.summary import RunResult
from jobs.console.tables import print_summary
from jobs.console.terminal import ERR, OUT, print_line
from jobs.console.waits import PLANNING, patience, waiting
from jobs.service.environment import has_server
from pipelines.manifest.runs import new_run_id
from pipelines.run.outcome import Outcome
from pipelines.settings import Settings
from pipelines.telemetry import logs

__all__ = ["restore", "run_restore"]


def restore(settings: Settings) -> None:
    """Restore what is new or changed in SOURCE into OUTPUT.

    Photographs, films and frame sequences. Sources are never written to. Each result has a sidecar beside it and a row in
    the manifest under OUTPUT/_faitharchive.
    Running again continues and repeats nothing.
    """
    raise typer.Exit(run_restore(settings))


def run_restore(settings: Settings, damaged: Sequence[str] = ()) -> int:
    """Plan, run the flow if there is anything to do, and print the summary; the exit code.

    Args:
        settings: all settings.
        damaged: ids of items whose results are to be made again, whatever the manifest says.
    """
    from pipelines.plan.stores import open_stores

    logs.configure(settings.log_format, settings.log_level)
    with waiting("looking at both stores" + patience(settings.retry_seconds)):
        open_stores(settings)  # what is wrong with the command is said before anything takes its seconds to start
    if not settings.model_spec().trained:
        warn(f"preset {settings.preset} is untrained:", "the pipeline is real, the pictures are not restorations.")
    if has_server():
        return _run_flow(settings, damaged)  # which shows every run, also one that had nothing to do
    from jobs.restoration import handing_over, record_run, record_start, summarise, take_and_plan

    started, clock = datetime.now(UTC), time.monotonic()
    run_id = new_run_id(started)
    with ExitStack() as holding:
        with waiting(PLANNING):
            lease, plan = take_and_plan(settings, run_id, holding, damaged)
        for line in plan.why_waiting:
            print_line(line, "yellow", console=ERR)
        if plan.pending or plan.final_rows:
            with handing_over(run_id, lease, plan):
                return _run_flow(settings, damaged)
        record_start(settings, run_id, started)
        summary = summarise(plan, Outcome(), run_id, started, time.monotonic() - clock)
        record_run(settings, run_id, summary)
    print_summary(RunResult(**summary, failures=[]), settings, OUT)
    return exit_code(summary)


def _run_flow(settings: Settings, damaged: Sequence[str]) -> int:
    with waiting("starting Prefect, which keeps the record of runs"):
        from jobs.flows.restore import restore_and_print
        from jobs.service.server import start_own_server

        start_own_server()
    return restore_and_print(settings, damaged)
