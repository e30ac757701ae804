"""`faitharchive explain`: the glossary."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from jobs.console.glossary import GLOSSARY, find
from jobs.console.terminal import OUT

__all__ = ["explain"]


def explain(
    word: Annotated[
        list[str] | None, typer.Argument(help="A word, or several; none lists all.", show_default=False)
    ] = None,
) -> None:
    """Say in plain words what a word means that commands, settings and reports use."""
    if word:
        name, meaning = find(" ".join(word))
        OUT.print(Text.assemble((name, "bold"), ": ", meaning))
        return
    table = Table(show_header=False, box=None, padding=(0, 2, 1, 0))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, meaning in GLOSSARY.items():
        table.add_row(name, meaning)
    OUT.print(table)
