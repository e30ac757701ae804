"""The command line as a process, on a small machine's settings."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

FAST = ["--preset", "nano", "--cpus", "2", "--object-store-mb", "200"]


def start(*arguments: str | Path, **environment: str) -> subprocess.Popen[str]:
    """Start a command in a process group of its own; what it prints is piped."""
    command = [sys.executable, "-c", "from jobs.cli.main import main; main()", *map(str, arguments)]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
        env={**os.environ, "COLUMNS": "200", **environment},
    )  # fmt: skip
