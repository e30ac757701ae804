"""`faitharchive review`: an archive's results before people's eyes, in a browser on this machine."""

from __future__ import annotations

import getpass
import os
import sys
import webbrowser
from contextlib import suppress
from typing import Annotated

import typer

from jobs.console.messages import hint
from jobs.console.terminal import print_line
from pipelines.settings import Settings

__all__ = ["review"]


def review(
    output: Annotated[str, typer.Argument(help="Folder or URL of the results.", show_default=False)],
    port: Annotated[int, typer.Option(help="Of this machine's loopback; 0 is any that is free.", min=0, max=65535)] = 0,
    no_open: Annotated[bool, typer.Option("--no-open", help="Print the address and open no browser.")] = False,
    reviewer: Annotated[str, typer.Option(help="Your name, for decisions; the page can change it.")] = "",
    source: Annotated[
        str, typer.Option(help="Folder or URL of the scans, where they were moved since they were read.")
    ] = "",
    only: Annotated[str, typer.Option(help="Only sources that match this glob, such as '1924/*.tif'.")] = "",
) -> None:
    """Look at scans and results side by side in a browser, and decide what is kept, rejected or made again.

    The page is served to this machine alone, under an address that holds a random key. Decisions are added to
    OUTPUT/_faitharchive/reviews; several people may review at once. Sources and results are only read.

    Ctrl-C ends it.
    """
    from pipelines.review.review import Review
    from pipelines.review.server import ReviewServer
    from pipelines.review.tile_cache import review_cache

    shown = Review(
        output, source=source, only=only, reviewer=reviewer or _own_name(), cache=review_cache(), settings=Settings()
    )
    server = ReviewServer(shown, port)
    items = shown.gallery.total
    print_line(f"Review of {shown.output.uri('')}, {items} {'item' if items == 1 else 'items'}: {server.url}")
    hint("Ctrl-C ends it; decisions are kept as they are made. Whoever has the address can see the scans.")
    sys.stdout.flush()
    if not no_open:
        _open(server.url)
    with suppress(KeyboardInterrupt):
        server.run()


def _own_name() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a user without an entry, as in containers
        return ""


def _open(url: str) -> None:
    """Open a browser where there is a screen; none is no error."""
    if sys.platform == "linux" and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        return
    with suppress(webbrowser.Error, OSError):
        webbrowser.open(url)
