"""Commands that look make nothing: not in a source that is named by mistake, and not where there is no output."""

from __future__ import annotations

from pathlib import Path

import pytest
from archive_steps import save_photo
from typer.testing import CliRunner

from jobs.cli import doctor
from jobs.cli.main import app
from pipelines.settings import Settings

READING = [
    ["report", "{output}"],
    ["review", "{output}", "--no-open"],
    ["status", "{output}"],
    ["status", "{output}", "--json"],
    ["manifest", "show", "{output}"],
    ["manifest", "export", "{output}", "-"],
    ["manifest", "rebuild", "{output}"],
    ["manifest", "compact", "{output}"],
    ["verify", "{source}", "{output}"],
    ["verify", "{source}", "{output}", "--results-only"],
    ["plan", "{source}", "{output}"],
]


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


@pytest.fixture
def source(tmp_path: Path) -> Path:
    save_photo(tmp_path / "scans" / "a.png")
    return tmp_path / "scans"


@pytest.mark.parametrize("words", READING, ids=" ".join)
@pytest.mark.parametrize("where", ["nowhere", "scans"])
def test_nothing_is_made_by_looking(source: Path, tmp_path: Path, words: list[str], where: str) -> None:
    """`nowhere` is an output that does not exist; `scans` is a source, given as the output of another."""
    save_photo(tmp_path / "others" / "b.png")
    before = files(tmp_path)
    given = {"source": str(tmp_path / "others"), "output": str(tmp_path / where)}
    CliRunner().invoke(app, [word.format(**given) for word in words])
    assert files(tmp_path) == before


def test_the_report_of_a_folder_where_no_run_has_been_says_so(source: Path) -> None:
    done = CliRunner().invoke(app, ["report", str(source)])
    assert "holds no _faitharchive/ folder, so no run has been here; check the path" in str(done.exception)


def test_doctor_makes_no_output_and_says_whether_a_run_could(source: Path, tmp_path: Path) -> None:
    settings = Settings(source=str(source), output=str(tmp_path / "not" / "yet"))
    before = files(tmp_path)
    assert doctor.check_output(settings) == f"file://{tmp_path}/not/yet is not there yet; a run makes it in {tmp_path}"
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(ValueError, match=r"file/x: cannot be made in .*file; check the path and permissions"):
        doctor.check_output(Settings(source=str(source), output=str(tmp_path / "file" / "x")))
    assert files(tmp_path) == before | {"file"}


def test_doctor_writes_nothing_into_scans_that_are_given_as_the_output(source: Path, tmp_path: Path) -> None:
    save_photo(tmp_path / "others" / "b.png")
    before = files(tmp_path)
    with pytest.raises(ValueError, match=r"holds a\.png, and no run has been here; are source and output swapped\?"):
        doctor.check_output(Settings(source=str(tmp_path / "others"), output=str(source)))
    assert files(tmp_path) == before
