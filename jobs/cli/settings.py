"""`faitharchive settings`: every setting as a file to edit."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from jobs.settings.load import load_settings, settings_yaml

__all__ = ["settings"]


def settings(
    config: Annotated[Path | None, typer.Option("--config", "-c", help="YAML file to start from.")] = None,
) -> None:
    """Print every setting as a commented YAML file, for `--config`."""
    sys.stdout.write(settings_yaml(load_settings({}, config=config)))
