"""`faitharchive plan`: what a restoration would do."""

from __future__ import annotations

from typing import Annotated

import typer

from jobs.console.tables import print_plan
from jobs.console.terminal import OUT
from jobs.console.waits import PLANNING, patience, waiting
from pipelines.settings import Settings

__all__ = ["plan"]


def plan(settings: Settings, limit: Annotated[int, typer.Option(help="Items to list.", min=0)] = 20) -> None:
    """Show what `restore` would do and why, without doing it."""
    from pipelines.plan.plan import make_plan

    with waiting(PLANNING + patience(settings.retry_seconds)):
        found = make_plan(settings)
    print_plan(found, settings, OUT, limit)
