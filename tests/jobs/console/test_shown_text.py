"""Text from outside is shown as text: it moves no cursor, forges no line, and is no markup and no formula."""

from __future__ import annotations

import csv
import io
import json
import os
import pty
import subprocess
import sys
import unicodedata
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from archive_steps import archive_settings, full_row, picture, restore_without_model, save_photo
from rich.console import Console
from typer.testing import CliRunner

from faithdiff_model.evaluation.report import to_markdown
from jobs.cli import manifest as manifest_cli
from jobs.cli.main import main
from jobs.cli.manifest import print_rebuilt
from jobs.console.export import to_csv
from jobs.console.findings import print_findings
from jobs.console.progress import RunProgress
from jobs.console.tables import print_plan, print_summary
from pipelines.audit.findings import Findings
from pipelines.audit.fixity import Check
from pipelines.manifest.reader import current_rows
from pipelines.manifest.rebuild import RebuildResult
from pipelines.manifest.runs import write_run_record
from pipelines.manifest.sidecar import json_bytes, parse_sidecar, sidecar_bytes
from pipelines.manifest.writer import ManifestWriter
from pipelines.plan.plan import make_plan
from pipelines.rows import FAILED, MANIFEST_SCHEMA, new_row
from pipelines.store.store import Store

# What a name could try: move the cursor, clear the screen, set the title, ring, overwrite its line, begin another line, turn
# the writing around, be Rich markup, a link, HTML, a cell's end, a formula.
TRICKS = (
    "\x1b[2J\x1b[1;1H", "\x1b]0;owned\x07", "\x9b31m", "\r0 failed", "\nerror: forged", "\u2028forged", "\x85forged",
    "\u202egpj", "\u2066x\u2069", "\u200f", "\x08\x08\x08", "[bold red]red[/bold red]", "[/]", "[link=http://x.example]y[/]",
    "<script>alert(1)</script>", "| cell |", "`code`", "=1+1", ":boom:", "\t", "\x7f", "\x00",
)  # fmt: skip
ALL = "".join(TRICKS)
IN_A_NAME = ALL.replace("/", "").replace("\x00", "")  # what a file system takes


def harmless(text: str) -> bool:
    """Nothing but letters, signs, spaces and line ends."""
    return all(sign == "\n" or unicodedata.category(sign) not in ("Cc", "Cf", "Cs", "Zl", "Zp") for sign in text)


def console(**options: Any) -> Console:
    return Console(file=io.StringIO(), width=4000, **options)


def shown(to: Console) -> str:
    assert isinstance(to.file, io.StringIO)
    return to.file.getvalue()


def test_the_tricks_are_tricks() -> None:
    assert not harmless(ALL)
    assert sum(not harmless(trick) for trick in TRICKS) == 13  # the rest is markup, or a line end
    marked = console()
    marked.print("[bold red]red[/bold red] :boom:")
    assert shown(marked) == "red 💥\n"


def assert_shown_as_text(text: str, lines: int) -> None:
    assert harmless(text), sorted({sign for sign in text if not harmless(sign)})
    assert text.count("\n") == lines
    assert "[bold red]red[" in text
    assert ":boom:" in text


def test_the_plan(tmp_path: Path) -> None:
    settings = archive_settings(tmp_path)
    save_photo(tmp_path / "scans" / "album" / f"a{IN_A_NAME[:100]}.png")
    save_photo(tmp_path / "scans" / f"b{IN_A_NAME[-60:]}.png")
    (tmp_path / "scans" / f"c.{IN_A_NAME[:100]}").write_bytes(b"")
    (tmp_path / "scans" / f"d.{IN_A_NAME[-60:]}").write_bytes(b"")
    out = console()
    print_plan(make_plan(settings), settings, out, 20)
    text = shown(out)
    assert harmless(text), sorted({sign for sign in text if not harmless(sign)})
    assert sum("forged" in line for line in text.splitlines()) <= 3
    assert not any(line.lstrip().startswith(("error:", "forged")) for line in text.splitlines())


def test_the_plan_says_where_guidance_changes_nothing(tmp_path: Path) -> None:
    settings = archive_settings(tmp_path)
    save_photo(tmp_path / "scans" / "a.png")
    plan = make_plan(settings)
    for negative, said in (("", True), ("blurred", False)):
        out = console()
        print_plan(plan, settings.model_copy(update={"negative_prompt": negative}), out, 20)
        assert ("of these without guidance" in shown(out)) is said


def summary(**changes: Any) -> dict[str, Any]:
    failure = dict.fromkeys(("source_path", "error_stage", "error_code", "error_reason"), ALL)
    counts = {"restored": 1, "failed": 1, "left": 1, "already_done": 0, "quarantined": 0, "signal": 0}
    counts |= {"with_warnings": 1, "warnings": {ALL: 1}}
    files = {"pattern": ALL, "files": 1, "kind": ALL, "advice": ALL}
    about = {
        "run_id": "x",
        "not_taken": [files],
        "stopped": ALL,
        "seconds": 1.0,
        "items_per_hour": 1.0,
        "failures": [failure],
    }
    return counts | about | changes


def test_the_summary(tmp_path: Path) -> None:
    out = console()
    print_summary(summary(), archive_settings(tmp_path), out)
    assert_shown_as_text(shown(out), lines=9)


def test_the_summary_totals_warnings_and_what_was_not_taken(tmp_path: Path) -> None:
    files = [
        {"pattern": "*.psd", "files": 2, "kind": "Photoshop documents", "advice": "save them"},
        {"pattern": "Thumbs.db", "files": 1, "kind": "system files", "advice": ""},
    ]
    changes = {
        "restored": 13,
        "with_warnings": 4,
        "warnings": {"N pages: only the first is read": 4},
        "not_taken": files,
    }
    out = console()
    print_summary(summary(failed=0, failures=[], stopped="", **changes), archive_settings(tmp_path), out)
    text = shown(out)
    assert "13 restored, 4 of them with warnings, 0 failed, 0 already done" in text
    assert "4 items: N pages: only the first is read" in text
    assert (
        "3 files not taken: 2 Photoshop documents, 1 system files; faitharchive manifest show OUTPUT --not-taken"
        in text
    )


def test_the_manifest_says_what_was_not_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "20000")
    store = Store(str(tmp_path))
    look = ["show", store.root, "--not-taken"]
    assert "No run over the whole archive" in CliRunner().invoke(manifest_cli.app, look).output
    files = {"pattern": ALL, "files": 2, "kind": "Photoshop documents", "advice": "save them"}
    write_run_record(store, "1", {"not_taken": [files], "only": ""})
    write_run_record(store, "2", {"not_taken": [], "only": "box/*"})
    result = CliRunner().invoke(manifest_cli.app, look)
    assert "Photoshop documents" in result.output
    assert "Not taken by run 1" in result.output
    assert_shown_as_text(result.output, lines=7)


def test_the_manifest_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "20000")
    store = Store(str(tmp_path))
    writer = ManifestWriter(store, "run1")
    texts = {field.name: ALL for field in MANIFEST_SCHEMA if str(field.type) == "string"}
    writer.add(full_row(**(texts | {"item_id": "1"})))
    writer.add(full_row(**(texts | {"item_id": "2", "status": "restored"})))
    writer.add(full_row(**(texts | {"item_id": "3", "status": FAILED})))
    writer.flush()
    result = CliRunner().invoke(manifest_cli.app, ["show", store.root])
    assert result.exit_code == 0
    assert_shown_as_text(result.output, lines=3 + 3 + 2)


def test_csv_is_data_for_programs_and_text_for_eyes() -> None:
    texts = {field.name: ALL for field in MANIFEST_SCHEMA if str(field.type) == "string"}
    row = full_row(**(texts | {"warnings": [ALL, ALL]}))
    (back,) = csv.DictReader(io.StringIO(to_csv([row]), newline=""))
    assert back["caption"] == ALL
    visible = to_csv([row], visible=True)
    assert harmless(visible.replace("\r\n", "\n"))
    assert visible.count("\n") == 2


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20"])
@pytest.mark.parametrize("column", ["source_path", "caption", "error_reason", "warnings"])
def test_no_cell_of_csv_is_a_formula(start: str, column: str) -> None:
    value: Any = [f"{start}1+1"] if column == "warnings" else f"{start}1+1"
    for visible in (False, True):
        (row,) = csv.DictReader(io.StringIO(to_csv([full_row(**{column: value})], visible=visible), newline=""))
        assert row[column].startswith("'")


def test_csv_on_a_real_terminal(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    writer = ManifestWriter(store, "run1")
    writer.add(full_row(source_path=f"a{ALL}", caption=ALL, warnings=[ALL]))
    writer.flush()
    main_side, terminal = pty.openpty()
    command = [sys.executable, "-c", "from jobs.cli.main import main; main()", "manifest", "export", str(tmp_path), "-"]
    try:
        subprocess.run(command, stdin=terminal, stdout=terminal, stderr=terminal, timeout=120, check=True)
        os.close(terminal)
        text = b""
        try:
            while part := os.read(main_side, 65536):
                text += part
        except OSError:  # all of it was read
            pass
    finally:
        os.close(main_side)
    lines = text.decode().replace("\r\r\n", "\n").replace("\r\n", "\n")
    assert "[bold red]red" in lines
    assert harmless(lines)
    assert lines.count("\n") == 2


def test_the_table_of_problems(tmp_path: Path) -> None:
    """From a real check of files with such names, and from problems that quote them."""
    settings = archive_settings(tmp_path)
    findings = Findings()
    row = full_row(source_path=IN_A_NAME, output_path=f"{IN_A_NAME}.png", status="restored")
    findings.add(Check(Store(settings.source, 0.0), Store(settings.output, 0.0)).core(row))
    assert {problem["problem"] for problem in findings.first} == {"missing"}
    row["status"], row["error_code"], row["error_reason"] = ALL, ALL, ALL
    findings.add(Check(Store(settings.source, 0.0), Store(settings.output, 0.0)).core(row))
    out = console()
    print_findings(findings, out, 10)
    assert_shown_as_text(shown(out), lines=1 + 3 + 3 + 1 + 1)


def test_what_a_rebuild_says(tmp_path: Path) -> None:
    found = RebuildResult(run_id="x", set_aside=[(ALL, ALL)], unusable=1, first_unusable=[(ALL, ALL)])
    out = console()
    print_rebuilt(found, Store(str(tmp_path)), out, 10)
    assert_shown_as_text(shown(out), lines=5)


def test_progress_shows_counts_alone() -> None:
    for terminal in (False, True):
        out = console(force_terminal=terminal)
        with RunProgress(2, out) as progress:
            progress(new_row(source_path=ALL) | {"status": FAILED, "error_reason": ALL})
        assert "owned" not in shown(out)
        assert "forged" not in shown(out)
        assert "1/2 done, 1 failed" in shown(out)


def cell_count(line: str) -> int:
    """Cells of a Markdown table's line: bars that no backslash precedes, less one."""
    return Counter(line.replace("\\\\", "").replace("\\|", ""))["|"] - 1


def test_the_tables_of_an_evaluation() -> None:
    figures = {"psnr": {"heading": "PSNR dB ↑", "about": "as usual", "lower_is_better": False, "digits": 2}}
    measured = {"measured": 1, "figures": {"psnr": {"mean": 1.0, "images": 1}}}
    times = {
        "width": None,
        "height": None,
        "images": 0,
        "seconds": None,
        "steps": None,
        "parameters": None,
        "device": ALL,
    }
    text = to_markdown(
        {
            "made_at": "now",
            "asked": {"hq": ALL},
            "figures": figures,
            "degradations": {ALL: {"images": 1, "methods": {ALL: measured, "plain": measured}}},
            "run_time": [{"method": ALL, **times}],
            "methods": {ALL: {"trained": False, "preset": ALL}, "plain": {"trained": True}},
            "failures": [dict.fromkeys(("image", "degradation", "method", "reason"), ALL)],
            "notes": [ALL],
            "software": {},
            "machine": {"cpu": ALL},
        }
    )
    assert harmless(text)
    assert "<script" not in text.replace("\\<script", "")
    assert "`code`" not in text.replace("\\`", "")
    assert not any(line.startswith(("error:", "forged")) for line in text.splitlines())
    tables = [line for line in text.splitlines() if line.startswith("|")]
    assert Counter(map(cell_count, tables)) == {3: 4, 7: 3, 4: 3}
    out = console()
    from rich.text import Text

    out.print(Text(text), soft_wrap=True)
    assert shown(out).rstrip("\n") == text.rstrip("\n")


def test_sidecars_can_be_looked_at(tmp_path: Path) -> None:
    row = full_row(caption=ALL, source_path=IN_A_NAME, warnings=[ALL])
    data = sidecar_bytes(row)
    assert harmless(data.decode())
    assert parse_sidecar(data) == row
    assert "Семья 老照片 📷 é".encode() in json_bytes({"a": "Семья 老照片 📷 é"})
    assert json.loads(json_bytes({"a": ALL})) == {"a": ALL}


@pytest.mark.parametrize(
    "arguments",
    [
        ["plan", f"no{IN_A_NAME}", "OUT"],
        ["plan", "SCANS", "OUT", "--config", f"no{IN_A_NAME}.yaml"],
        ["plan", "SCANS", "OUT", "--preset", f"no{IN_A_NAME}"],
        ["plan", "SCANS", "OUT", "--captions", "catalogue", "--preset", "sdxl", "--catalogue", f"no{IN_A_NAME}.csv"],
        ["restore", f"s3x{IN_A_NAME}://bucket", "OUT"],
        ["manifest", "show", f"no{IN_A_NAME}"],
        ["manifest", "rebuild", f"no{IN_A_NAME}"],
        ["verify", "SCANS", f"no{IN_A_NAME}"],
        ["verify", "SCANS", "OUT", "--only", IN_A_NAME],
    ],
)
def test_error_lines(
    tmp_path: Path, arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "SCANS").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["faitharchive", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    done = capsys.readouterr()
    text = done.err
    assert text.count("error:") - text.count("error: forged") == 1
    assert harmless(text), sorted({sign for sign in text if not harmless(sign)})
    assert harmless(done.out)
    assert not any(line.startswith("error: forged") for line in text.splitlines())


def test_a_restored_archive_of_such_names(tmp_path: Path) -> None:
    """Names and captions come through unharmed, and through everything that shows them."""
    settings = archive_settings(tmp_path)
    name = "album \u202e[bold]red[/bold] =1.png"
    save_photo(tmp_path / "scans" / name, picture(20, 24))
    (row,) = restore_without_model(settings)
    assert row["source_path"] == name
    (kept,) = current_rows(Store(settings.output)).values()
    assert kept["source_path"] == name
    result = CliRunner().invoke(manifest_cli.app, ["show", settings.output])
    assert harmless(result.output)
    assert not make_plan(settings).pending
