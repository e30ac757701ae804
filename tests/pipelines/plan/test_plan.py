"""The plan: what is pending and why, what is covered, and what the stores tell when the manifest does not."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from archive_steps import archive_settings, picture, restore_without_model, save_photo

from pipelines.manifest.naming import item_id
from pipelines.manifest.reader import current_rows
from pipelines.manifest.writer import ManifestWriter
from pipelines.plan.plan import Plan, make_plan
from pipelines.rows import RESTORED, Row
from pipelines.settings import Settings
from pipelines.store.layout import sidecar_path
from pipelines.store.store import Store, StoreError


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Two photographs, unrestored."""
    save_photo(tmp_path / "scans" / "a.png")
    save_photo(tmp_path / "scans" / "1924" / "b.tif", picture(18, 30, 1))
    return archive_settings(tmp_path)


def changed(settings: Settings, **changes: Any) -> Settings:
    return Settings(**(settings.model_dump() | changes))


def reasons(plan: Plan) -> dict[str, str]:
    return {row["source_path"]: reason for row, reason in zip(plan.pending, plan.pending.reasons, strict=True)}


def current(settings: Settings) -> dict[str, Row]:
    return {row["source_path"]: row for row in current_rows(Store(settings.output)).values()}


def record(settings: Settings, plan: Plan, run_id: str) -> None:
    writer = ManifestWriter(Store(settings.output), run_id)
    for row in plan.final_rows:
        writer.add({**row, "run_id": run_id})
    writer.flush()


def test_a_new_archive_is_all_pending(settings: Settings) -> None:
    plan = make_plan(settings)
    assert reasons(plan) == {"1924/b.tif": "new", "a.png": "new"}
    assert plan.counts() == {"new": 2}
    assert (plan.done, plan.final_rows, plan.quarantined, dict(plan.skipped)) == (0, [], [], {})
    row = plan.pending[1]
    assert row["item_id"] == item_id("a.png")
    assert row["source_uri"] == f"file://{settings.source}/a.png"
    assert row["source_size"] == (Path(settings.source) / "a.png").stat().st_size
    assert row["output_path"] == "a.png"
    assert row["output_uri"] == f"file://{settings.output}/a.png"
    assert (row["status"], row["attempt"], row["seed"], row["prompt"]) == ("pending", 1, 0, "")
    assert row["settings_digest"] == settings.result_digest()
    assert row["model_digest"] == plan.model_digest != ""
    assert plan.pending[0]["output_path"] == "1924/b.tif"
    assert not Path(settings.output).exists()  # planning writes nothing


def test_what_is_restored_is_done(settings: Settings) -> None:
    rows = restore_without_model(settings)
    assert [row["status"] for row in rows] == [RESTORED, RESTORED]
    plan = make_plan(settings)
    assert (plan.pending, plan.done, plan.final_rows) == ([], 2, [])


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"steps": 2}, "settings changed"),
        ({"format": "jpeg"}, "settings changed"),
        ({"seed": 1}, "seed changed"),
        ({"redo": True}, "redo"),
    ],
)
def test_other_settings_restore_again(settings: Settings, changes: dict[str, Any], reason: str) -> None:
    restore_without_model(settings)
    other = changed(settings, **changes)
    assert set(reasons(make_plan(other)).values()) == {reason}
    restore_without_model(other)
    assert make_plan(changed(other, redo=False)).done == 2
    assert set(reasons(make_plan(settings)).values()) <= {"settings changed", "seed changed"}


@pytest.mark.parametrize("changes", [{"device": "cpu"}, {"replicas": 3}, {"max_pixels": 10**6}, {"rows_per_call": 1}])
def test_settings_that_change_no_result_restore_nothing(settings: Settings, changes: dict[str, Any]) -> None:
    restore_without_model(settings)
    assert make_plan(changed(settings, **changes)).done == 2


def test_another_model_restores_again(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    restore_without_model(settings)
    monkeypatch.setattr("pipelines.plan.plan.model_digest", lambda spec: "other weights")
    assert set(reasons(make_plan(settings)).values()) == {"model changed"}


def test_a_changed_source_is_restored_again(settings: Settings) -> None:
    restore_without_model(settings)
    path = Path(settings.source) / "a.png"
    save_photo(path, picture(20, 24, seed=1))
    assert reasons(make_plan(settings)) == {"a.png": "source changed"}
    restore_without_model(settings)
    assert make_plan(settings).done == 2


def test_a_source_of_equal_size_and_other_bytes_is_restored_again(settings: Settings) -> None:
    restore_without_model(settings)
    path = Path(settings.source) / "a.png"
    data = bytearray(path.read_bytes())
    data[-20] ^= 1
    path.write_bytes(data)
    os.utime(path, (1, 1))
    assert reasons(make_plan(settings)) == {"a.png": "source changed"}


def test_a_touched_source_is_done_and_recorded_anew(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    restore_without_model(settings, run_id="1")
    before = current(settings)["a.png"]
    os.utime(Path(settings.source) / "a.png", (1, 1))
    plan = make_plan(settings)
    assert (plan.pending, plan.done) == ([], 2)
    assert [(row["source_path"], row["source_version"]) for row in plan.final_rows] == [("a.png", "1.0")]
    record(settings, plan, "2")
    assert current(settings)["a.png"] == before | {"source_version": "1.0", "run_id": "2"}
    read = Store.read

    def not_of_sources(store: Store, path: str) -> bytes:
        if store.url == settings.source:
            pytest.fail(f"{path} was read again")
        return read(store, path)

    monkeypatch.setattr(Store, "read", not_of_sources)
    assert make_plan(settings).final_rows == []


def test_a_missing_or_altered_result_is_restored_again(settings: Settings) -> None:
    restore_without_model(settings)
    (Path(settings.output) / "a.png").unlink()
    path = Path(settings.output) / "1924" / "b.tif"
    path.write_bytes(path.read_bytes() + b"x")
    assert reasons(make_plan(settings)) == {"a.png": "result missing", "1924/b.tif": "result missing"}
    restore_without_model(settings)
    assert make_plan(settings).done == 2


def test_a_result_without_sidecar_is_restored_again(settings: Settings) -> None:
    restore_without_model(settings)
    (Path(settings.output) / sidecar_path("a.png")).unlink()
    assert reasons(make_plan(settings)) == {"a.png": "result missing"}


def test_results_are_adopted_where_the_manifest_is_lost(settings: Settings) -> None:
    made = {row["source_path"]: row for row in restore_without_model(settings, run_id="1", record=False)}
    plan = make_plan(settings)
    assert (plan.pending, plan.done) == ([], 2)
    assert {row["source_path"]: row["output_sha256"] for row in plan.final_rows} == {
        path: row["output_sha256"] for path, row in made.items()
    }
    record(settings, plan, "2")
    assert {path: row | {"run_id": "1"} for path, row in current(settings).items()} == {
        path: {name: row[name] for name in current(settings)[path]} for path, row in made.items()
    }
    assert make_plan(settings).final_rows == []


def test_an_adopted_result_of_other_settings_is_restored_again(settings: Settings) -> None:
    restore_without_model(settings, record=False)
    plan = make_plan(changed(settings, steps=2))
    assert set(reasons(plan).values()) == {"settings changed"}


@pytest.mark.parametrize("damage", [b"", b"{}", b"\xff", "half"])
def test_damaged_sidecars_are_not_adopted(settings: Settings, damage: bytes | str) -> None:
    restore_without_model(settings, record=False)
    path = Path(settings.output) / sidecar_path("a.png")
    path.write_bytes(path.read_bytes()[:900] if isinstance(damage, str) else damage)
    plan = make_plan(settings)
    assert reasons(plan) == {"a.png": "new"}
    assert [row["source_path"] for row in plan.final_rows] == ["1924/b.tif"]


def test_a_sidecar_without_its_result_is_not_done(settings: Settings) -> None:
    restore_without_model(settings, record=False)
    (Path(settings.output) / "a.png").unlink()
    assert reasons(make_plan(settings)) == {"a.png": "result missing"}


def test_names_are_kept_where_the_manifest_is_lost(settings: Settings) -> None:
    """A source that would take the name of an adopted result gets another one."""
    restore_without_model(settings, record=False)
    save_photo(Path(settings.source) / "a.jpg")
    plan = make_plan(settings)
    assert [(row["source_path"], row["output_path"]) for row in plan.pending] == [("a.jpg", "a.jpg.png")]
    assert plan.done == 2


def test_the_manifest_goes_before_a_sidecar_of_an_older_format(settings: Settings) -> None:
    restore_without_model(settings)
    tiff = changed(settings, format="tiff")
    assert {row["output_path"] for row in restore_without_model(tiff)} == {"a.tif", "1924/b.tif"}
    save_photo(Path(settings.source) / "a.tif")
    outputs = {row["source_path"]: row["output_path"] for row in make_plan(changed(tiff, redo=True)).pending}
    assert outputs["a.png"] == "a.tif"
    assert outputs["a.tif"] == "a.tif.tif"


def test_two_sources_that_differ_in_extension_only(tmp_path: Path) -> None:
    for name, seed in (("twin.png", 0), ("twin.jpg", 1), ("Twin.PNG", 2)):
        save_photo(tmp_path / "scans" / name, picture(20, 24, seed=seed))
    settings = archive_settings(tmp_path)
    rows = restore_without_model(settings)
    outputs = {row["source_path"]: row["output_path"] for row in rows}
    third = f"twin.png~{item_id('twin.png')[:8]}.png"
    assert outputs == {"Twin.PNG": "Twin.PNG.png", "twin.jpg": "twin.jpg.png", "twin.png": third}
    assert len({row["output_sha256"] for row in rows}) == 3
    assert make_plan(settings).done == 3


def test_only_a_glob(settings: Settings) -> None:
    save_photo(Path(settings.source) / "1924" / "c.png")
    assert set(reasons(make_plan(changed(settings, only="1924/*.tif")))) == {"1924/b.tif"}
    assert set(reasons(make_plan(changed(settings, only="*.png")))) == {"1924/c.png", "a.png"}
    assert set(reasons(make_plan(changed(settings, only="*.PNG")))) == set()


def test_other_files_are_skipped_and_counted(settings: Settings) -> None:
    for name in ("notes.txt", "1924/more.TXT", "README", ".jpg", "x.psd", "_faitharchive/hidden.png"):
        path = Path(settings.source) / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"no photograph")
    plan = make_plan(changed(settings, into_existing=True))  # a source with records of ours may be an output
    assert set(reasons(plan)) == {"1924/b.tif", "a.png"}
    assert dict(plan.skipped) == {".txt": 2, "README": 1, ".jpg": 1, ".psd": 1, ".png": 1}


def test_catalogue_captions_change_their_own_items_alone(settings: Settings, tmp_path: Path) -> None:
    catalogue = tmp_path / "catalogue.csv"
    catalogue.write_text("path,caption\na.png,A mill by a river\n")
    described = changed(settings, captions="catalogue", catalogue=str(catalogue))
    rows = {row["source_path"]: row for row in restore_without_model(described)}
    assert rows["a.png"]["caption"] == "A mill by a river"
    assert "mill" in rows["a.png"]["prompt"]
    assert (rows["a.png"]["caption_source"], rows["1924/b.tif"]["caption_source"]) == ("catalogue", "none")
    assert rows["a.png"]["settings_digest"] != rows["1924/b.tif"]["settings_digest"]
    assert make_plan(described).done == 2
    catalogue.write_text("path,caption\na.png,A windmill by a river\n")
    plan = make_plan(described)
    assert reasons(plan) == {"a.png": "settings changed"}
    again = {row["source_path"]: row for row in restore_without_model(described)}
    assert again["a.png"]["identity"] != rows["a.png"]["identity"]
    catalogue.write_text("path,caption\na.png,A windmill by a river\n1924/b.tif,A boat\n")
    assert reasons(make_plan(described)) == {"1924/b.tif": "settings changed"}


def test_stores_that_cannot_be_used(settings: Settings, tmp_path: Path) -> None:
    for changes, text in (
        ({"source": ""}, "both needed"),
        ({"output": ""}, "both needed"),
        ({"source": str(tmp_path / "missing")}, "no such folder"),
        ({"output": f"{settings.source}/restored"}, "lies inside"),
    ):
        with pytest.raises(StoreError, match=text):
            make_plan(changed(settings, **changes))
    with pytest.raises(StoreError) as caught:
        make_plan(changed(settings, source="memory://user:s3cret@nowhere"))
    assert "s3cret" not in str(caught.value)
