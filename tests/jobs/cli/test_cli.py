"""The command line as a person meets it: real processes, exit codes, one-line errors, useful help."""

from __future__ import annotations

import csv
import io
import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner

from jobs.cli.main import app, main
from pipelines.settings import Settings

FAST = ["--steps", "2", "--guidance-scale", "1", "--cpus", "2", "--object-store-mb", "200"]


def faitharchive(*arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from jobs.cli.main import main; main()", *map(str, arguments)]
    variables = {**os.environ, "COLUMNS": "200", "FAITHARCHIVE_PRESET": "tiny", **environment}
    return subprocess.run(command, capture_output=True, text=True, timeout=240, env=variables, check=False)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cli")
    (folder / "scans").mkdir()
    Image.effect_noise((48, 40), 80).save(folder / "scans" / "good one.png")
    (folder / "scans" / "bad.jpg").write_bytes(b"no picture")
    return folder


@pytest.mark.ray
def test_restore_then_nothing_to_do_then_the_manifest(folder: Path) -> None:
    first = faitharchive("restore", folder / "scans", folder / "out", *FAST)
    assert first.returncode == 1, first.stderr
    assert "1 restored, 1 failed" in first.stdout
    assert "failed not_an_image in decode: bad.jpg" in first.stdout
    assert "untrained" in first.stderr
    assert "items" not in first.stderr.lower() or "2/2 done, 1 failed" in first.stderr
    assert "Traceback" not in first.stderr
    assert "core_worker" not in first.stderr
    (folder / "scans" / "bad.jpg").unlink()

    second = faitharchive("restore", folder / "scans", folder / "out", *FAST)
    assert second.returncode == 0, second.stderr
    assert "Nothing to do: 1 already done, no model work." in second.stdout

    shown = faitharchive("manifest", "show", folder / "out", "--status", "restored")
    assert shown.returncode == 0
    assert "good one.png" in shown.stdout
    assert "bad.jpg" not in shown.stdout
    exported = faitharchive("manifest", "export", folder / "out", "-")
    rows = list(csv.DictReader(io.StringIO(exported.stdout)))
    assert sorted(row["status"] for row in rows) == ["failed", "restored"]


def test_an_untrained_preset_is_said_to_be_one(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    done = CliRunner().invoke(app, ["restore", str(tmp_path / "in"), str(tmp_path / "out"), "--preset", "tiny"])
    assert done.exit_code == 0
    assert "preset tiny is untrained" in done.stderr


def test_plan_changes_nothing(folder: Path, tmp_path: Path) -> None:
    planned = faitharchive("plan", folder / "scans", tmp_path / "out")
    assert planned.returncode == 0, planned.stderr
    assert "to restore: new" in planned.stdout
    assert "good one.png -> good one.png" in planned.stdout
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["restore", "SCANS", "SCANS/out"], ["SCANS", "never written to", "choose a separate output"]),
        (["restore", "SCANS", "SCANS"], ["never written to"]),
        (["restore", "/no/such", "OUT"], ["/no/such", "no such folder"]),
        (["restore"], ["source and output are both needed"]),
        (["restore", "SCANS", "OUT", "--upscale", "9"], ["upscale is 9", "less than or equal to 8"]),
        (["restore", "SCANS", "OUT", "--sampler", "heun"], ["sampler is 'heun'", "'euler'"]),
        (["restore", "SCANS", "OUT", "--preset", "big"], ["preset is 'big'", "tiny"]),
        (["restore", "SCANS", "OUT", "--config", "/no/file.yaml"], ["/no/file.yaml", "cannot be read"]),
        (["restore", "SCANS", "nosuch://bucket/x"], ["nosuch"]),
        (["plan", "SCANS", "OUT", "--preset", "sdxl", "--base", "/no/base"], ["/no/base", "no such folder"]),
        (["plan", "SCANS", "OUT", "--captions", "catalogue"], ["catalogue"]),
        (["manifest", "show", "OUT"], ["no manifest yet"]),
    ],
)
def test_bad_usage_is_one_line_and_exit_code_2(
    folder: Path, tmp_path: Path, arguments: list[str], words: list[str], monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    given = [a.replace("SCANS", str(folder / "scans")).replace("OUT", str(tmp_path / "out")) for a in arguments]
    monkeypatch.setattr(sys, "argv", ["faitharchive", *given])
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("FAITHARCHIVE_PRESET", "tiny")
    with pytest.raises(SystemExit) as ended:
        main()  # in this process, which has imported everything already; as processes, test_status_cli.py and others
    assert ended.value.code == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if line.strip()]
    assert len([line for line in lines if line.startswith("error:")]) == 1
    text = " ".join(lines)
    assert "Traceback" not in text
    for word in words:
        assert word.replace("SCANS", str(folder / "scans")) in text


def test_help_names_every_setting_and_says_what_it_does() -> None:
    text = faitharchive("restore", "--help").stdout
    for name, field in Settings.model_fields.items():
        if name not in ("source", "output"):
            assert f"--{name.replace('_', '-')}" in text
        assert field.description
        assert field.description.split()[0] in text


def test_settings_file_environment_and_flags(folder: Path, tmp_path: Path) -> None:
    printed = faitharchive("settings").stdout
    file = tmp_path / "settings.yaml"
    file.write_text(printed.replace("upscale: 2", "upscale: 3"))
    shown = faitharchive("settings", "--config", file, FAITHARCHIVE_STEPS="7").stdout
    assert "upscale: 3" in shown
    assert "steps: 7" in shown


@pytest.mark.ray
def test_doctor_finds_nothing_wrong_here_and_something_wrong_there(folder: Path, tmp_path: Path) -> None:
    good = faitharchive("doctor", folder / "scans", tmp_path / "out", "--cpus", "1", "--object-store-mb", "100")
    assert good.returncode == 0, good.stdout + good.stderr
    assert "Ray 2." in good.stdout
    bad = faitharchive(
        "doctor", folder / "scans", folder / "scans" / "out", "--preset", "sdxl", "--base", "/no/base", "--cpus", "1"
    )
    assert bad.returncode == 2
    assert "no such folder" in bad.stdout
    assert "never written" in bad.stdout
