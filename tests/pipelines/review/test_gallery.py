"""Cards of a manifest: the newest row of each item, made anew when a run has added some."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from archive_steps import full_row

from pipelines.manifest.writer import ManifestWriter
from pipelines.review import gallery
from pipelines.review.gallery import Gallery
from pipelines.rows import FAILED
from pipelines.store.store import Store

OLD, NEW = "20260101T000000.000Z-aaaaaa", "20260102T000000.000Z-bbbbbb"


def test_the_newest_row_counts_and_a_later_run_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gallery, "_LOOK_AGAIN", 0.0)
    store = Store(str(tmp_path))
    first = ManifestWriter(store, OLD)
    for number in range(3):
        first.add(full_row(run_id=OLD, item_id=f"{number:024d}", source_path=f"{number}.tif", caption="x" * 999))
    first.flush()
    cards = Gallery(store)
    version, data = cards.cards()
    found = json.loads(data)
    assert found["columns"]["source_path"] == ["0.tif", "1.tif", "2.tif"]
    assert {len(text) for text in found["columns"]["caption"]} == {300}
    assert cards.version() == version
    second = ManifestWriter(store, NEW)
    second.add(full_row(run_id=NEW, item_id=f"{1:024d}", source_path="1.tif", status=FAILED, output_sha256=None))
    second.flush()
    assert cards.version() != version
    found = json.loads(cards.cards()[1])
    assert [found["names"]["status"][number] for number in found["columns"]["status"]] == [
        "restored",
        "failed",
        "restored",
    ]
    row = cards.row(f"{1:024d}")
    assert row is not None
    assert (row["run_id"], row["status"]) == (NEW, FAILED)
    assert cards.result(f"{1:024d}") == ("", "x")
    assert [each["source_path"] for each in cards.rows([f"{2:024d}", "none", f"{0:024d}"])] == ["2.tif", "0.tif"]


def test_more_items_than_a_page_holds_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gallery, "MOST_CARDS", 2)
    store = Store(str(tmp_path))
    writer = ManifestWriter(store, OLD)
    for number in range(5):
        writer.add(full_row(item_id=f"{number:024d}", source_path=f"{number}.tif"))
    writer.flush()
    found = json.loads(Gallery(store).cards()[1])
    assert (found["total"], found["count"]) == (5, 2)
