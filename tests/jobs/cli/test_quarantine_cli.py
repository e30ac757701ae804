"""Quarantine as three commands tell it: the same items, whichever is asked."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest
from archive_steps import archive_settings, restore_without_model, save_photo
from typer.testing import CliRunner

from jobs.cli.main import app
from pipelines.settings import Settings

BAD = ("bad.png", "worse.png")


def call(*arguments: str) -> str:
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code in (0, 1), done.output
    return done.stdout


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A good photograph, and two that have failed in as many runs as they may."""
    monkeypatch.setenv("COLUMNS", "200")
    settings = archive_settings(tmp_path, preset="nano", max_attempts=2)
    save_photo(Path(settings.source) / "good.png")
    for name in BAD:
        (Path(settings.source) / name).write_bytes(b"\x89PNG\r\n\x1a\n, and no more")
    for _ in range(2):
        restore_without_model(settings)
    return settings


def counts(planned: str) -> dict[str, int]:
    """The plan's table: items by what becomes of them."""
    cells = [[cell.strip() for cell in line.split("│")[1:-1]] for line in planned.splitlines()]
    return {row[0]: int(row[1]) for row in cells if len(row) == 2 and row[1].isdecimal()}


def exported(settings: Settings) -> list[str]:
    rows = csv.DictReader(io.StringIO(call("manifest", "export", settings.output, "-", "--status", "quarantined")))
    return sorted(row["source_path"] for row in rows)


def test_plan_status_and_manifest_agree_on_what_is_quarantined(settings: Settings) -> None:
    stores, flags = (settings.source, settings.output), ("--preset", "nano", "--steps", "1", "--max-attempts", "2")
    found = counts(call("plan", *stores, *flags))
    assert found["failed too often: the next restore quarantines them (--redo tries them)"] == 2
    assert "quarantined (--redo tries them)" not in found  # as the manifest says, which has failures so far
    assert exported(settings) == []

    restore_without_model(settings)  # the run that puts them aside
    assert counts(call("plan", *stores, *flags))["quarantined (--redo tries them)"] == 2
    told = call("restore", *stores, *flags)
    assert "2 quarantined after repeated failures; --redo tries them again" in told
    status = json.loads(call("status", settings.output, "--json"))
    assert status["record"]["quarantined"] == 2
    assert "--status quarantined" in status["advice"]
    assert exported(settings) == sorted(BAD)
