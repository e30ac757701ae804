"""What a command says beside its results, on stderr: warnings, hints and errors, as JSON where the logs are."""

from __future__ import annotations

import logging

from rich.console import Console
from rich.text import Text

from faithdiff_model.redaction import redact
from jobs.console.tables import printable
from pipelines.telemetry import logs

_err = Console(stderr=True)


def warn(label: str, text: str) -> None:
    """Print a warning; `label` may stand out."""
    if logs.is_json():
        logs.event(logging.WARNING, f"{label} {text}")
    else:
        _err.print(f"[yellow]{label}[/] {text}")


def hint(text: str) -> None:
    """Print what a user may do next."""
    if logs.is_json():
        logs.event(logging.INFO, text)
    else:
        _err.print(text)


def print_error(text: str) -> None:
    """One line; what it quotes comes from outside, so only the label has markup."""
    if logs.is_json():
        logs.event(logging.ERROR, text)
        return
    _err.print("[bold red]error:[/]", end=" ")
    _err.print(Text(printable(redact(text))), soft_wrap=True)
