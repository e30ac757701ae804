"""`faitharchive export` as a user calls it."""

from __future__ import annotations

from pathlib import Path

import bagit
import pytest
from archive_steps import picture, save_photo
from certificates import make_chain
from cli_process import FAST, start
from exports import BASE_URL, restored_archive
from typer.testing import CliRunner, Result

from jobs.cli.main import app, main
from pipelines.settings import Settings

NAMES = ("a.png", "1924/b.tif")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return restored_archive(tmp_path, NAMES)


def call(settings: Settings, *arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["export", settings.output, *map(str, arguments)])


def test_bags(settings: Settings, tmp_path: Path) -> None:
    done = call(settings, tmp_path / "export", "--profile", "bag")
    assert done.exit_code == 0, done.output
    assert "2 exported, 0 already there, 0 left out, 0 failed" in done.stdout
    for folder in (tmp_path / "export" / "bags").iterdir():
        bagit.Bag(str(folder)).validate()
    again = call(settings, tmp_path / "export", "--profile", "bag")
    assert "0 exported, 2 already there" in again.stdout


def test_a_damaged_file_fails_and_the_others_do_not(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "scans" / "a.png").write_bytes(b"other")
    done = call(settings, tmp_path / "export", "--profile", "csv")
    assert done.exit_code == 1
    assert "failed a.png: its bytes are not those that were recorded" in done.stdout
    assert "1 exported, 0 already there, 0 left out, 1 failed" in done.stdout
    hidden = call(settings, tmp_path / "export", "--profile", "csv", "--limit", "0")
    assert "... and 1 more (--limit)" in hidden.stdout


def test_iiif_and_only(settings: Settings, tmp_path: Path) -> None:
    done = call(settings, tmp_path / "export", "--profile", "iiif", "--base-url", BASE_URL, "--only", "1924/*")
    assert done.exit_code == 0, done.output
    assert len(list((tmp_path / "export" / "iiif").glob("*/manifest.json"))) == 1


def test_credentials(settings: Settings, tmp_path: Path) -> None:
    pytest.importorskip("c2pa")
    chain = make_chain(tmp_path / "certificates")
    done = call(
        settings, tmp_path / "export", "--profile", "csv", "--c2pa-cert", chain.certificates, "--c2pa-key", chain.key
    )
    assert done.exit_code == 0, done.output
    assert len(list((tmp_path / "export" / "csv").rglob("*.c2pa"))) == 2
    assert "PRIVATE" not in done.output


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--profile", "iiif"], "--base-url"),
        (["--profile", "bag", "--base-url", BASE_URL], "leave it out"),
        (["--profile", "bag", "--c2pa-cert", "x.pem"], "give both"),
        (["--profile", "iiif", "--base-url", BASE_URL, "--c2pa-cert", "x", "--c2pa-key", "y"], "has no place for"),
        (["--profile", "bag", "--c2pa-cert", "x.pem", "--c2pa-key", "y.pem"], "certificate x.pem: cannot be read"),
        (["--profile", "csv", "--only", "no*"], "no restored item to export"),
    ],
)
def test_what_is_wrong_is_one_line(
    settings: Settings,
    tmp_path: Path,
    arguments: list[str],
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    command = ["faitharchive", "export", settings.output, str(tmp_path / "export"), *arguments]
    monkeypatch.setattr("sys.argv", command)
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1
    assert said in lines[0]
    assert not (tmp_path / "export").exists()


@pytest.mark.ray
@pytest.mark.slow
def test_what_nano_restored_is_exported(tmp_path: Path) -> None:
    """From the scan to the bag with the two commands of the documentation, as processes."""
    save_photo(tmp_path / "scans" / "1924" / "b.tif", picture(40, 60))
    restore = start("restore", tmp_path / "scans", tmp_path / "restored", *FAST)
    _, said = restore.communicate(timeout=280)
    assert restore.returncode == 0, said
    export = start("export", tmp_path / "restored", tmp_path / "export", "--profile", "bag")
    printed, said = export.communicate(timeout=100)
    assert export.returncode == 0, said
    assert "1 exported, 0 already there, 0 left out, 0 failed" in printed
    (folder,) = (tmp_path / "export" / "bags").iterdir()
    bag = bagit.Bag(str(folder))
    bag.validate()
    assert {Path(name).name for name in bag.payload_files()} == {
        "b.tif", "b.tif.restoration.json", "premis.xml",
    }  # fmt: skip
    assert "algorithmicallyEnhanced" in (folder / "data" / "metadata" / "b.tif.restoration.json").read_text()


def test_a_full_destination_stops_the_export(settings: Settings, tmp_path: Path) -> None:
    from pipelines.export.package import Package

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Package, "write", full)
        done = call(settings, tmp_path / "export", "--profile", "bag")
    assert done.exit_code == 3
    assert "No space left on device" in done.stderr
    assert call(settings, tmp_path / "export", "--profile", "bag").exit_code == 0
