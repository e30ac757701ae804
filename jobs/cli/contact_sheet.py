"""`faitharchive contact-sheet`: scans and results side by side as a picture."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from jobs.console.terminal import print_line
from pipelines.review.contact_sheet import SUFFIXES, sheets

__all__ = ["contact_sheet"]

_QUALITY = 90


def contact_sheet(
    output: Annotated[str, typer.Argument(help="Folder or URL of the results.", show_default=False)],
    file: Annotated[Path, typer.Argument(help=f"Picture to write: {', '.join(SUFFIXES)}.", show_default=False)],
    source: Annotated[str, typer.Option(help="Folder or URL of the scans, where they have moved.")] = "",
    only: Annotated[str, typer.Option(help="Only sources that match this glob.")] = "",
    items: Annotated[int, typer.Option(help="Items to show, spread over all that match.", min=1)] = 40,
    lines: Annotated[int, typer.Option(help="Items a picture; more go to sheet-2.jpg and so on.", min=1, max=40)] = 8,
    overwrite: Annotated[bool, typer.Option(help="Write over pictures that are there.")] = False,
) -> None:
    """Draw scans beside their results at 100%, each where it has most detail, and the marks that were found.

    A picture is 1,248 pixels wide. What is there is never written over unless it is asked for.
    """
    suffix = file.suffix.lower()
    if suffix not in SUFFIXES:
        raise ValueError(f"{file}: is no picture's name; end it in one of {', '.join(SUFFIXES)}")
    for number, sheet in enumerate(sheets(output, source=source, only=only, items=items, lines=lines)):
        page = file if not number else file.with_stem(f"{file.stem}-{number + 1}")
        if page.exists() and not overwrite:
            raise ValueError(f"{page}: is there already; choose another name, or give --overwrite")
        sheet.save(page, quality=_QUALITY)
        print_line(f"Sheet: {page}")
