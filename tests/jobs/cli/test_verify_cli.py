"""`faitharchive verify`: exit codes, what is shown and recorded, and what a repair mends, leaves and never touches."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from archive_steps import archive_settings, picture, restore_without_model, save_photo
from rich.console import Console
from typer.testing import CliRunner, Result

from jobs.cli.main import app
from jobs.console.findings import CheckProgress
from pipelines.manifest.naming import item_id
from pipelines.manifest.reader import current_rows
from pipelines.manifest.sidecar import read_sidecar
from pipelines.settings import Settings
from pipelines.store.layout import VERIFICATIONS
from pipelines.store.lease import LeaseError, hold_lease
from pipelines.store.store import Store, StoreError

pytestmark = pytest.mark.ray
NAMES = ("altered.png", "lost.png", "no sidecar.png", "gone source.png", "edited.png", "rotten source.jpg", "sound.png")


@pytest.fixture(autouse=True)
def _wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "240")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    for number, name in enumerate(NAMES):
        save_photo(tmp_path / "scans" / name, picture(20, 24, seed=number))
    settings = archive_settings(tmp_path)
    restore_without_model(settings)
    return settings


def verify(settings: Settings, *arguments: str) -> Result:
    flags = ["--preset", settings.preset, "--steps", str(settings.steps)]
    return CliRunner().invoke(app, ["verify", settings.source, settings.output, *flags, *arguments])


def record(settings: Settings) -> dict[str, object]:
    return json.loads(max(Path(settings.output, VERIFICATIONS).glob("*.json")).read_text())


def rot(path: Path) -> None:
    status, data = path.stat(), bytearray(path.read_bytes())
    data[-20] ^= 1
    path.write_bytes(data)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def damage(settings: Settings) -> None:
    """One kind of damage each, by the photograph's name."""
    source, output = Path(settings.source), Path(settings.output)
    rot(output / "altered.png")
    (output / "lost.png").unlink()
    (output / "no sidecar.png.restoration.json").unlink()
    (source / "gone source.png").unlink()
    save_photo(source / "edited.png", picture(20, 28))
    rot(source / "rotten source.jpg")  # a JPEG can still be decoded, so that --redo has something to restore


def test_a_sound_archive(settings: Settings, ray_session: None) -> None:
    before = {path: path.stat().st_mtime_ns for path in Path(settings.output).rglob("*.png*")}
    done = verify(settings)
    assert done.exit_code == 0, done.output
    assert "7 items checked, all sound" in done.stdout
    assert "7/7 checked, 0 with problems" in done.stderr
    found = record(settings)
    assert (found["items"], found["problems"], found["repair"], found["sample"]) == (7, {}, None, 1.0)
    assert found["source"] == f"file://{settings.source}"
    assert not list(Path(settings.output, VERIFICATIONS).rglob("*.parquet"))
    assert {path: path.stat().st_mtime_ns for path in Path(settings.output).rglob("*.png*")} == before


def test_problems_are_shown_and_recorded(settings: Settings, ray_session: None) -> None:
    damage(settings)
    done = verify(settings, "--limit", "3")
    assert done.exit_code == 1
    assert "7 items checked, 6 with problems" in done.stdout
    assert "1 sources altered:" in done.stdout
    assert "... and 3 more (--limit)" in done.stdout
    # Tasks end in any order, so which three are shown is open; that they are three of the damaged ones is not.
    damaged = ("altered.png", "lost.png", "no sidecar.png", "gone source.png", "edited.png", "rotten source.jpg")
    assert sum(name in done.stdout for name in damaged) == 3
    assert "sound.png" not in done.stdout
    found = record(settings)
    assert found["problems"] == {
        "result altered": 1, "result missing": 1, "sidecar missing": 1, "source altered": 1, "source changed": 1,
        "source missing": 1,
    }  # fmt: skip
    (file,) = Path(settings.output, VERIFICATIONS, str(found["id"])).glob("*.parquet")
    assert {row["source_path"] for row in pq.read_table(file).to_pylist()} == set(NAMES) - {"sound.png"}
    shown = verify(settings, "--results-only").stdout
    assert "source" not in shown.replace("gone source", "").replace("rotten source", "")


def test_results_alone_need_no_sources(settings: Settings, ray_session: None) -> None:
    shutil.rmtree(settings.source)
    assert verify(settings, "--results-only").exit_code == 0
    done = verify(settings)
    assert isinstance(done.exception, StoreError)
    assert "no such folder" in str(done.exception)


def test_a_repair_mends_what_it_can_and_touches_nothing_else(settings: Settings, ray_session: None) -> None:
    damage(settings)
    source, output = Path(settings.source), Path(settings.output)
    untouched = ("sound.png", "gone source.png", "rotten source.png", "no sidecar.png")
    before = {name: ((output / name).stat().st_mtime_ns, (output / name).read_bytes()) for name in untouched}
    sources = {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in source.iterdir()}

    done = verify(settings, "--repair")
    assert done.exit_code == 1, done.output
    assert "sidecars written again: 1" in done.stdout
    assert "3 restored, 0 failed" in done.stdout  # altered, lost, edited
    assert "After the repair: 2 items still with problems" in done.stdout
    repair = record(settings)["repair"]
    assert isinstance(repair, dict)
    assert repair["left"] == {"source altered": 1, "source missing": 1}
    assert (repair["sidecars_written"], repair["to_restore"], repair["restore_exit_code"]) == (1, 3, 0)
    assert {name: ((output / name).stat().st_mtime_ns, (output / name).read_bytes()) for name in untouched} == before
    assert {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in source.iterdir()} == sources
    rows = current_rows(Store(settings.output))
    for name in ("altered.png", "lost.png", "no sidecar.png", "edited.png"):
        sidecar = read_sidecar((output / f"{name}.restoration.json").read_bytes())
        assert sidecar is not None
        assert sidecar["output_sha256"] == rows[item_id(name)]["output_sha256"]

    # Asked for, an altered source is restored as it is now; what is gone stays reported, and nothing else is done again.
    sound = rows[item_id("sound.png")]["run_id"]
    done = verify(settings, "--repair", "--redo")
    assert done.exit_code == 1
    assert "1 restored, 0 failed" in done.stdout
    after = current_rows(Store(settings.output))
    assert after[item_id("sound.png")]["run_id"] == sound
    repair = record(settings)["repair"]
    assert isinstance(repair, dict)
    assert repair["left"] == {"source missing": 1}
    save_photo(source / "gone source.png", picture(20, 24, seed=NAMES.index("gone source.png")))
    done = verify(settings)
    assert done.exit_code == 0, done.stdout


def test_a_repair_of_results_alone_looks_at_their_sources_first(settings: Settings, ray_session: None) -> None:
    """From a source that has decayed no result is made again unasked."""
    rot(Path(settings.source) / "sound.png")
    rot(Path(settings.output) / "sound.png")
    (Path(settings.output) / "lost.png.restoration.json").unlink()
    done = verify(settings, "--repair", "--results-only")
    assert done.exit_code == 1
    assert " failed, " not in done.stdout  # no restoration ran
    repair = record(settings)["repair"]
    assert isinstance(repair, dict)
    assert (repair["to_restore"], repair["sidecars_written"], repair["items_left"]) == (0, 1, 1)


def test_a_store_that_another_run_holds_is_not_repaired(settings: Settings, ray_session: None) -> None:
    sidecar = Path(settings.output) / "sound.png.restoration.json"
    sidecar.unlink()
    with hold_lease(Store(settings.output), run_id="another run", seconds=60):
        assert verify(settings).exit_code == 1  # looking is free
        done = verify(settings, "--repair")
    assert isinstance(done.exception, LeaseError)
    assert "another run" in str(done.exception)
    assert not sidecar.exists()


@pytest.mark.parametrize("sample", ["0", "-0.5", "1.5"])
def test_a_share_that_makes_no_sense(settings: Settings, sample: str) -> None:
    done = verify(settings, "--sample", sample)
    assert isinstance(done.exception, ValueError)
    assert "such as 0.1" in str(done.exception)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["SCANS", "NOWHERE"], "no such folder"),
        (["SCANS", "EMPTY"], "holds no _faitharchive/ folder, so no run has been here"),
        (["SCANS", "NOWHERE", "--results-only"], "no such folder"),
        (["SCANS"], "are both needed"),
    ],
)
def test_what_cannot_run_is_one_line_and_exit_code_2(tmp_path: Path, arguments: list[str], words: str) -> None:
    (tmp_path / "SCANS").mkdir()
    (tmp_path / "EMPTY").mkdir()
    command = [sys.executable, "-c", "from jobs.cli.main import main; main()", "verify", *arguments, "--cpus", "1"]
    environment = {**os.environ, "COLUMNS": "200", "PYTHONPATH": str(Path(__file__).parents[3])}
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=200, env=environment, cwd=tmp_path, check=False
    )
    assert done.returncode == 2
    assert words in done.stderr
    assert len([line for line in done.stderr.splitlines() if line.startswith("error:")]) == 1
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "NOWHERE").exists()


def test_progress_speaks_of_checking() -> None:
    out = io.StringIO()
    with CheckProgress(3, Console(file=out, width=200, force_terminal=True)) as progress:
        progress.item(True)
        progress.item(False)
    assert "checking" in out.getvalue()
    assert "2/3 checked, 1 with problems" in out.getvalue()
    assert "restoring" not in out.getvalue()
    lines = io.StringIO()
    with CheckProgress(3, Console(file=lines, width=200)) as progress:
        progress.item(False)
    assert lines.getvalue().startswith("1/3 checked, 1 with problems, ")
