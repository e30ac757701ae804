"""TIFF files of several pages, through the stages one by one: each page as if it were a photograph of its own."""

from __future__ import annotations

import hashlib
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from archive_steps import archive_settings, picture, table_of
from PIL import Image
from scratched import find_white
from tiff_pages import tiff_pages

from pipelines.audit.fixity import Check
from pipelines.manifest.sidecar import read_sidecar
from pipelines.media.limits import DecodeLimits
from pipelines.media.photo.decode import decode, decode_page
from pipelines.media.photo.mask import read_mask, read_masks
from pipelines.media.photo.tiff_directories import list_pages
from pipelines.plan.plan import make_plan
from pipelines.rows import FAILED, PART_DONE, PENDING, RESTORED, Row, parts_key
from pipelines.settings import Settings
from pipelines.stages.adapter import run_stage
from pipelines.stages.decode import Decode
from pipelines.stages.repair_damage import RepairDamage
from pipelines.stages.restore import Restore
from pipelines.stages.stitch import Stitch
from pipelines.stages.tile import Tile
from pipelines.stages.tile_parts import part_path
from pipelines.stages.write import Write
from pipelines.store.layout import PAGE_LIST, PARTS, damage_path, sidecar_path
from pipelines.store.store import Store

# Of several sizes and modes; the second is cut into 2 x 2 tiles, the others are of one.
PAGES = (
    picture(30, 40, 1),
    picture(90, 70, 3, seed=1),
    picture(33, 25, 4, np.uint16, seed=2),
    picture(28, 36, 2, seed=3),
)
DPI = {"resolution": (300, 300), "resolutionunit": "INCH"}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Restore:
    return Restore(chosen(tmp_path_factory.mktemp("model")), threads=1)


def chosen(folder: Path, **changes: Any) -> Settings:
    return archive_settings(folder, **({"preset": "nano", "tile": 128} | changes))


def save(settings: Settings, name: str, data: bytes) -> None:
    (Path(settings.source) / name).write_bytes(data)


def parts_of(settings: Settings, model: Restore) -> list[Row]:
    """The only item's rows after the write stage."""
    (row,) = make_plan(settings).pending
    table = table_of({**row, "run_id": "run1", "flow_run_id": ""})
    model.settings = settings
    damage = [RepairDamage(settings)] if settings.repair_damage != "off" else []
    for stage in (Decode(settings), *damage, Tile(settings), model, Write(settings)):
        table = run_stage(stage, table)
    return table.to_pylist()


def restored(settings: Settings, model: Restore) -> Row:
    rows = parts_of(settings, model)
    if len(rows) == 1 and rows[0]["status"] != PART_DONE:
        return rows[0]
    assert {row["status"] for row in rows} == {PART_DONE}, [row["error_reason"] for row in rows]
    assert sorted(row["part"] for row in rows) == list(range(rows[0]["parts"]))
    (row,) = run_stage(Stitch(settings), table_of({**rows[-1], "status": PENDING})).to_pylist()
    assert row["status"] == RESTORED, row["error_reason"]
    return row


def alone(tmp_path: Path, model: Restore, number: int, **changes: Any) -> np.ndarray:
    """A page's result where it is a file by itself."""
    settings = chosen(tmp_path / f"page{number}", **changes)
    save(settings, "a.tif", tiff_pages([(PAGES[number], DPI)]))
    row = restored(settings, model)
    return decode((Path(settings.output) / row["output_path"]).read_bytes(), "a", DecodeLimits()).pixels


def test_pages_become_the_pages_of_one_file(tmp_path: Path, model: Restore) -> None:
    settings = chosen(tmp_path)
    save(settings, "album.tif", tiff_pages([(page, DPI) for page in PAGES]))
    row = restored(settings, model)
    assert (row["output_path"], row["frames"], row["pages"], row["parts"]) == ("album.tif", 4, "all", 7)
    assert (row["width"], row["height"], row["output_width"], row["output_height"]) == (40, 30, 80, 60)
    data = (Path(settings.output) / "album.tif").read_bytes()
    assert hashlib.sha256(data).hexdigest() == row["output_sha256"]
    found = list_pages(data)
    assert len(found.pages) == 4
    for number, page in enumerate(PAGES):
        photo = decode_page(data, "album", DecodeLimits(), found, number)
        np.testing.assert_array_equal(photo.pixels, alone(tmp_path, model, number))
        assert (photo.pixels.dtype, photo.pixels.shape[2], photo.dpi) == (page.dtype, page.shape[2], (600.0, 600.0))
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        assert [page.shape[:2] for page in file.pages] == [(60, 80), (180, 140), (66, 50), (56, 72)]
        # Every page says how it was made.
        assert all(b"DigitalSourceType" in page.tags[700].value for page in file.pages)
    with Image.open(io.BytesIO(data)) as image:
        assert image.n_frames == 4
        for number in range(4):
            image.seek(number)
            image.load()
    facts = json.loads(row["page_facts"] or "")
    assert [(fact["page"], fact["width"], fact["height"], fact["channels"]) for fact in facts] == [
        (number, page.shape[1], page.shape[0], page.shape[2]) for number, page in enumerate(PAGES, 1)
    ]
    assert row["lq_psnr_db"] is not None
    assert min(f["lq_psnr_db"] for f in facts) <= row["lq_psnr_db"] <= max(f["lq_psnr_db"] for f in facts)
    store = Store(settings.output)
    sidecar = read_sidecar((Path(settings.output) / sidecar_path("album.tif")).read_bytes())
    assert sidecar is not None
    assert sidecar["page_facts"] == row["page_facts"]
    assert not store.exists(PARTS) or not list(store.list(PARTS))
    assert Check(Store(settings.source), store).core(row)["problems"] == []


@pytest.mark.parametrize(
    ("changes", "format"),
    [({"pages": "split"}, "tif"), ({"pages": "split", "format": "png"}, "png"), ({"format": "png"}, "png")],
)
def test_pages_become_files(tmp_path: Path, model: Restore, changes: dict[str, str], format: str) -> None:
    settings = chosen(tmp_path, **changes)
    save(settings, "album.tif", tiff_pages([(page, {}) for page in PAGES]))
    row = restored(settings, model)
    assert row["output_path"] == f"album.{format}{PAGE_LIST}"
    assert row["pages"] == changes.get("pages", "all")
    output = Path(settings.output)
    lines = [line.split("  ") for line in (output / row["output_path"]).read_text().splitlines()]
    names = [f"album.{format}.pages/album.p000{number}.{format}" for number in range(1, 5)]
    assert [name for _, name in lines] == names
    for number, (digest, name) in enumerate(lines):
        data = (output / name).read_bytes()
        assert hashlib.sha256(data).hexdigest() == digest
        expected = alone(tmp_path, model, number)
        np.testing.assert_array_equal(decode(data, name, DecodeLimits()).pixels, expected)
    assert any("PNG holds one" in text for text in row["warnings"]) == ("pages" not in changes)
    check = Check(Store(settings.source), Store(settings.output))
    assert check.core(row)["problems"] == []
    (output / names[2]).write_bytes(b"other")
    assert [problem["problem"] for problem in check.core(row)["problems"]] == ["altered"]


def test_the_first_page_alone_says_what_it_left_out(tmp_path: Path, model: Restore) -> None:
    settings = chosen(tmp_path, pages="first")
    save(settings, "album.tif", tiff_pages([(page, {}) for page in PAGES]))
    row = restored(settings, model)
    assert (row["pages"], row["frames"], row["parts"], row["page_facts"]) == ("first", 4, 1, None)
    assert row["warnings"] == ["4 pages: only the first is restored, as --pages first says"]


def test_a_file_of_one_page_is_the_same_whatever_becomes_of_several(tmp_path: Path, model: Restore) -> None:
    rows = []
    for pages in ("all", "first", "split"):
        settings = chosen(tmp_path / pages, pages=pages)
        save(settings, "a.tif", tiff_pages([(PAGES[0], {})]))
        rows.append(restored(settings, model))
    assert {row["pages"] for row in rows} == {None}
    assert len({row["identity"] for row in rows}) == len({row["output_sha256"] for row in rows}) == 1


def test_a_broken_page_fails_its_file_and_is_named(tmp_path: Path, model: Restore) -> None:
    settings = chosen(tmp_path)
    data = bytearray(tiff_pages([(page, {"compression": "deflate"}) for page in PAGES]))
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        start, count = file.pages[2].dataoffsets[0], file.pages[2].databytecounts[0]
    data[start : start + count] = bytes(count)
    save(settings, "album.tif", bytes(data))
    rows = parts_of(settings, model)
    (failed,) = (row for row in rows if row["status"] == FAILED)
    assert failed["error_code"] == "corrupt"
    assert (failed["error_reason"] or "").startswith("album.tif, page 3 of 4: ")
    assert not (Path(settings.output) / "album.tif").exists()


def test_a_list_of_pages_that_breaks_off_is_no_shorter_file(tmp_path: Path, model: Restore) -> None:
    data = tiff_pages([(page, {}) for page in PAGES])
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        cut = data[: file.pages[3].offset]
    settings = chosen(tmp_path)
    save(settings, "album.tif", cut)
    (failed,) = parts_of(settings, model)
    assert (failed["status"], failed["error_code"]) == (FAILED, "truncated")
    assert "broken after page 3" in (failed["error_reason"] or "")
    assert "--pages first" in (failed["error_reason"] or "")
    first = chosen(tmp_path, pages="first")
    assert restored(first, model)["status"] == RESTORED


def test_pages_that_an_earlier_run_finished_are_not_decoded_again(
    tmp_path: Path, model: Restore, monkeypatch: pytest.MonkeyPatch
) -> None:
    import pipelines.stages.decode

    settings = chosen(tmp_path)
    save(settings, "album.tif", tiff_pages([(page, {}) for page in PAGES]))
    (first, *_) = parts_of(settings, model)
    store = Store(settings.output)
    (Path(settings.output) / part_path(parts_key(first), 5)).unlink()
    decoded = []

    def watched(*arguments: Any, **options: Any) -> Any:
        decoded.append(arguments[-1])
        return decode_page(*arguments, **options)

    monkeypatch.setattr(pipelines.stages.decode, "decode_page", watched)
    row = restored(settings, model)
    assert decoded == [2]
    assert not store.exists(part_path(parts_key(row), 0))
    other = chosen(tmp_path / "other")
    save(other, "album.tif", (Path(settings.source) / "album.tif").read_bytes())
    assert restored(other, model)["output_sha256"] == row["output_sha256"]


def test_masks_of_damage_are_of_all_pages(tmp_path: Path, model: Restore, monkeypatch: pytest.MonkeyPatch) -> None:
    find_white(monkeypatch)
    even, marked = np.full((64, 80, 3), 120, np.uint8), np.full((72, 64, 3), 120, np.uint8)
    marked[10:60, 30:32] = 255
    settings = chosen(tmp_path, repair_damage="mark")
    save(settings, "album.tif", tiff_pages([(even, {}), (marked, {})]))
    row = restored(settings, model)
    path = damage_path(row["output_path"], row["pages"])
    assert path == "album.tif.damage.tiff"
    masks = read_masks((Path(settings.output) / path).read_bytes())
    assert [mask.shape for mask in masks] == [(64, 80), (72, 64)]
    single = chosen(tmp_path / "single", repair_damage="mark")
    save(single, "a.tif", tiff_pages([(marked, {})]))
    of_one = restored(single, model)
    expected = read_mask((Path(single.output) / damage_path("a.tif")).read_bytes())
    assert not masks[0].any()
    np.testing.assert_array_equal(masks[1], expected)
    assert row["damage_marks"] == of_one["damage_marks"]
    assert row["damage_share"] == pytest.approx(expected.sum() / (64 * 80 + 72 * 64))
    assert Check(Store(settings.source), Store(settings.output)).core(row)["problems"] == []
    (Path(settings.output) / path).unlink()
    assert [p["what"] for p in Check(None, Store(settings.output)).core(row)["problems"]] == ["mask"]
