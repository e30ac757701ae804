"""`faitharchive report`: an archive's state as a page."""

from __future__ import annotations

from typing import Annotated

import typer

from jobs.console.terminal import print_line
from pipelines.review.report import make_and_publish

__all__ = ["report"]


def report(
    output: Annotated[str, typer.Argument(help="Folder or URL of the results.", show_default=False)],
    name: Annotated[str, typer.Option(help="Of the page; today's date by default.")] = "",
) -> None:
    """Make a page on what is restored, what failed and why, how faithful it is and how the runs went.

    It goes to OUTPUT/_faitharchive/reports, with its figures as JSON beside it.
    """
    print_line(f"Report: {make_and_publish(output, name)}")
