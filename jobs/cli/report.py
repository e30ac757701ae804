"""`faitharchive report`: an archive's state as a page."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from jobs.console.tables import printable
from pipelines.store.store import Store, StoreError

_out = Console()


def report(
    output: Annotated[str, typer.Argument(help="Folder or URL of the results.", show_default=False)],
    name: Annotated[str, typer.Option(help="Of the page; today's date by default.")] = "",
) -> None:
    """Make a page on what is restored, what failed and why, how faithful it is and how the runs went.

    It goes to OUTPUT/_faitharchive/reports, with its figures as JSON beside it.
    """
    _out.print(Text(f"Report: {printable(make(output, name))}"), soft_wrap=True)


def make(output: str, name: str = "") -> str:
    """Make and publish it; its URI.

    Raises:
        StoreError: there is no such store, or its manifest cannot be read.
        ValueError: the name is none for a file.
    """
    from pipelines.review.report import make_report, publish_report

    name = name or f"{datetime.now(UTC):%Y-%m-%d}"
    if not name.replace("-", "").replace("_", "").isalnum():
        raise ValueError(f"--name is {name!r}: use letters, digits, - and _")
    store = Store(output)
    if not store.exists():
        raise StoreError(f"output {store.uri('')}: there is no such folder; check the path")
    return publish_report(store, make_report(store), name)
