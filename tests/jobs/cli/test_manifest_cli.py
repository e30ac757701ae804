"""`faitharchive manifest` over a manifest made by hand."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import openpyxl
import pyarrow.parquet as pq
import pytest
from archive_steps import MOMENT, archive_settings, full_row, restore_without_model, save_photo
from openpyxl.utils.escape import unescape
from typer.testing import CliRunner, Result

from jobs.cli import manifest as manifest_cli
from jobs.console.workbook import write_workbook
from pipelines.manifest.writer import ManifestWriter
from pipelines.rows import FAILED, MANIFEST_COLUMNS, MANIFEST_SCHEMA, QUARANTINED, RESTORED
from pipelines.store.lease import hold_lease
from pipelines.store.store import Store, StoreError

NAMES = [column.name for column in MANIFEST_COLUMNS]


@pytest.fixture(autouse=True)
def _wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "240")


@pytest.fixture
def output(tmp_path: Path) -> str:
    """Three items over two runs; one was restored in the second after it had failed in the first."""

    def item(path: str, run: str, **changes: Any) -> dict[str, Any]:
        result = path.rsplit(".", 1)[0] + ".png"
        sizes = {"width": 30, "height": 20, "output_width": 60, "output_height": 40}
        measured = {"seconds_restore": 1.25, "lq_psnr_db": 31.26}
        values = {"item_id": path, "source_path": path, "output_path": result, "run_id": run, **sizes, **measured}
        return full_row(**(values | changes))

    failed = {"status": FAILED, "error_code": "corrupt", "error_reason": "b.jpg: broken"}
    failed |= dict.fromkeys(("output_path", "lq_psnr_db"))
    store = Store(str(tmp_path / "out"))
    for run, rows in (
        ("run1", [item("1924/a.jpg", "run1"), item("1924/b.jpg", "run1", **failed), item("c.jpg", "run1", **failed)]),
        (
            "run2",
            [
                item("1924/b.jpg", "run2", finished_at=MOMENT + timedelta(days=1)),
                item("c.jpg", "run2", **(failed | {"status": QUARANTINED, "error_code": "empty"})),
            ],
        ),
    ):
        writer = ManifestWriter(store, run)
        for row in rows:
            writer.add(row)
        writer.flush()
    return store.root


def call(*arguments: str) -> Result:
    result = CliRunner().invoke(manifest_cli.app, list(arguments))
    assert result.exit_code == 0, result.output
    return result


def exported(*arguments: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(call("export", *arguments).stdout, newline="")))


def test_show_lists_current_rows(output: str) -> None:
    lines = [line for line in call("show", output).output.splitlines() if ".jpg" in line]
    assert [line.split()[1] for line in lines] == ["1924/a.jpg", "1924/b.jpg", "c.jpg"]
    for wanted in ("1924/a.png", "restored", "30x20 > 60x40", "31.3", "1.2"):
        assert wanted in lines[0]
    assert QUARANTINED in lines[2]
    assert "empty: b.jpg: broken" in lines[2]
    assert "3 of 3 rows" in call("show", output).output


def test_show_at_most(output: str) -> None:
    shown = call("show", output, "--limit", "1").output
    assert "1 of 3 rows" in shown
    assert "c.jpg" not in shown


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ([], ["1924/a.jpg", "1924/b.jpg", "c.jpg"]),
        (["--status", RESTORED], ["1924/a.jpg", "1924/b.jpg"]),
        (["--status", FAILED], []),
        (["--status", QUARANTINED], ["c.jpg"]),
        (["--code", "empty"], ["c.jpg"]),
        (["--code", "corrupt"], []),
        (["--path", "1924/*"], ["1924/a.jpg", "1924/b.jpg"]),
        (["--path", "*/A.jpg"], []),
        (["--run", "run2"], ["1924/b.jpg", "c.jpg"]),
        (["--run", "run2", "--status", RESTORED], ["1924/b.jpg"]),
        (["--all"], ["1924/a.jpg", "1924/b.jpg", "1924/b.jpg", "c.jpg", "c.jpg"]),
        (["--all", "--status", FAILED, "--run", "run1"], ["1924/b.jpg", "c.jpg"]),
        (["--all", "--code", "corrupt", "--path", "c.*"], ["c.jpg"]),
    ],
)
def test_filters(output: str, filters: list[str], expected: list[str]) -> None:
    assert [row["source_path"] for row in exported(output, "-", *filters)] == expected
    assert f"{len(expected)} of {len(expected)} rows" in call("show", output, *filters).output


def test_export_holds_every_column(output: str, tmp_path: Path) -> None:
    rows = exported(output, "-")
    assert list(rows[0])[: len(NAMES)] == NAMES  # decisions come behind them
    row = rows[0]
    assert row["finished_at"] == "2025-06-11T22:15:00.123456+00:00"
    assert row["warnings"] == 'one; two; three "quoted"'
    assert row["error_code"] == ""
    assert row["lq_psnr_db"] == "31.26"
    assert row["source_size"] == str(2**40)
    assert row["settings"] == '{"steps": 1}'
    call("export", output, str(tmp_path / "rows.csv"))
    with (tmp_path / "rows.csv").open(encoding="utf-8", newline="") as file:
        assert list(csv.DictReader(file)) == rows


@pytest.mark.parametrize("name", ["rows.csv", "rows.jsonl", "rows.XLSX", "rows.parquet", "rows"])
def test_an_export_is_of_the_format_that_its_name_ends_in(output: str, tmp_path: Path, name: str) -> None:
    file = tmp_path / name
    call("export", output, str(file))
    readers: dict[str, Callable[[], list[dict[str, Any]]]] = {
        ".jsonl": lambda: [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()],
        ".XLSX": lambda: _sheet(file),
        ".parquet": lambda: pq.read_table(file).to_pylist(),
    }
    rows = readers.get(file.suffix, lambda: list(csv.DictReader(file.open(encoding="utf-8", newline=""))))()
    assert [list(row)[: len(NAMES)] for row in rows] == [NAMES] * 3  # decisions come behind them
    assert [row["source_path"] for row in rows] == ["1924/a.jpg", "1924/b.jpg", "c.jpg"]
    assert float(rows[0]["lq_psnr_db"]) == 31.26
    if file.suffix == ".parquet":
        assert pq.read_schema(file).types[: len(NAMES)] == MANIFEST_SCHEMA.types


def _sheet(file: Path) -> list[dict[str, Any]]:
    names, *rows = openpyxl.load_workbook(file).active.iter_rows(values_only=True)
    return [dict(zip(names, row, strict=True)) for row in rows]


def test_a_workbook_computes_nothing_and_holds_what_xml_cannot(tmp_path: Path) -> None:
    write_workbook(tmp_path / "a.xlsx", [["=1+1", "\x01<&>\u2028", 2**60, True, None, float("nan"), 1.5, "x" * 40000]])
    (cells,) = openpyxl.load_workbook(tmp_path / "a.xlsx").active.iter_rows()
    assert [cell.value for cell in cells[:7]] == ["=1+1", "\ufffd<&>\u2028", str(2**60), True, None, "nan", 1.5]
    assert (cells[0].data_type, len(cells[7].value)) == ("s", 32767)


def test_a_workbook_takes_no_text_for_its_own_markup(tmp_path: Path) -> None:
    names = ["<r>a</r>", "_x0041_", "https://example.org/a", " a ", "mailto:a", "007", "{=1}"]
    write_workbook(tmp_path / "a.xlsx", [names])
    (cells,) = openpyxl.load_workbook(tmp_path / "a.xlsx").active.iter_rows()
    # Excel itself undoes the format's escapes; openpyxl leaves that to its caller.
    assert [unescape(cell.value) for cell in cells] == ["<r>a</r> ", *names[1:]]
    assert {(cell.data_type, cell.hyperlink) for cell in cells} == {("s", None)}


def test_a_workbook_that_does_not_fit_is_refused_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jobs.console.workbook.MOST_ROWS", 3)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with pytest.raises(ValueError, match=r"a\.xlsx: an Excel sheet holds 3 rows; write \.csv or \.parquet instead"):
        write_workbook(tmp_path / "a.xlsx", [[1]] * 4)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "hint"), [("a.xls", "name it a.xlsx"), ("a.json", "name it a.jsonl"), ("a.doc", "choose")]
)
def test_nothing_is_written_under_another_formats_name(output: str, tmp_path: Path, name: str, hint: str) -> None:
    with pytest.raises(ValueError, match=hint):
        CliRunner().invoke(manifest_cli.app, ["export", output, str(tmp_path / name)], catch_exceptions=False)
    assert not (tmp_path / name).exists()


@pytest.mark.parametrize(
    ("flag", "word", "hint"), [("--status", "restord", "restored"), ("--code", "corupt", "corrupt")]
)
def test_a_mistyped_filter_is_told_the_word_that_was_meant(output: str, flag: str, word: str, hint: str) -> None:
    with pytest.raises(ValueError, match=f"did you mean {hint}"):
        CliRunner().invoke(manifest_cli.app, ["show", output, flag, word], catch_exceptions=False)


def test_a_glob_that_matches_nothing_says_so(output: str) -> None:
    said = CliRunner().invoke(manifest_cli.app, ["show", output, "--path", "1924/*.tif"])
    assert (said.exit_code, "matches none of 3 sources" in " ".join(said.stderr.split())) == (0, True)


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "\n"])
def test_names_are_never_formulas(start: str) -> None:
    name = f"{start}HYPERLINK('x')"
    (row,) = csv.DictReader(io.StringIO(manifest_cli.to_csv([full_row(source_path=name, warnings=[name])]), newline=""))
    assert (row["source_path"], row["warnings"]) == ("'" + name, "'" + name)


@pytest.mark.parametrize(
    "name", ["a,b.jpg", 'a"b.jpg', "a\nb.jpg", "a\rb.jpg", "a\r\nb.jpg", "a;b'.jpg", " a ", "Семья.jpg"]
)
def test_odd_names_come_back_from_csv(name: str, tmp_path: Path) -> None:
    store = Store(str(tmp_path / "out"))
    writer = ManifestWriter(store, "run1")
    writer.add(full_row(source_path=name))
    writer.flush()
    call("export", store.root, str(tmp_path / "rows.csv"))
    with (tmp_path / "rows.csv").open(encoding="utf-8", newline="") as file:
        (row,) = csv.DictReader(file)
    assert row["source_path"] == name


def test_negative_numbers_stay_numbers() -> None:
    (row,) = csv.DictReader(io.StringIO(manifest_cli.to_csv([full_row(lq_psnr_db=-3.5)]), newline=""))
    assert row["lq_psnr_db"] == "-3.5"


def test_control_characters_are_made_visible(tmp_path: Path) -> None:
    """A name must neither colour the terminal nor forge a row."""
    store = Store(str(tmp_path))
    writer = ManifestWriter(store, "run1")
    name = "a\x1b[31m\n\r\x07[bold]\u202egpj.exe"
    writer.add(full_row(source_path=name, output_path=name))
    writer.add(full_row(item_id="1", source_path="b", status=FAILED, error_code="x", error_reason=name))
    writer.flush()
    shown = call("show", store.root).output
    assert not {"\x1b", "\r", "\x07", "\u202e"} & set(shown)
    assert shown.count("a\\x1b[31m\\n\\r\\x07[bold]\\u202egpj.exe") == 3


def test_rebuild_says_what_it_did(tmp_path: Path) -> None:
    """Exit code 0 where all is well afterwards, also a second time; 1 while sidecars are unusable."""
    settings = archive_settings(tmp_path)
    for name in ("a.png", "b.png"):
        save_photo(tmp_path / "scans" / name)
    restore_without_model(settings)
    out = Path(settings.output)
    (file,) = (out / "_faitharchive" / "manifest").rglob("*.parquet")
    file.write_bytes(file.read_bytes()[:1000])

    done = call("rebuild", settings.output).output
    assert "set aside _faitharchive/manifest/run=" in done
    assert (
        "0 manifest files read, 1 set aside; 2 sidecars found, 0 already in the manifest, 2 rows written, 0 unusable"
        in done
    )
    assert f"Set aside: file://{out}/_faitharchive/set-aside/" in done
    assert "failed and quarantined items cannot come back" in done
    assert "2 of 2 rows" in call("show", settings.output).output
    assert "2 already in the manifest, 0 rows written" in call("rebuild", settings.output).output
    assert "nothing was written" in call("rebuild", settings.output).output

    (out / "b.png").unlink()
    result = CliRunner().invoke(manifest_cli.app, ["rebuild", settings.output])
    assert result.exit_code == 1
    assert "unusable b.png.restoration.json: its result is missing" in result.output
    result = CliRunner().invoke(manifest_cli.app, ["rebuild", settings.output, "--limit", "0"])
    assert "unusable b.png" not in result.output
    assert "... and 1 more unusable sidecars" in result.output

    with hold_lease(Store(settings.output), run_id="another run", seconds=60):
        refused = CliRunner().invoke(manifest_cli.app, ["rebuild", settings.output])
        assert isinstance(refused.exception, StoreError)
        assert "another run" in str(refused.exception)


def test_rebuild_can_take_the_store_over(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    with hold_lease(Store(str(tmp_path / "out")), run_id="another run", seconds=3) as other:
        result = CliRunner().invoke(manifest_cli.app, ["rebuild", str(tmp_path / "out"), "--steal-lease"])
        assert result.exit_code == 0
        assert other.lost


def test_rebuild_s_help_says_what_cannot_come_back() -> None:
    text = " ".join(CliRunner().invoke(manifest_cli.app, ["rebuild", "--help"]).output.split())
    for words in ("Failed and quarantined items are in the manifest alone", "never deleted", "2 could not run"):
        assert words in text


def test_compact_says_what_it_did_and_changes_no_row(output: str) -> None:
    before = call("show", output, "--all").output
    result = call("compact", output)
    assert result.exit_code == 0, result.output
    assert result.output.startswith("2 manifest files are 1 now")
    assert "5 rows in 1 new files" in result.output
    assert call("show", output, "--all").output == before
    assert call("compact", output).output.startswith("1 manifest files are 1 now")


def test_compact_leaves_what_it_cannot_read(output: str) -> None:
    Path(output, "_faitharchive/manifest/run=run1/broken.parquet").write_bytes(b"PAR1 not")
    result = CliRunner().invoke(manifest_cli.app, ["compact", output])
    assert result.exit_code == 1
    assert "left _faitharchive/manifest/run=run1/broken.parquet: it is damaged" in result.output


def test_fields_explains_every_column() -> None:
    shown = call("fields").output
    for column in MANIFEST_COLUMNS:
        assert f" {column.name} " in shown
        assert column.meaning in shown


def test_a_store_without_manifest(tmp_path: Path) -> None:
    for command in (["show", str(tmp_path)], ["export", str(tmp_path), "-"]):
        result = CliRunner().invoke(manifest_cli.app, command)
        assert isinstance(result.exception, StoreError)
        assert "run faitharchive restore first" in str(result.exception)
    result = CliRunner().invoke(manifest_cli.app, ["show", "memory://user:s3cret@nothing"])
    assert "s3cret" not in str(result.exception)
