"""`faitharchive demo`: a small archive, restored."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from jobs.cli.restore import run_restore
from jobs.console.terminal import OUT

__all__ = ["demo"]


def demo(
    folder: Annotated[Path, typer.Argument(help="Where to make the demo.")] = Path("demo"),
) -> None:
    """Make a small archive of real photographs and a film clip, restore it, and say what to open."""
    from jobs.samples.demo import run_demo

    raise typer.Exit(run_demo(folder, OUT, run_restore))
