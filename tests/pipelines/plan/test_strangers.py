"""Originals are sacred, whatever is typed: what this prevents is a scan overwritten by a result, on a disk and on S3."""

from __future__ import annotations

import io
import shutil
import uuid
from pathlib import Path
from typing import Any

import pytest
from archive_steps import archive_settings, picture, restore_without_model, save_photo
from PIL import Image

from pipelines.errors import ItemError
from pipelines.manifest.ownership import (
    PAGES_SIDECAR,
    SIDECAR,
    check_may_write,
    lies_there,
    publish_member,
    publish_where_ours,
)
from pipelines.manifest.runs import write_run_start
from pipelines.plan.plan import Plan, make_plan
from pipelines.plan.stores import open_stores
from pipelines.rows import FAILED, RESTORED, new_row
from pipelines.settings import Settings
from pipelines.stages.write import Write
from pipelines.store.layout import damage_path, sidecar_path
from pipelines.store.ownership import claim_output, is_claimed
from pipelines.store.store import Store, StoreError


def png(seed: int) -> bytes:
    file = io.BytesIO()
    Image.fromarray(picture(20, 24, seed=seed)).save(file, "PNG")
    return file.getvalue()


@pytest.fixture(params=["local", "s3"])
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    """Two photographs, unrestored; the output does not exist."""
    if request.param == "local":
        found = archive_settings(tmp_path)
    else:
        request.getfixturevalue("s3_server")
        bucket = f"strangers-{uuid.uuid4().hex[:12]}"
        Store(f"s3://{bucket}/scans").fs.mkdir(bucket)
        found = Settings(source=f"s3://{bucket}/scans", output=f"s3://{bucket}/restored", preset="tiny", steps=1)
    for number, path in enumerate(("a.png", "1924/b.png")):
        Store(found.source).publish(path, png(number))
    return found


def changed(settings: Settings, **changes: Any) -> Settings:
    return Settings(**(settings.model_dump() | changes))


def content(url: str) -> dict[str, bytes]:
    store = Store(url)
    return {entry.path: store.read(entry.path) for entry in store.list()}


def outputs(plan: Plan) -> dict[str, str]:
    return {row["source_path"]: row["output_path"] for row in plan.pending}


def swapped(settings: Settings) -> Settings:
    return changed(settings, source=settings.output, output=settings.source)


def test_swapped_source_and_output_are_refused_before_anything_is_written(settings: Settings) -> None:
    restore_without_model(settings, ended=True)
    scans, results = content(settings.source), content(settings.output)
    for refuses in (open_stores, make_plan):
        with pytest.raises(StoreError, match=r"source .*: holds _faitharchive/, .* swapped\? Give --into-existing"):
            refuses(swapped(settings))
    assert (content(settings.source), content(settings.output)) == (scans, results)


def test_swapped_on_purpose_no_original_is_overwritten(settings: Settings) -> None:
    restore_without_model(settings, ended=True)
    scans = content(settings.source)
    rows = restore_without_model(changed(swapped(settings), into_existing=True), ended=True)
    assert {row["source_path"]: row["output_path"] for row in rows} == {
        "a.png": "a.png.png",
        "1924/b.png": "1924/b.png.png",
    }
    after = content(settings.source)
    assert {path: after[path] for path in scans} == scans


def test_records_that_were_copied_into_the_originals_do_not_make_them_an_output(settings: Settings) -> None:
    """Of a copy's manifest each scan would look like the result of itself."""
    restore_without_model(settings, ended=True)
    source, output = Store(settings.source), Store(settings.output)
    claim_output(output)
    results = content(settings.output)
    for path, data in results.items():
        if path.startswith("_faitharchive/"):
            source.publish(path, data)
            output.remove(path)
    assert not is_claimed(source)
    scans = content(settings.source)
    with pytest.raises(
        StoreError, match=r"holds 2 pictures or films that FaithArchive did not make, such as 1924/b.png"
    ):
        make_plan(swapped(settings))
    # On purpose: the manifest claims the names, the bytes are not those that it records, so each fails, and then gets another.
    on_purpose = changed(swapped(settings), into_existing=True, steps=2, redo=True)
    rows = restore_without_model(on_purpose, ended=True)
    assert {(row["status"], row["error_code"]) for row in rows} == {(FAILED, "name_taken")}
    rows = restore_without_model(on_purpose, ended=True)
    assert {row["output_path"] for row in rows} == {"a.png.png", "1924/b.png.png"}
    after = content(settings.source)
    assert {path: after[path] for path in scans} == scans


def test_an_output_full_of_other_pictures_is_refused_unless_named_on_purpose(settings: Settings) -> None:
    output = Store(settings.output)
    output.publish("readme.txt", b"text")
    assert len(make_plan(settings).pending) == 2
    output.publish("holiday/x.jpg", b"not ours")
    before = content(settings.output)
    with pytest.raises(
        StoreError, match=r"output .*: holds holiday/x.jpg, and no run has been here; .* --into-existing"
    ):
        make_plan(settings)
    assert content(settings.output) == before
    assert len(make_plan(changed(settings, into_existing=True)).pending) == 2


def test_a_store_that_a_run_has_claimed_is_not_refused_again(settings: Settings) -> None:
    output = Store(settings.output)
    output.publish("holiday/x.jpg", b"not ours")
    assert not make_plan(changed(settings, into_existing=True)).claimed
    claim_output(output)
    plan = make_plan(settings)
    assert plan.claimed
    assert len(plan.pending) == 2


def test_a_name_that_a_stranger_has_is_given_to_no_result(settings: Settings) -> None:
    output = Store(settings.output)
    output.publish("a.png", b"an original")
    output.publish("1924/b.png.damage.png", b"an original, too")
    plan = make_plan(changed(settings, into_existing=True))
    assert outputs(plan) == {"a.png": "a.png.png", "1924/b.png": "1924/b.png.png"}
    assert {row["status"] for row in restore_without_model(settings, plan, ended=True)} == {RESTORED}
    assert output.read("a.png") == b"an original"
    assert output.read("1924/b.png.damage.png") == b"an original, too"
    claim_output(output)
    again = make_plan(settings)
    assert (again.done, len(again.pending)) == (2, 0)
    assert {row["status"] for row in restore_without_model(changed(settings, redo=True), ended=True)} == {RESTORED}
    assert output.read("1924/b.png.damage.png") == b"an original, too"


def test_a_file_that_comes_between_plan_and_result_is_not_overwritten(settings: Settings) -> None:
    plan, output = make_plan(settings), Store(settings.output)
    output.publish("a.png", b"an original")
    claim_output(output)
    rows = {row["source_path"]: row for row in restore_without_model(settings, plan, ended=True)}
    assert rows["1924/b.png"]["status"] == RESTORED
    assert (rows["a.png"]["status"], rows["a.png"]["error_code"]) == (FAILED, "name_taken")
    assert "a.png: a file without a sidecar of ours lies there" in (rows["a.png"]["error_reason"] or "")
    assert output.read("a.png") == b"an original"
    assert not output.exists(sidecar_path("a.png"))
    plan = make_plan(settings)
    assert outputs(plan) == {"a.png": "a.png.png"}
    restore_without_model(settings, plan, ended=True)
    assert output.read("a.png") == b"an original"
    assert (make_plan(settings).done, len(make_plan(settings).pending)) == (2, 0)


def test_what_a_run_that_died_left_without_its_sidecar_is_taken_for_ours(settings: Settings) -> None:
    """A result published, its sidecar not: the same bytes come again, under the same name, and there is one file."""
    output = Store(settings.output)
    claim_output(output)
    write_run_start(output, "1", {"only": ""})
    restore_without_model(settings, run_id="1", record=False)
    output.retract(sidecar_path("a.png"))
    before = output.read("a.png")
    plan = make_plan(settings)
    assert outputs(plan) == {"a.png": "a.png"}
    rows = restore_without_model(settings, plan, run_id="2", ended=True)
    assert {row["source_path"]: row["status"] for row in rows} == {"a.png": RESTORED, "1924/b.png": RESTORED}
    assert output.read("a.png") == before
    assert not output.exists("a.png.png")


def test_a_result_whose_sidecar_a_dying_run_took_away_is_replaced(settings: Settings) -> None:
    """It is known by the digest that the manifest records, though the new bytes are others."""
    output = Store(settings.output)
    restore_without_model(settings, ended=True)
    output.retract(sidecar_path("a.png"))
    other = changed(settings, upscale=1)
    plan = make_plan(other)
    assert outputs(plan)["a.png"] == "a.png"
    assert {row["source_path"]: row["replaces"] == SIDECAR for row in plan.pending} == {
        "a.png": False,
        "1924/b.png": True,
    }
    rows = restore_without_model(other, plan, ended=True)
    assert {row["status"] for row in rows} == {RESTORED}
    assert Image.open(io.BytesIO(output.read("a.png"))).size == (24, 20)


def test_a_result_that_somebody_retouched_without_its_sidecar_is_not_overwritten(settings: Settings) -> None:
    output = Store(settings.output)
    restore_without_model(settings, ended=True)
    output.retract(sidecar_path("a.png"))
    output.publish("a.png", b"retouched by hand")
    rows = {row["source_path"]: row for row in restore_without_model(changed(settings, redo=True), ended=True)}
    assert rows["a.png"]["error_code"] == "name_taken"
    assert output.read("a.png") == b"retouched by hand"


def test_the_mask_of_a_stranger_is_neither_overwritten_nor_removed(settings: Settings) -> None:
    plan, output = make_plan(settings), Store(settings.output)
    output.publish(damage_path("a.png"), b"an original")
    restore_without_model(settings, plan)
    assert output.read(damage_path("a.png")) == b"an original"
    row = new_row(output_path="x.png", replaces=None)
    with pytest.raises(ItemError, match="name_taken"):
        publish_where_ours(output, row, damage_path("a.png"), b"a mask")
    assert output.read(damage_path("a.png")) == b"an original"


def test_a_result_of_several_files_replaces_only_what_is_ours(settings: Settings) -> None:
    """Frames of a sequence, pages of a file: a stranger's file of such a name stays, and the item fails."""
    output = Store(settings.output)
    row = new_row(item_id="1", output_path="album.tif.pages.sha256", replaces=None)
    assert not lies_there(output, row)
    path = "album.tif.pages/album.p0001.tif"
    publish_member(output, path, b"a page", ours=False)
    publish_member(output, path, b"a page", ours=False)  # a run that died had written it
    with pytest.raises(ItemError, match="name_taken"):
        publish_member(output, path, b"another", ours=False)
    assert output.read(path) == b"a page"
    output.publish("album.tif.pages.sha256", b"a list")
    recorded = row | {"replaces": output.sha256("album.tif.pages.sha256")[0]}
    assert lies_there(output, recorded)
    assert lies_there(output, row | {"replaces": PAGES_SIDECAR})
    assert not lies_there(output, row | {"replaces": SIDECAR})  # of a file of the same item, not of its pages
    publish_member(output, path, b"another", ours=True)
    assert output.read(path) == b"another"


def test_a_film_that_is_moved_to_its_name_replaces_only_what_is_ours(settings: Settings) -> None:
    output = Store(settings.output)
    row = new_row(item_id="1", output_path="reel.mkv", replaces=None)
    check_may_write(output, row, "reel.mkv", "0" * 64)
    output.publish("reel.mkv", b"an original")
    sha256 = output.sha256("reel.mkv")[0]
    check_may_write(output, row, "reel.mkv", sha256)
    check_may_write(output, row | {"replaces": sha256}, "reel.mkv", "0" * 64)
    check_may_write(output, row | {"replaces": SIDECAR}, "reel.mkv", "0" * 64)
    with pytest.raises(ItemError, match=r"name_taken: reel\.mkv: a file without a sidecar of ours"):
        check_may_write(output, row, "reel.mkv", "0" * 64)


def test_a_task_that_is_tried_again_replaces_its_own_result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The plan saw nothing there; the first try wrote file and sidecar and died before its row came back."""
    save_photo(tmp_path / "scans" / "a.png")
    settings = archive_settings(tmp_path)
    plan = make_plan(settings)
    (first,) = restore_without_model(settings, plan, record=False)
    (again,) = restore_without_model(changed(settings, upscale=1), plan, record=False)
    assert (first["status"], again["status"]) == (RESTORED, RESTORED)
    assert Image.open(tmp_path / "restored" / "a.png").size == (24, 20)
    assert Write(settings).output.exists(sidecar_path("a.png"))


def test_results_of_a_moved_archive_are_ours_wherever_it_lies(tmp_path: Path) -> None:
    save_photo(tmp_path / "scans" / "a.png")
    settings = archive_settings(tmp_path)
    restore_without_model(settings, ended=True)
    claim_output(Store(settings.output))
    shutil.move(settings.output, tmp_path / "elsewhere")
    moved = changed(settings, output=str(tmp_path / "elsewhere"))
    plan = make_plan(moved)
    assert (plan.claimed, plan.done, len(plan.pending)) == (False, 1, 0)


def test_what_belongs_to_a_result_is_no_stranger(tmp_path: Path) -> None:
    """Copies of a film, its comparison, frames of a sequence, masks: none of them counts as a picture that is not ours."""
    save_photo(tmp_path / "scans" / "a.png")
    settings = archive_settings(tmp_path)
    restore_without_model(settings, record=False)
    output = Store(settings.output)
    write_run_start(output, "1", {"only": ""})
    for name in ("reel.mkv", "shot.sha256", "album.tif.pages.sha256"):
        output.publish(name, b"x")
        output.publish(sidecar_path(name), b"{}")
    for name in (
        "reel.mkv.prores.mov", "reel.mkv.comparison.mp4", "shot.frames/shot.0001.dpx", "shot.sha256.xmp", "a.png.damage.png",
        "album.tif.pages/album.p0001.tif", "album.tif.pages.sha256.damage.tiff",
    ):  # fmt: skip
        output.publish(name, b"x")
    assert make_plan(settings).done == 1
    for number in range(3):
        output.publish(f"{number}/other.frames/shot.0001.dpx", b"x")
        output.publish(f"{number}/reel.mkv.prores.mov", b"x")
    with pytest.raises(StoreError, match="holds 6 pictures or films"):
        make_plan(settings)
