"""Rebuilding the manifest: what sidecars know comes back field by field, nothing is deleted, nothing is written twice."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from archive_steps import archive_settings, full_row, picture, restore_without_model, save_photo

from pipelines.manifest import rebuild as module
from pipelines.manifest.index import open_index
from pipelines.manifest.naming import item_id
from pipelines.manifest.reader import current_rows, read_rows
from pipelines.manifest.rebuild import RebuildResult, rebuild_manifest
from pipelines.manifest.runs import new_run_id
from pipelines.manifest.sidecar import sidecar_bytes
from pipelines.manifest.writer import ManifestWriter
from pipelines.plan.plan import make_plan
from pipelines.rows import FAILED, MANIFEST_SCHEMA, Row
from pipelines.settings import Settings
from pipelines.store.layout import MANIFEST, REBUILDS, SET_ASIDE, sidecar_path
from pipelines.store.lease import hold_lease
from pipelines.store.store import Store, StoreError


def again(store: Store, **options: Any) -> RebuildResult:
    return rebuild_manifest(store, run_id=new_run_id(), lease_seconds=60, **options)


def kept(rows: dict[str, Row]) -> dict[str, Row]:
    return {name: {field: row[field] for field in MANIFEST_SCHEMA.names} for name, row in rows.items()}


def manifest_files(settings: Settings) -> list[Path]:
    return sorted((Path(settings.output) / MANIFEST).rglob("*.parquet"))


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Four photographs, restored in two runs, one of which failed on a fifth."""
    settings = archive_settings(tmp_path)
    for number in range(2):
        save_photo(tmp_path / "scans" / f"first {number}.png", picture(20, 24, seed=number))
    restore_without_model(settings)
    for name in ("Семья [1924]/b #1?.tif", "c.jpg"):
        save_photo(tmp_path / "scans" / name, picture(18, 30))
    (tmp_path / "scans" / "bad.jpg").write_bytes(b"no picture")
    restore_without_model(settings)
    return settings


@pytest.fixture
def store(settings: Settings) -> Store:
    return Store(settings.output)


def test_a_whole_manifest_needs_nothing(settings: Settings, store: Store) -> None:
    before = {entry.path: entry.version for entry in store.list()}
    found = again(store)
    assert (found.manifest_files, found.sidecars, found.known, found.written, found.unusable) == (2, 4, 4, 0, 0)
    after = {entry.path: entry.version for entry in store.list()}
    assert {path for path in after if after[path] != before.get(path)} == {"_faitharchive/lease/00000001.json"}


@pytest.mark.parametrize("fault", ["deleted", "one deleted", "truncated", "empty", "one overwritten"])
def test_lost_rows_come_back_field_by_field(settings: Settings, store: Store, fault: str) -> None:
    before = kept(current_rows(store))
    failed = {name for name, row in before.items() if row["status"] == FAILED}
    files = manifest_files(settings)
    for number, path in enumerate(files):
        if fault == "deleted" or (fault == "one deleted" and number):
            path.unlink()
        elif fault == "truncated":
            path.write_bytes(path.read_bytes()[:-100])
        elif fault == "empty":
            path.write_bytes(b"")
        elif fault == "one overwritten" and not number:
            data = path.read_bytes()
            path.write_bytes(data[: len(data) // 3] + bytes(len(data) // 3) + data[len(data) * 2 // 3 :])
    found = again(store)
    lost = {"one deleted": 2, "one overwritten": 2}.get(fault, 4)
    assert (found.written, found.known, found.unusable) == (lost, 4 - lost, 0)
    after = kept(current_rows(store))
    expected = before if fault == "one overwritten" else {name: before[name] for name in before.keys() - failed}
    assert after == expected
    # The folder is the rebuild's, the rows are their runs'.
    assert found.run_id not in {row["run_id"] for row in after.values()}
    assert (Path(settings.output) / MANIFEST / f"run={found.run_id}" / "part-00000.parquet").is_file()

    plan = make_plan(settings)
    assert plan.done == 4
    assert [row["source_path"] for row in plan.pending] == (["bad.jpg"])
    assert plan.pending[0]["attempt"] == (2 if fault == "one overwritten" else 1)

    second = again(store)
    assert (second.written, second.known, second.set_aside) == (0, 4, [])
    assert read_rows(store).num_rows == len(expected)


def test_unreadable_files_are_set_aside_and_not_deleted(settings: Settings, store: Store) -> None:
    first, second = manifest_files(settings)
    damaged = first.read_bytes()[:2000]
    first.write_bytes(damaged)
    other = store.read(second.relative_to(settings.output).as_posix())
    found = again(store)
    (path, reason) = found.set_aside[0]
    assert path == first.relative_to(settings.output).as_posix()
    assert reason
    assert not first.exists()
    aside = f"{SET_ASIDE}/{found.run_id}/{path.removeprefix('_faitharchive/')}"
    assert store.read(aside) == damaged
    assert second.read_bytes() == other
    record = json.loads(store.read(f"{REBUILDS}/{found.run_id}.json"))
    assert record["set_aside"] == [[path, reason]]
    assert (record["written"], record["known"]) == (2, 2)


def test_a_redo_whose_row_was_lost_is_current_again(settings: Settings, store: Store) -> None:
    """Also where an older row of the very same result is still there."""
    results = {}
    for seed in (1, 0):  # the fixture's seed was 0
        changed = Settings(**(settings.model_dump() | {"seed": seed}))
        restore_without_model(changed)
        results[seed] = kept(current_rows(store))
    newest = manifest_files(settings)[-1]
    newest.unlink()
    assert kept(current_rows(store)) == results[1]
    again(store)
    failed = item_id("bad.jpg")
    after = kept(current_rows(store))
    assert {name: row for name, row in after.items() if name != failed} == {
        name: row for name, row in results[0].items() if name != failed
    }
    assert again(store).written == 0


def test_a_newer_failure_stays_the_current_row(settings: Settings, store: Store) -> None:
    """A lost row of the result comes back as history, and does not hide that the item failed since."""
    save_photo(Path(settings.source) / "c.jpg", picture(18, 31))
    Path(settings.source, "c.jpg").write_bytes(b"broken since")
    restore_without_model(settings)
    failure = kept(current_rows(store))[item_id("c.jpg")]
    assert failure["status"] == FAILED
    manifest_files(settings)[1].unlink()
    assert again(store).written == 2
    assert kept(current_rows(store))[item_id("c.jpg")] == failure


def test_a_touched_source_stays_known(settings: Settings, store: Store) -> None:
    """Its row was recorded again by a later run, with another version, and says more than the sidecar."""
    path = Path(settings.source) / "c.jpg"
    path.touch()
    plan = make_plan(settings)
    assert [row["source_path"] for row in plan.final_rows] == ["c.jpg"]
    restore_without_model(settings, plan)
    assert again(store).written == 0


def test_unusable_sidecars_are_named_with_why(
    settings: Settings, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_BATCH", 3)
    monkeypatch.setattr(module, "_LISTED", 4)
    for path in manifest_files(settings):
        path.unlink()
    out = Path(settings.output)
    (out / "c.png").unlink()
    (out / "first 0.png").write_bytes(b"shorter")
    sidecar = out / "first 1.png.restoration.json"
    sidecar.write_bytes(sidecar.read_bytes()[:100])
    (out / "copied.png").write_bytes(b"1")
    (out / "copied.png.restoration.json").write_bytes(sidecar_bytes(full_row(output_path="elsewhere.png")))
    (out / "newer.png").write_bytes(b"1")
    newer = json.loads(sidecar_bytes(full_row(output_path="newer.png"))) | {"schema_version": 2}
    (out / "newer.png.restoration.json").write_bytes(json.dumps(newer).encode())
    (out / "forged.png").write_bytes(b"1")
    (out / "forged.png.restoration.json").write_bytes(sidecar_bytes(full_row(output_path="forged.png", output_size=1)))
    (out / "empty.png").write_bytes(b"1")
    (out / "empty.png.restoration.json").write_bytes(b"")
    seen: list[tuple[int, int]] = []
    found = again(store, on_sidecars=lambda done, total: seen.append((done, total)))
    reasons = {path.removesuffix(".png.restoration.json"): reason for path, reason in found.first_unusable}
    assert reasons.keys() == {"c", "first 0", "first 1", "copied", "newer", "forged", "empty"}
    for name, words in {
        "c": "result is missing",
        "first 0": "has 7 bytes, not ",
        "first 1": "not whole JSON of 100 bytes",
        "copied": "describes elsewhere.png",
        "newer": "of version 2",
        "forged": "item id",
        "empty": "is empty",
    }.items():
        assert words in reasons[name], reasons[name]
    assert (found.unusable, found.written, found.sidecars) == (7, 1, 8)
    assert seen == [(3, 8), (6, 8), (8, 8)]
    assert [row["source_path"] for row in current_rows(store).values()] == ["Семья [1924]/b #1?.tif"]


def test_a_held_store_is_left_alone(settings: Settings, store: Store) -> None:
    for path in manifest_files(settings):
        path.unlink()
    with hold_lease(store, run_id="another run", seconds=60), pytest.raises(StoreError, match="another run"):
        again(store)
    assert read_rows(store).num_rows == 0
    assert again(store).written == 4


def test_no_such_store(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no such folder"):
        again(Store(str(tmp_path / "nowhere")))
    assert not (tmp_path / "nowhere").exists()


@pytest.fixture(params=["memory", "s3"])
def far_store(request: pytest.FixtureRequest) -> Iterator[Store]:
    """Stores without folders."""
    if request.param == "memory":
        yield Store(f"memory://{uuid.uuid4().hex}/out [1] #%?")
        return
    request.getfixturevalue("s3_server")
    store = Store(f"s3://rebuild-{uuid.uuid4().hex[:8]}/out [1] #%?")
    store.fs.mkdir(store.root.split("/")[0])
    yield store


def test_object_stores(far_store: Store) -> None:
    rows = {}
    for number in range(3):
        path = f"a #%? {number}.png"
        row = full_row(source_path=path, item_id=item_id(path), output_path=path, output_size=3, run_id=f"run{number}")
        far_store.publish(path, b"123")
        far_store.publish(sidecar_path(path), sidecar_bytes(row))
        rows[row["item_id"]] = row
    far_store.publish(f"{MANIFEST}/run=run0/part-00000.parquet", b"damaged")
    found = again(far_store)
    assert (found.written, len(found.set_aside), found.unusable) == (3, 1, 0)
    assert kept(current_rows(far_store)) == kept(rows)
    assert again(far_store).written == 0


def test_current_rows_are_located_among_many_files(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    for run in range(3):
        writer = ManifestWriter(store, f"run{run}")
        for number in range(run, 30):
            writer.add(full_row(item_id=str(number), run_id=f"run{run}", source_size=100, output_size=1))
            if number % 7 == 0:
                writer.flush()
        writer.flush()
    with open_index(store) as current:
        assert (current.count, current.items, current.bytes) == (30, 30, 3030)
        blocks = list(current.blocks(rows=4, size=1 << 30))
        from pipelines.manifest.index import read_block

        rows = [row for block in blocks for row in read_block(store, block, ("item_id", "run_id"))]
        assert all(len(read_block(store, block, ("item_id",))) <= 4 for block in blocks)
        small = [read_block(store, block, ("item_id",)) for block in current.blocks(rows=100, size=250)]
        assert {len(block) for block in small} == {2}
    assert {row["item_id"]: row["run_id"] for row in rows} == {
        name: row["run_id"] for name, row in current_rows(store).items()
    }
    assert len(rows) == 30
    with open_index(store, choose=lambda name, path: name in ("3", "5")) as current:
        assert current.count == 2
    with open_index(store, statuses=(FAILED,)) as current:
        assert (current.count, current.items) == (0, 30)
