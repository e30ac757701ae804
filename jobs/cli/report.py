"""`faitharchive report`: an archive's state as a page."""

from __future__ import annotations

from typing import Annotated

import typer

from jobs.console.terminal import print_line
from pipelines.review.report import CARDS, make_and_publish

__all__ = ["report"]


def report(
    output: Annotated[str, typer.Argument(help="Folder or URL of the results.", show_default=False)],
    name: Annotated[str, typer.Option(help="Of the page; today's date by default.")] = "",
    pictures: Annotated[int, typer.Option(help="Items to show before and after; 0 is none.", min=0)] = CARDS,
    source: Annotated[
        str, typer.Option(help="Folder or URL of the scans, where they were moved since they were read.")
    ] = "",
) -> None:
    """Make a page on what is restored, what failed and why, how faithful it is and how the runs went, with pictures.

    It goes to OUTPUT/_faitharchive/reports, with its figures as JSON beside it, and opens from there without a server. Its
    pictures lie in the folder `pictures` beside it, which all reports share: copy both.
    """
    print_line(f"Report: {make_and_publish(output, name, pictures=pictures, source=source).uri}")
