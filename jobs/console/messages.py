"""What a command says beside its results, on stderr: warnings, hints and errors, as JSON where the logs are."""

from __future__ import annotations

import logging

from faithdiff_model.redaction import redact
from jobs.console.terminal import ERR, print_line
from pipelines.telemetry import logs

__all__ = ["hint", "print_error", "warn"]


def warn(label: str, text: str) -> None:
    """Print a warning; `label` may stand out."""
    if logs.is_json():
        logs.event(logging.WARNING, f"{label} {text}")
    else:
        ERR.print(f"[yellow]{label}[/] {text}")


def hint(text: str) -> None:
    """Print what a user may do next."""
    if logs.is_json():
        logs.event(logging.INFO, text)
    else:
        ERR.print(text)


def print_error(text: str) -> None:
    """One line; what it quotes comes from outside, so only the label has markup."""
    if logs.is_json():
        logs.event(logging.ERROR, text)
        return
    ERR.print("[bold red]error:[/]", end=" ")
    print_line(redact(text), console=ERR)
