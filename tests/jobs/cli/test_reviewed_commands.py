"""What people decided in a review, as commands show and honour it: manifest show and export, status, and export."""

from __future__ import annotations

import csv
import io
import json
import shutil
from pathlib import Path

import pytest
from archive_steps import archive_settings, restore_without_model, save_photo
from exports import exported, tree
from typer.testing import CliRunner, Result

from jobs.cli.main import app
from jobs.console.exported import print_exported
from jobs.console.terminal import OUT
from pipelines.manifest.decision import ACCEPT, REDO, REJECT, Decision
from pipelines.manifest.decisions import DecisionLog
from pipelines.manifest.reader import current_rows
from pipelines.settings import Settings
from pipelines.store.store import Store

NAMES = ("accepted.png", "rejected.png", "redo.png", "open.png")


@pytest.fixture(scope="module")
def restored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four results and a failure; one result of each decision, and one that nobody has seen."""
    folder = tmp_path_factory.mktemp("reviewed")
    for name in NAMES:
        save_photo(folder / "scans" / name)
    (folder / "scans" / "bad.png").write_bytes(b"no picture")
    settings = archive_settings(folder)
    restore_without_model(settings, ended=True)
    rows = {row["source_path"]: row for row in current_rows(Store(settings.output)).values()}
    DecisionLog(Store(settings.output)).record(
        [
            Decision.about(rows["accepted.png"], ACCEPT, reviewer="Ada", note='=fine, "it\'s" good'),
            Decision.about(rows["rejected.png"], REJECT, reviewer="Bé"),
            Decision.about(rows["redo.png"], REDO, reviewer="Bé", choices={"seed": 3}),
        ]
    )
    return folder


@pytest.fixture
def settings(restored: Path, tmp_path: Path) -> Settings:
    shutil.copytree(restored, tmp_path, dirs_exist_ok=True)
    return archive_settings(tmp_path)


def call(*arguments: str) -> Result:
    return CliRunner().invoke(app, [*arguments])


@pytest.mark.parametrize(
    ("decision", "names"),
    [("accept", {"accepted"}), ("reject", {"rejected"}), ("redo", {"redo"}), ("none", {"open"}), ("", {"open", "bad"})],
)
def test_show_filters_by_decision(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, decision: str, names: set[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "240")
    shown = call("manifest", "show", settings.output, *(["--decision", decision] if decision else []))
    assert shown.exit_code == 0
    assert {name for name in names if f"{name}.png" in shown.stdout} == names
    assert f"of {1 if decision else 5} rows" in shown.stdout
    assert ("review" in shown.stdout) == (decision != "none")


def test_show_refuses_other_words(settings: Settings) -> None:
    refused = call("manifest", "show", settings.output, "--decision", "maybe")
    assert refused.exit_code != 0
    assert "choose accept, reject, redo, none" in str(refused.exception)


def test_csv_has_columns_of_decisions(settings: Settings) -> None:
    text = call("manifest", "export", settings.output, "-").stdout
    rows = {row["source_path"]: row for row in csv.DictReader(io.StringIO(text, newline=""))}
    accepted = rows["accepted.png"]
    assert (accepted["decision"], accepted["decision_reviewer"]) == ("accept", "Ada")
    assert accepted["decision_note"] == "'=fine, \"it's\" good"
    assert accepted["decided_at"].endswith("+00:00")
    assert json.loads(rows["redo.png"]["decision_settings"]) == {"seed": 3}
    assert rows["open.png"]["decision"] == rows["bad.png"]["decision"] == ""


def test_status_says_how_far_the_review_is(settings: Settings) -> None:
    words = "3 of 4 reviewed: 1 accepted, 1 rejected, 1 to redo"
    assert words in call("status", settings.output).stdout
    values = json.loads(call("status", settings.output, "--json").stdout)
    assert values["reviews"] == {"results": 4, "accepted": 1, "rejected": 1, "redo": 1, "reviewed": 3}
    shutil.rmtree(Path(settings.output, "_faitharchive/reviews"))
    assert "reviewed" not in call("status", settings.output).stdout
    assert json.loads(call("status", settings.output, "--json").stdout)["reviews"] is None


def test_what_was_rejected_is_never_exported(
    settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    done = exported(settings, tmp_path / "all", "csv")
    assert (done.items, done.exported, done.rejected, done.undecided, done.failed) == (4, 3, 1, 0, 0)
    assert not [path for path in tree(tmp_path / "all") if "rejected" in path]
    print_exported(done, OUT, 50)
    assert "1 not exported: rejected in the review" in capsys.readouterr().out


def test_only_what_was_accepted(settings: Settings, tmp_path: Path) -> None:
    done = call("export", settings.output, str(tmp_path / "good"), "--profile", "csv", "--accepted")
    assert done.exit_code == 0
    assert "1 exported" in done.stdout
    assert "2 not exported: not accepted yet" in done.stdout
    files = tree(tmp_path / "good")
    assert {Path(path).name.partition(".")[0] for path in files} == {"accepted", "index"}


def test_a_later_rejection_leaves_the_tables(settings: Settings, tmp_path: Path) -> None:
    exported(settings, tmp_path / "x", "csv")
    rows = {row["source_path"]: row for row in current_rows(Store(settings.output)).values()}
    DecisionLog(Store(settings.output)).record([Decision.about(rows["open.png"], REJECT, reviewer="Ada")])
    done = exported(settings, tmp_path / "x", "csv")
    assert (done.exported, done.already, done.rejected, done.exported_before) == (0, 2, 2, 1)
    files = tree(tmp_path / "x")
    assert any("open.png" in path for path in files)  # nothing is deleted there
    table = next(data for path, data in files.items() if path.endswith("index.csv"))
    assert b"open.png" not in table
    assert b"accepted.png" in table
