"""The list of commands costs nothing to print, and says what the commands say of themselves."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from jobs.cli.commands import COMMANDS
from jobs.cli.main import app


@pytest.mark.parametrize("name", COMMANDS)
def test_the_list_says_what_the_command_says(name: str) -> None:
    command = get_command(app).commands[name]  # type: ignore[attr-defined]
    assert command.name == name
    assert " ".join(command.help.split("\n\n")[0].split()) == COMMANDS[name].help


def test_help_lists_every_command_and_imports_none() -> None:
    code = (
        "import sys\nfrom jobs.cli.main import app\n"
        "try:\n    app(['--help'])\nexcept SystemExit:\n    pass\n"
        "heavy = ('pydantic', 'pyarrow', 'pandas', 'numpy', 'prefect', 'ray', 'torch')\n"
        "print('loaded:', *[name for name in heavy if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout.splitlines()[-1] == "loaded:"
    for name in COMMANDS:
        assert f"│ {name} " in done.stdout


def test_help_comes_at_once() -> None:
    command = [sys.executable, "-m", "jobs", "--help"]
    took = []
    for _ in range(5):
        began = time.monotonic()
        subprocess.run(command, capture_output=True, timeout=120, check=True)
        took.append(time.monotonic() - began)
    assert min(took) < 1.5  # 0.5 s on a quiet machine, 2.5 s before; the rest is for neighbours


def test_version() -> None:
    from importlib.metadata import version

    shown = CliRunner().invoke(app, ["--version"])
    assert (shown.exit_code, shown.stdout.strip()) == (0, f"faitharchive {version('faitharchive')}")


def test_a_mistyped_command_is_told_the_one_that_was_meant() -> None:
    refused = CliRunner().invoke(app, ["manifst"])
    assert refused.exit_code == 2 and "manifest" in refused.output


def test_completion_names_the_commands() -> None:
    code = "import sys; sys.argv = ['faitharchive']; from jobs.cli.main import main; main()"
    asked = {"_FAITHARCHIVE_COMPLETE": "complete_bash", "COMP_WORDS": "faitharchive re", "COMP_CWORD": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, **asked},
        check=False,
    )
    assert done.stdout.split() == ["restore", "report", "review"]


def test_the_help_of_verify_is_about_verifying() -> None:
    shown = CliRunner().invoke(app, ["verify", "--help"], env={"COLUMNS": "100"}).output
    assert len(shown.splitlines()) < 70  # there were 300
    assert "--results-only" in shown
    assert "--upscale" not in shown
