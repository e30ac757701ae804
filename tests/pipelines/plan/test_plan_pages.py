"""Pages in a plan: files of one page are done whatever is set, those of several are due where another thing becomes of them."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from archive_steps import archive_settings, picture, restore_without_model
from scratched import find_white
from tiff_pages import tiff_pages

from pipelines.manifest.reader import manifest_files
from pipelines.manifest.writer import ManifestWriter
from pipelines.plan.plan import Plan, make_plan
from pipelines.settings import Settings
from pipelines.store.layout import MANIFEST, PAGE_LIST
from pipelines.store.store import Store

LIST = f"album.tif{PAGE_LIST}"


def archive(folder: Path, **changes: Any) -> Settings:
    """An album of two pages and a print of one."""
    settings = archive_settings(folder, **changes)
    (Path(settings.source) / "album.tif").write_bytes(tiff_pages([(picture(20, 24), {}), (picture(24, 20, 1), {})]))
    (Path(settings.source) / "print.tif").write_bytes(tiff_pages([(picture(20, 24, seed=3), {})]))
    return settings


def reasons(plan: Plan) -> dict[str, str]:
    return {row["source_path"]: reason for row, reason in zip(plan.pending, plan.pending.reasons, strict=True)}


@pytest.mark.parametrize("made", ["all", "first", "split"])
def test_only_files_of_several_pages_depend_on_what_becomes_of_them(tmp_path: Path, made: str) -> None:
    settings = archive(tmp_path, pages=made)
    restore_without_model(settings, ended=True)
    for pages in ("all", "first", "split"):
        plan = make_plan(settings.model_copy(update={"pages": pages}))
        assert reasons(plan) == ({} if pages == made else {"album.tif": "settings changed"})
        assert [row["output_path"] for row in plan.pending] == ([] if pages == made else ["album.tif"])


def test_archives_of_before_are_done(tmp_path: Path) -> None:
    settings = archive(tmp_path, pages="first")
    rows = restore_without_model(settings, record=False)
    writer = ManifestWriter(Store(settings.output), "run1")
    for row in rows:
        writer.add({**row, "run_id": "run1", "pages": None})
    writer.flush()
    assert reasons(make_plan(settings.model_copy(update={"pages": "all"}))) == {}


@pytest.mark.parametrize("lost", [False, True])
def test_a_list_of_pages_stands_for_its_item(tmp_path: Path, lost: bool) -> None:
    """Also where the manifest is lost and the sidecar alone tells of it."""
    settings = archive(tmp_path, pages="split")
    restore_without_model(settings, ended=True)
    if lost:
        shutil.rmtree(Path(settings.output) / MANIFEST)
        assert not list(manifest_files(Store(settings.output)))
    assert reasons(make_plan(settings)) == {}
    (Path(settings.output) / LIST).unlink()
    assert reasons(make_plan(settings)) == {"album.tif": "result missing"}


def test_no_other_source_gets_the_name_of_pages(tmp_path: Path) -> None:
    settings = archive(tmp_path, pages="split")
    restore_without_model(settings, ended=True)
    source = Path(settings.source)
    (source / "album.png").write_bytes((source / "print.tif").read_bytes())
    (source / "album.tif.pages").mkdir()
    (source / "album.tif.pages" / "album.p0001.tif").write_bytes((source / "print.tif").read_bytes())
    plan = make_plan(settings.model_copy(update={"format": "tiff"}))
    names = {row["source_path"]: row["output_path"] for row in plan.pending}
    assert names["album.png"] == "album.png.tif"
    assert names["album.tif.pages/album.p0001.tif"].startswith("album.tif.pages~")


def test_masks_of_pages_that_are_missing_are_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    find_white(monkeypatch)
    settings = archive(tmp_path, repair_damage="mark")
    marked = picture(24, 20, 1)
    marked[3:6, 4:15] = 255
    path = Path(settings.source) / "album.tif"
    path.write_bytes(tiff_pages([(picture(20, 24), {}), (marked, {})]))
    restore_without_model(settings, ended=True, damage=True)
    assert reasons(make_plan(settings)) == {}
    (Path(settings.output) / "album.tif.damage.tiff").unlink()
    assert reasons(make_plan(settings)) == {"album.tif": "result missing"}
