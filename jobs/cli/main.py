"""The command line: commands parse, build settings, call and print.

Exit codes: 0 all done, 1 some failed, 2 nothing ran, 3 stopped before the end; 130 and 143 interrupted (128 + signal).
"""

from __future__ import annotations

import os
import signal
import sys
from typing import Annotated

import typer

from jobs.cli.commands import CommandGroup
from jobs.console.exit_codes import NOTHING_RAN, SIGNALLED
from jobs.console.messages import hint, print_error

__all__ = ["app", "main"]

app = typer.Typer(
    cls=CommandGroup,
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    help="Restores archives of old photographs and film faithfully, and says what was done to each.\n\nStart with "
    "[bold]faitharchive demo[/], then [bold]faitharchive restore SCANS RESTORED[/]. "
    "[bold]faitharchive explain WORD[/] says what a word means.",
    epilog="Exit codes: 0 all done, 1 some items failed, 2 bad usage or nothing could run, 3 stopped before the end (store "
    "full or down, or taken over), 130 or 143 interrupted; the same command continues.",
)


def _print_version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        typer.echo(f"faitharchive {version('faitharchive')}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None: ...


def main() -> None:
    """Entry point: what a user can mend becomes one line and exit code 2."""
    try:
        app()
    except (ValueError, OSError) as error:
        # Our own errors name the file, the fault and the remedy; ValueError is their common base.
        print_error(" ".join(str(error).split()) or type(error).__name__)
        sys.exit(NOTHING_RAN)
    except Exception as error:
        # Not ours to explain: a fault in the cluster or in our code. The details are for whoever looks into it.
        if os.environ.get("FAITHARCHIVE_DEBUG"):
            raise
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        print_error(f"{type(error).__name__}: {lines[-1] if lines else ''}")
        hint("what was finished is kept; run again to continue, with FAITHARCHIVE_DEBUG=1 for the details")
        sys.exit(NOTHING_RAN)
    except KeyboardInterrupt:  # before or after the part of a run that drains
        hint("interrupted; run the same command again to continue")
        sys.exit(SIGNALLED + signal.SIGINT)
