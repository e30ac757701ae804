"""`faitharchive report`: an archive's state as a page."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from jobs.console.tables import printable
from pipelines.review.report import make_and_publish

_out = Console()


def report(
    output: Annotated[str, typer.Argument(help="Folder or URL of the results.", show_default=False)],
    name: Annotated[str, typer.Option(help="Of the page; today's date by default.")] = "",
) -> None:
    """Make a page on what is restored, what failed and why, how faithful it is and how the runs went.

    It goes to OUTPUT/_faitharchive/reports, with its figures as JSON beside it.
    """
    _out.print(Text(f"Report: {printable(make_and_publish(output, name))}"), soft_wrap=True)
