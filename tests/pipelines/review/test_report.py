"""The report: counts from current rows alone, everything escaped, and the command."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from archive_steps import full_row
from typer.testing import CliRunner

from pipelines.manifest.decision import Decision
from pipelines.manifest.decisions import DecisionLog
from pipelines.manifest.runs import write_run_record
from pipelines.manifest.writer import ManifestWriter
from pipelines.review.page import report_page
from pipelines.review.report import make_report, publish_report
from pipelines.rows import FAILED, QUARANTINED, RESTORED
from pipelines.store.store import Store


def _row(number: int, status: str, run: str = "20260101T000000.000Z-aaaaaa", **changes: Any) -> dict[str, Any]:
    values = {
        "item_id": f"{number:024d}", "source_path": f"box/{number}.tif", "status": status, "run_id": run, "media_kind": "photo",
        "source_size": 10, "output_size": 30, "lq_psnr_db": 30.0 + number, "model_preset": "nano", "device": "cpu",
        "model_trained": True, "frames": 1,
    }  # fmt: skip
    if status != RESTORED:
        values |= {
            "error_code": "corrupt",
            "error_stage": "decode",
            "error_reason": "is damaged; scan it again",
            "attempt": 2,
        }
    return full_row(**values) | changes


def _store(folder: Path) -> Store:
    store = Store(str(folder))
    old, new = (
        ManifestWriter(store, "20260101T000000.000Z-aaaaaa"),
        ManifestWriter(store, "20260102T000000.000Z-bbbbbb"),
    )
    for number in range(4):
        old.add(_row(number, FAILED))
    late = {"run": "20260102T000000.000Z-bbbbbb"}
    new.add(_row(0, RESTORED, **late))
    new.add(_row(1, RESTORED, **late, media_kind="film", frames=48))
    new.add(_row(2, QUARANTINED, **late, source_path="<script>alert(1)</script>\x1b[2J.tif"))
    old.flush()
    new.flush()
    write_run_record(
        store, "20260102T000000.000Z-bbbbbb", {"restored": 2, "failed": 1, "items_per_hour": 7.5, "stopped": ""}
    )
    store.publish("_faitharchive/runs/20260103T000000.000Z-cccccc.json", b"{half")
    return store


def test_current_rows_are_counted_once(tmp_path: Path) -> None:
    report = make_report(_store(tmp_path))
    assert report.statuses == {"failed": 1, "quarantined": 1, "restored": 2}
    assert report.kinds == [("film", 1, 10, 30, 48), ("photo", 1, 10, 30, 1)]
    assert report.codes == {"corrupt": 2}
    assert [failure[:3] for failure in report.failures] == [
        ("<script>alert(1)</script>\x1b[2J.tif", "quarantined", 2),
        ("box/3.tif", "failed", 2),
    ]
    assert report.faithfulness[2] == 30.5
    assert report.faintest == [("box/0.tif", 30.0), ("box/1.tif", 31.0)]
    assert report.models == [("nano", "cpu", True, 2)]
    assert [run["run_id"] for run in report.runs] == ["20260102T000000.000Z-bbbbbb"]


def test_warnings_and_files_that_were_not_taken_are_totalled(tmp_path: Path) -> None:
    store = _store(tmp_path)
    late = ManifestWriter(store, "20260103T000000.000Z-cccccc")
    for number, warnings in enumerate(
        (["3 pages: only the first is read"], ["9 pages: only the first is read", "x <b>"])
    ):
        late.add(_row(number, RESTORED, "20260103T000000.000Z-cccccc", warnings=warnings))
    late.flush()
    files = {"pattern": "*.psd", "files": 2, "kind": "Photoshop documents", "advice": "save them"}
    write_run_record(store, "20260104T000000.000Z-dddddd", {"not_taken": [files], "only": "", "with_warnings": 2})
    report = make_report(store)
    assert (report.with_warnings, report.warnings) == (2, {"N pages: only the first is read": 2, "x <b>": 1})
    assert report.not_taken == [("Photoshop documents", "*.psd", 2, "save them")]
    publish_report(store, report, "today")
    page = store.read("_faitharchive/reports/today.html").decode()
    for text in ("2 restored (2 of them with warnings)", "x &lt;b&gt;", "Photoshop documents", "save them"):
        assert text in page


def test_the_page_escapes_what_comes_from_the_archive(tmp_path: Path) -> None:
    store = _store(tmp_path)
    uri = publish_report(store, make_report(store), "today")
    assert uri.endswith("/_faitharchive/reports/today.html")
    page = store.read("_faitharchive/reports/today.html").decode()
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;\\x1b[2J.tif" in page
    assert "4 items, 2 restored" in page
    assert "is damaged; scan it again" in page
    assert json.loads(store.read("_faitharchive/reports/today.json"))["statuses"]["restored"] == 2


def test_an_untrained_network_is_told(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    writer = ManifestWriter(store, "20260101T000000.000Z-aaaaaa")
    writer.add(_row(0, RESTORED, model_trained=False))
    writer.flush()
    publish_report(store, make_report(store), "x")
    assert b"NO: not restorations" in store.read("_faitharchive/reports/x.html")


def test_an_empty_store_has_a_report(tmp_path: Path) -> None:
    report = make_report(Store(str(tmp_path)))
    assert (report.statuses, report.faithfulness, report.failures) == ({}, [], [])


def test_the_command(tmp_path: Path) -> None:
    from jobs.cli.main import app

    _store(tmp_path)
    result = CliRunner().invoke(app, ["report", str(tmp_path), "--name", "june"])
    assert result.exit_code == 0, result.output
    assert (tmp_path / "_faitharchive/reports/june.html").exists()
    refused = CliRunner().invoke(app, ["report", str(tmp_path), "--name", "../june"])
    assert "use letters, digits" in str(refused.exception)
    missing = CliRunner().invoke(app, ["report", str(tmp_path / "nowhere")])
    assert "there is no such folder" in str(missing.exception)


def test_a_few_of_many_are_those_that_need_eyes_and_a_spread(tmp_path: Path) -> None:
    store, run = Store(str(tmp_path)), "20260101T000000.000Z-aaaaaa"
    writer = ManifestWriter(store, run)
    rows = [_row(number, RESTORED, source_path=f"{number:03d}.tif", needs_review=number == 50) for number in range(100)]
    for row in rows:
        writer.add(row)
    writer.flush()
    DecisionLog(store).record([Decision.about(rows[70], "reject", reviewer="Ada")])
    report = make_report(store, pictures=8)
    shown = [card.path for card in report.cards]
    # Rejected, below a threshold, furthest from its scan; then every so many.
    assert {"070.tif", "050.tif", "000.tif", "001.tif"} <= set(shown)
    assert (len(shown), shown) == (8, sorted(shown))
    assert max(int(path[:3]) for path in shown) > 75
    assert all(card.problem.startswith("cannot be shown") for card in report.cards)
    assert report.needs_review == 1
    assert (report.reviews.reviewed, report.reviews.results) == (1, 100)
    psnr = next(each for each in report.measures if "PSNR" in each.title)
    assert sum(psnr.counts) == 100
    assert (psnr.edges[0], psnr.edges[-1], len(psnr.counts)) == (30.0, 129.0, 20)
    assert "8 of 100 restored items are shown" in report_page(report)


def test_a_page_does_not_grow_with_its_archive(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    writer = ManifestWriter(store, "20260101T000000.000Z-aaaaaa")
    for number in range(1500):
        writer.add(_row(number, RESTORED if number % 3 else FAILED))
    writer.flush()
    report = make_report(store)
    assert (report.statuses, len(report.failures), len(report.faintest)) == ({"failed": 500, "restored": 1000}, 200, 20)
    assert len(report_page(report)) < 150_000
