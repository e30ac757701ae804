"""The reference of jobs/README.md has every command and every flag of the command line, and no other."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import typer
from typer.main import get_command

from jobs.cli.main import app
from pipelines.settings import Settings

README = Path(__file__).parents[3] / "jobs" / "README.md"
SETTINGS = "Settings of a restoration"
# The commands that take settings of a restoration as flags; what they share is described once.
SHARE = {"restore", "work", "plan", "doctor", "verify", "serve", "attribute"}


def _flags(app: typer.Typer) -> dict[str, set[str]]:
    """The flags of each command, by its words."""

    def walk(command: object, name: str) -> Iterator[tuple[str, set[str]]]:
        for word, inner in getattr(command, "commands", {}).items():
            yield from walk(inner, f"{name} {word}".strip())
        if not hasattr(command, "commands"):
            options = [p for p in getattr(command, "params", ()) if p.param_type_name == "option"]
            yield name, {flag for option in options for flag in (*option.opts, *option.secondary_opts)}

    return dict(walk(get_command(app), ""))


def _described(text: str) -> dict[str, set[str]]:
    """The flags of each section of the reference, by the command's words or the section's title."""
    sections = re.split(r"^#{3,4} ", text, flags=re.MULTILINE)[1:]
    described = {}
    for section in sections:
        title, _, body = section.partition("\n")
        rows = re.findall(r"^\| (`-.*?) \| (.*) \|$", body, re.MULTILINE)
        assert all(meaning.endswith(".") for _, meaning in rows), title
        name = title.removeprefix("`faitharchive ").rstrip("`")
        described[name] = {flag for flags, _ in rows for flag in re.findall(r"`(-[\w-]+)`", flags)}
    return described


def _differences(app: typer.Typer, text: str) -> list[str]:
    described, flags = _described(text), _flags(app)
    shared = described.get(SETTINGS, set())
    found = [f"no section for {name}" for name in flags if name not in described]
    found += [f"{flag} of {SETTINGS} is no flag of restore" for flag in sorted(shared - flags.get("restore", set()))]
    for name, there in flags.items():
        told = described.get(name, set())
        known = told | (shared if name in SHARE else set())
        found += [f"{name} {flag} is not described" for flag in sorted(there - known)]
        found += [f"{name} {flag} does not exist" for flag in sorted(told - there)]
    return found


def test_every_command_and_flag_is_described_and_no_other() -> None:
    flags = _flags(app)
    assert {"restore", "train", "manifest show"} <= set(flags)
    assert len(flags["restore"]) > len(Settings.model_fields) - 2
    assert _differences(app, README.read_text(encoding="utf-8")) == []


def test_a_flag_that_is_not_described_is_found() -> None:
    other = typer.Typer()

    @other.command()
    def restore(new: bool = False) -> None: ...

    @other.command()
    def copy() -> None: ...

    text = "### Doing\n#### `faitharchive restore`\n| `--old` | It is old. |\n| `--new` | It is new. |\n"
    assert _differences(other, text) == [
        "no section for copy", "restore --no-new is not described", "restore --old does not exist",
    ]  # fmt: skip
