"""`faitharchive verify`: are sources, results and sidecars still what they were when they were restored?"""

from __future__ import annotations

from typing import Annotated

import typer

from jobs.cli.restore import run_restore
from jobs.verification import VerifyOptions, run_verify
from pipelines.settings import Settings

__all__ = ["verify"]


def verify(
    settings: Settings,
    repair: Annotated[
        bool,
        typer.Option(
            "--repair",
            help="Write sidecars and lost rows again, then run restore for what is missing or altered; --redo includes "
            "altered sources.",
        ),
    ] = False,
    results_only: Annotated[
        bool, typer.Option("--results-only", help="Check results and sidecars; leave the sources unread.")
    ] = False,
    sample: Annotated[float, typer.Option(help="Check this share of the items, others each time.")] = 1.0,
    limit: Annotated[int, typer.Option(help="Problems to show.", min=0)] = 50,
) -> None:
    """Check the fixity of what is restored: sources and results are read and hashed again, sidecars compared.

    Every item that the manifest calls restored is checked against the hashes of the time. Nothing is changed without
    --repair, and sources never are. A record goes to OUTPUT/_faitharchive/verifications.

    A source whose bytes changed while its size and time did not has decayed, or was tampered with: bring it back from a copy.
    Its result is not made again unless --repair --redo says so.

    It takes all settings of restore, too, with which --repair restores: faitharchive restore --help.

    Exit codes: 0 all sound, 1 problems found (with --repair: still left), 2 could not run.
    """
    options = VerifyOptions(repair=repair, results_only=results_only, sample=sample, limit=limit)
    code, _ = run_verify(settings, options, restore=run_restore)
    raise typer.Exit(code)
