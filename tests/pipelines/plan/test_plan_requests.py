"""What a plan asks the stores: listings and the manifest, not each item; and sidecars where a run that died left some."""

from __future__ import annotations

import io
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import s3fs
from archive_steps import archive_settings, picture, restore_without_model, save_photo
from PIL import Image
from s3_server import FlakyProxy

from pipelines.manifest.naming import item_id
from pipelines.manifest.reader import current_rows
from pipelines.manifest.runs import write_run_start
from pipelines.manifest.scratch import scratch_database
from pipelines.plan.orphans import OrphanSidecars
from pipelines.plan.plan import Plan, make_plan
from pipelines.plan.tables import ADOPTED_RECORDS, RECORDS, SIDECARS, PlanDatabase
from pipelines.settings import Settings
from pipelines.store.layout import MANIFEST, RUNS, SIDECAR_SUFFIX, sidecar_path
from pipelines.store.store import Store, StoreError


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Two photographs, unrestored."""
    save_photo(tmp_path / "scans" / "a.png")
    save_photo(tmp_path / "scans" / "1924" / "b.tif", picture(18, 30, 1))
    return archive_settings(tmp_path)


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Sidecars that are read from now on."""
    found: list[str] = []
    real = Store.read

    def noted(store: Store, path: str) -> bytes:
        if path.endswith(SIDECAR_SUFFIX):
            found.append(path)
        return real(store, path)

    monkeypatch.setattr(Store, "read", noted)
    return found


def changed(settings: Settings, **changes: Any) -> Settings:
    return Settings(**(settings.model_dump() | changes))


def reasons(plan: Plan) -> dict[str, str]:
    return {row["source_path"]: reason for row, reason in zip(plan.pending, plan.pending.reasons, strict=True)}


def test_what_the_manifest_tells_is_not_asked_of_sidecars(settings: Settings, read: list[str]) -> None:
    restore_without_model(settings, ended=True)
    read.clear()
    assert make_plan(settings).done == 2
    for changes in ({"steps": 2}, {"seed": 3}, {"format": "jpeg"}, {"redo": True}):
        assert make_plan(changed(settings, **changes)).done == 0
    (Path(settings.output) / "a.png").write_bytes(b"altered")
    assert reasons(make_plan(settings)) == {"a.png": "result missing"}
    assert read == []


def test_what_a_run_that_died_had_finished_is_taken_over(settings: Settings, read: list[str]) -> None:
    """Its rows never reached the manifest, which has rows of an older run for the same items."""
    restore_without_model(settings, run_id="1", ended=True)
    other = changed(settings, steps=2)
    write_run_start(Store(settings.output), "2", {"only": ""})
    restore_without_model(other, run_id="2", record=False)
    read.clear()
    plan = make_plan(other)
    assert (plan.pending, plan.done) == ([], 2)
    assert sorted(read) == ["1924/b.tif.restoration.json", "a.png.restoration.json"]
    restore_without_model(other, plan, run_id="3", ended=True)
    assert {row["settings_digest"] for row in current_rows(Store(settings.output)).values()} == {other.result_digest()}
    read.clear()
    assert make_plan(other).final_rows == []
    assert read == []


def test_new_items_of_a_run_that_died_are_taken_over_without_the_rest(settings: Settings, read: list[str]) -> None:
    restore_without_model(settings, run_id="1", ended=True)
    save_photo(Path(settings.source) / "new.png")
    restore_without_model(settings, run_id="2", record=False)
    read.clear()
    plan = make_plan(settings)
    assert (plan.pending, plan.done, len(plan.final_rows)) == ([], 3, 1)
    assert read == ["new.png.restoration.json"]


def test_a_run_over_a_part_does_not_settle_what_was_before_it(settings: Settings, read: list[str]) -> None:
    restore_without_model(settings, run_id="1", ended=True)
    other = changed(settings, seed=5)
    write_run_start(Store(settings.output), "2", {"only": ""})
    restore_without_model(other, run_id="2", record=False)
    part = changed(other, only="*.tif")
    restore_without_model(part, make_plan(part), run_id="3", ended=True)
    plan = make_plan(other)
    assert (plan.pending, plan.done) == ([], 2)
    assert [row["source_path"] for row in plan.final_rows] == ["a.png"]


def test_results_in_an_older_format_are_not_read_again_and_again(settings: Settings, read: list[str]) -> None:
    restore_without_model(settings, ended=True)
    tiff = changed(settings, format="tiff")
    restore_without_model(tiff, ended=True)
    assert (Path(settings.output) / sidecar_path("a.png")).exists()
    read.clear()
    assert make_plan(tiff).done == 2
    assert read == []
    # And nobody writes over them.
    save_photo(Path(settings.source) / "a.jpg")
    (row,) = make_plan(changed(tiff, format="png", only="a.jpg")).pending
    assert row["output_path"] == "a.jpg.png"


def test_sidecars_that_lie_elsewhere_or_name_another_file_cover_nothing(settings: Settings) -> None:
    restore_without_model(settings, record=False)
    output = Path(settings.output)
    text = (output / sidecar_path("a.png")).read_text(encoding="utf-8")
    (output / "copy").mkdir()
    (output / "copy" / sidecar_path("a.png")).write_text(text, encoding="utf-8")
    for changes in ({"output_path": "../../a.png"}, {"item_id": item_id("b.png")}, {"source_path": "b.png"}):
        (output / sidecar_path("a.png")).write_text(json.dumps(json.loads(text) | changes), encoding="utf-8")
        plan = make_plan(settings)
        assert (reasons(plan), plan.done) == ({"a.png": "new"}, 1)
        assert [row["source_path"] for row in plan.final_rows] == ["1924/b.tif"]


def test_results_known_to_be_damaged_are_made_again(settings: Settings) -> None:
    rows = restore_without_model(settings, ended=True)
    (damaged,) = [row["item_id"] for row in rows if row["source_path"] == "a.png"]
    plan = make_plan(settings, damaged=[damaged, "0" * 24, damaged])
    assert (reasons(plan), plan.done, plan.counts()) == ({"a.png": "result damaged"}, 1, {"result damaged": 1})
    assert plan.pending[0]["attempt"] == 1
    assert plan.pending[0]["output_path"] == "a.png"
    (Path(settings.source) / "a.png").unlink()
    assert make_plan(settings, damaged=[damaged]).pending == []


def test_damaged_results_whose_manifest_was_lost_are_not_taken_over(settings: Settings) -> None:
    restore_without_model(settings, record=False)
    plan = make_plan(settings, damaged={item_id("a.png")})
    assert reasons(plan) == {"a.png": "result damaged"}
    assert [row["source_path"] for row in plan.final_rows] == ["1924/b.tif"]


@pytest.fixture
def asked(s3_server: str, monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Requests to S3 by operation."""
    found: Counter[str] = Counter()
    real = s3fs.S3FileSystem._call_s3

    async def noted(self: Any, method: str, *arguments: Any, **keywords: Any) -> Any:
        found[method] += 1
        return await real(self, method, *arguments, **keywords)

    monkeypatch.setattr(s3fs.S3FileSystem, "_call_s3", noted)
    return found


def finished_on_s3(bucket: str, items: int) -> Settings:
    """An archive on S3, restored by a run that came to its end."""
    source = Store(f"s3://{bucket}/scans")
    source.fs.mkdir(bucket)
    for number in range(items):
        file = io.BytesIO()
        Image.fromarray(picture(8, 8, seed=number)).save(file, "PNG")
        source.publish(f"box {number % 3}/{number}.png", file.getvalue())
    settings = Settings(
        source=f"s3://{bucket}/scans", output=f"s3://{bucket}/restored", preset="tiny", steps=1, upscale=8
    )
    restore_without_model(settings, ended=True)
    return settings


def test_requests_do_not_grow_with_the_archive(asked: Counter[str]) -> None:
    few, many = finished_on_s3("few", 3), finished_on_s3("many", 24)
    for changes, done in (({}, True), ({"steps": 2}, False)):
        counts = []
        for settings, items in ((few, 3), (many, 24)):
            asked.clear()
            plan = make_plan(changed(settings, **changes))
            assert (plan.done, len(plan.pending)) == ((items, 0) if done else (0, items))
            counts.append(dict(asked))
        assert counts[0] == counts[1]
        assert counts[0]["get_object"] == (1 if done else 2)  # the manifest; and the run's end
    # Only after a run that died each sidecar is looked into.
    Store(many.output).remove(next(entry.path for entry in Store(many.output).list(RUNS)))
    asked.clear()
    assert make_plan(changed(many, steps=2)).counts() == {"settings changed": 24}
    assert asked["get_object"] == 24 + len(list(Store(many.output).list(MANIFEST)))


def test_a_store_that_no_longer_answers_is_not_asked_for_every_sidecar(
    s3_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that cannot be read covers nothing; when none can be read, a plan without them would make all results again."""
    with FlakyProxy(s3_server) as proxy, scratch_database() as connection:
        database = PlanDatabase(connection)
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
        output = Store("s3://silent/restored", 0.1)
        output.fs = s3fs.S3FileSystem(skip_instance_cache=True, config_kwargs={"retries": {"total_max_attempts": 1}})
        output.fs.retries = 1
        output.fs.mkdir("silent")
        database.create(RECORDS, ADOPTED_RECORDS, SIDECARS)
        with database.batch_insert(SIDECARS) as sidecars:
            for number in range(200):
                sidecars.add(f"{number}.png")
        OrphanSidecars(database, output).read_unlisted()  # they were listed, and are gone
        asked = proxy.requests["GET"]
        proxy.fail_for(600)
        with pytest.raises(
            StoreError, match=r"output s3://silent/restored: sidecars cannot be read \(reading .* failed for"
        ):
            OrphanSidecars(database, output).read_unlisted()
        assert proxy.requests["GET"] - asked < 200
