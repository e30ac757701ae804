"""Faces and text in the manifest: where they are, and how far the result can be trusted there."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from archive_steps import archive_settings, restore_without_model, save_photo

from faithdiff_model.trust import sensitive
from jobs.samples.archive import original
from pipelines.media.photo.trust_map import write_trust_map
from pipelines.rows import new_row
from pipelines.stages.sensitive import found_in, joined_sensitive, with_trust
from pipelines.stages.trust import trust_of_band


def test_a_face_is_recorded_where_it_is_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sensitive, "find_spec", lambda name: None)
    portrait = np.rint(original("astronaut.png")[:256, 64:320] * 255).astype(np.uint8)
    save_photo(tmp_path / "scans" / "a.png", portrait)
    (found,) = restore_without_model(archive_settings(tmp_path, sensitive="find", upscale=1))
    told = json.loads(found["sensitive"] or "")
    assert told["face"]["regions"] == len(told["face"]["boxes"]) == 1
    assert 0.02 < told["face"]["share"] < 0.3
    assert told["missing"] == ['text was not looked for: pip install "faitharchive[ocr]"']
    (unasked,) = restore_without_model(archive_settings(tmp_path, redo=True, upscale=1))
    assert unasked["sensitive"] is None


def test_where_nothing_is_that_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sensitive, "_detector", lambda: lambda *_, **__: None)
    assert found_in(np.full((30, 40, 3), 128, np.uint8)) == "{}"


def test_trust_is_that_of_the_boxes() -> None:
    bands = np.full((10, 20), 0.02, np.float32)
    bands[5:, 10:] = 0.1
    boxes = {"face": {"regions": 1, "share": 0.25, "boxes": [[0.5, 0.5, 1, 1]]}}
    boxes |= {"text": {"regions": 1, "share": 0.0, "boxes": [[0, 0, 0, 0]]}}
    row = new_row(sensitive=json.dumps(boxes), trust_map=write_trust_map(bands))
    told = json.loads(with_trust(row) or "")
    assert told["face"]["trust"] == pytest.approx(trust_of_band(0.1))
    assert told["text"]["trust"] == pytest.approx(trust_of_band(0.02))
    row["trust_map"] = None
    assert with_trust(row) == row["sensitive"]
    assert with_trust(new_row()) is None


def test_pages_are_counted_together() -> None:
    found = json.dumps({"text": {"regions": 2, "share": 0.1, "boxes": []}, "missing": []})
    pages = [new_row(sensitive="{}"), new_row(sensitive=found), new_row(sensitive=found)]
    assert json.loads(joined_sensitive(pages) or "") == {"missing": [], "text": {"pages": [2, 3], "regions": 4}}
    assert joined_sensitive([new_row(), new_row()]) is None
