"""Fixity of the masks of damage: a missing or altered one is found beside a sound result, and is made again."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from archive_steps import archive_settings, picture, restore_without_model
from scratched import find_white, scratch_mask, scratched

from pipelines.audit.findings import PUBLISH_SIDECAR, REDO, Findings
from pipelines.audit.fixity import Check
from pipelines.manifest.reader import current_rows
from pipelines.media.photo.encode import encode
from pipelines.media.photo.mask import write_mask
from pipelines.rows import Row
from pipelines.settings import Settings
from pipelines.store.layout import damage_path, sidecar_path
from pipelines.store.store import Store


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    find_white(monkeypatch)
    settings = archive_settings(tmp_path, repair_damage="fill")
    scan = scratched(picture(40, 30), scratch_mask(40, 30))
    (tmp_path / "scans" / "a.png").write_bytes(encode(scan, format="PNG"))
    restore_without_model(settings, damage=True)
    return settings


def row_of(settings: Settings) -> Row:
    (row,) = current_rows(Store(settings.output)).values()
    return row


def mask_of(settings: Settings) -> Path:
    return Path(settings.output) / damage_path("a.png")


def edit_sidecar(settings: Settings) -> None:
    path = Path(settings.output) / sidecar_path("a.png")
    path.write_text(json.dumps(json.loads(path.read_text()) | {"damage_mask_sha256": "0" * 64}))


CASES: dict[str, tuple[Callable[[Settings], object], list[str], str | None]] = {
    "sound": (lambda s: None, [], None),
    "deleted": (lambda s: mask_of(s).unlink(), ["mask missing"], REDO),
    "another": (lambda s: mask_of(s).write_bytes(write_mask(scratch_mask(41, 30))), ["mask altered"], REDO),
    "emptied": (lambda s: mask_of(s).write_bytes(b""), ["mask altered"], REDO),
    "a folder": (lambda s: (mask_of(s).unlink(), mask_of(s).mkdir()), ["mask unreadable"], None),
    "another in the sidecar": (edit_sidecar, ["sidecar disagrees"], PUBLISH_SIDECAR),
}


@pytest.mark.parametrize("case", CASES)
def test_what_became_of_a_mask_is_found(settings: Settings, case: str) -> None:
    change, expected, remedy = CASES[case]
    change(settings)
    row = row_of(settings)
    answer = Check(Store(settings.source), Store(settings.output, 0.0)).core(row)
    assert [f"{one['what']} {one['problem']}" for one in answer["problems"]] == expected
    findings = Findings()
    findings.add(answer)
    assert {name for name, items in findings.remedies.items() if items} == ({remedy} if remedy else set())


def test_the_bytes_of_the_mask_are_counted(settings: Settings) -> None:
    row = row_of(settings)
    files = [Path(settings.source) / "a.png"]
    files += [Path(settings.output) / name for name in ("a.png", damage_path("a.png"), sidecar_path("a.png"))]
    answer = Check(Store(settings.source), Store(settings.output)).core(row)
    assert answer["bytes"] == sum(path.stat().st_size for path in files)
