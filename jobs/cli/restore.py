"""`faitharchive restore`: the flow run from the command line, its summary printed, its exit code given."""

from __future__ import annotations

from collections.abc import Sequence

import typer

from jobs.console.messages import warn
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
    """Run the flow and print its summary; the exit code.

    Args:
        settings: all settings.
        damaged: ids of items whose results are to be made again, whatever the manifest says.
    """
    from pipelines.plan.stores import open_stores

    logs.configure(settings.log_format, settings.log_level)
    open_stores(settings)  # what is wrong with the command is said before Prefect takes its seconds to start
    from jobs.flows.restore import restore_and_print
    from jobs.service.server import start_own_server

    start_own_server()
    if not settings.model_spec().trained:
        warn(f"preset {settings.preset} is untrained:", "the pipeline is real, the pictures are not restorations.")
    return restore_and_print(settings, damaged)
