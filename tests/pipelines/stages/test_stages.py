"""Each stage's core by itself: what it fills in, what it refuses, and that one bad row costs no other."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from archive_steps import archive_settings, picture, save_photo, table_of
from PIL import Image
from tiny_llava import save_tiny_llava

from faithdiff_model.build import build_restorer
from faithdiff_model.captioner import Caption
from faithdiff_model.presets import DEFAULTS
from faithdiff_model.spec import ModelSpec
from pipelines.errors import ItemError
from pipelines.manifest.identity import identity
from pipelines.manifest.sidecar import read_sidecar
from pipelines.plan.plan import make_plan
from pipelines.rows import FAILED, PART_DONE, PENDING, RESTORED, Row, fail, get_pixels, new_row, put_pixels
from pipelines.settings import Settings
from pipelines.stages.adapter import run_stage
from pipelines.stages.caption import CaptionStage
from pipelines.stages.decode import Decode
from pipelines.stages.restore import Restore
from pipelines.stages.tile import Tile
from pipelines.stages.tiling import pixels_of, tile_places
from pipelines.stages.write import Write
from pipelines.store.layout import sidecar_path


def planned(settings: Settings) -> list[Row]:
    return [{**row, "run_id": "run1", "flow_run_id": ""} for row in make_plan(settings).pending]


def decoded(settings: Settings) -> list[Row]:
    return [row for planned_row in planned(settings) for row in Decode(settings).core(planned_row)]


def tiled(settings: Settings) -> list[Row]:
    return [tile for row in decoded(settings) for tile in Tile(settings).core(row)]


def test_decode_fills_in_facts(tmp_path: Path) -> None:
    settings = archive_settings(tmp_path)
    exif = Image.Exif()
    exif[274] = 6
    pixels = picture(20, 24)
    path = save_photo(tmp_path / "scans" / "a.png", pixels, exif=exif, dpi=(300, 300))
    (row,) = decoded(settings)
    assert row["source_sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert row["source_size"] == path.stat().st_size
    facts = (
        "media_format",
        "width",
        "height",
        "channels",
        "bit_depth",
        "orientation",
        "frames",
        "colour_profile",
        "icc_profile",
    )
    assert [row[name] for name in facts] == ["PNG", 20, 24, 3, 8, 6, 1, "sRGB (assumed)", None]
    assert np.allclose(row["dpi"], 300, atol=0.1)
    assert np.array_equal(get_pixels(row), np.rot90(pixels, -1))
    assert json.loads(row["settings"]) == settings.result_settings()
    assert row["started_at"] is not None
    assert min(row["seconds_read"], row["seconds_decode"]) >= 0
    assert row["status"] == PENDING


REMEDIES = {
    "too_many_bytes": "--max-bytes",
    "too_many_pixels": "--max-pixels",
    "too_many_frames": "--max-frames",
    "too_slow": "--max-seconds",
}


@pytest.mark.parametrize(
    ("data", "changes", "code"),
    [
        (b"", {}, "empty"),
        (b"no photograph", {}, "not_an_image"),
        (b"\x89PNG\r\n\x1a\n", {}, "truncated"),
        (b"x" * 11, {"max_bytes": 10}, "too_many_bytes"),
        (None, {}, "unreadable"),
        ("photo", {"max_pixels": 24 * 20 - 1}, "too_many_pixels"),
        ("pages", {"max_frames": 2}, "too_many_frames"),
        ("large", {"max_seconds": 0.002}, "too_slow"),  # C code that returns late: decoding takes a tenth of a second
    ],
)
def test_decode_refuses(tmp_path: Path, data: bytes | str | None, changes: dict[str, Any], code: str) -> None:
    settings = archive_settings(tmp_path, **changes)
    path = tmp_path / "scans" / "a.png"
    if data == "photo":
        save_photo(path)
    elif data == "pages":
        save_photo(path, format="TIFF", save_all=True, append_images=[Image.new("L", (8, 8))] * 2)
    elif data == "large":
        save_photo(path, picture(1000, 1000), format="JPEG2000")
    else:
        path.write_bytes(b"x" if data is None else data)
    (row,) = planned(settings)
    if data is None:
        path.unlink()  # removed between planning and reading
    (failed,) = run_stage(Decode(settings), table_of(row)).to_pylist()
    assert (failed["status"], failed["error_stage"], failed["error_code"]) == (FAILED, "decode", code)
    assert REMEDIES.get(code, "") in failed["error_reason"]
    assert "a.png" in failed["error_reason"]
    assert failed["output_path"] is None
    assert failed["pixels"] is None


def test_stages_pass_over_what_is_not_pending(tmp_path: Path) -> None:
    settings = archive_settings(tmp_path)
    rows = [
        fail(new_row(source_path="a.png"), "decode", ItemError("empty", "a.png: empty")),
        new_row() | {"status": PART_DONE},
    ]
    stage = object.__new__(Restore)  # without a model: it must not be asked
    for one in (Decode(settings), Tile(settings), Write(settings), stage, object.__new__(CaptionStage)):
        assert run_stage(one, table_of(*rows)).to_pylist() == rows


def test_an_unexpected_exception_is_a_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = archive_settings(tmp_path)
    save_photo(tmp_path / "scans" / "a.png")

    def explode(*_: Any, **__: Any) -> None:
        raise ZeroDivisionError("line one\nline two")

    monkeypatch.setattr("pipelines.stages.decode.decode", explode)
    (row,) = run_stage(Decode(settings), table_of(*planned(settings))).to_pylist()
    assert (row["status"], row["error_code"]) == (FAILED, "corrupt")
    assert row["error_reason"].startswith("a.png: ZeroDivisionError: line one line two at explode:")


class FailingCaptioner:
    """Cannot describe square photographs."""

    def __init__(self) -> None:
        self.views: list[tuple[int, ...]] = []

    def caption(self, images: Sequence[np.ndarray], seeds: Sequence[int]) -> list[Any]:
        assert all(image.dtype == np.uint8 and image.shape[2] == 3 for image in images)
        self.views += [image.shape for image in images]
        if any(image.shape[0] == image.shape[1] for image in images):
            raise RuntimeError("square\nphotographs: " + "long " * 100)
        return [
            SimpleNamespace(text=f"{image.shape[1]} wide", prompt=f"prompt {seed}")
            for image, seed in zip(images, seeds, strict=True)
        ]


def caption_stage() -> CaptionStage:
    stage = object.__new__(CaptionStage)
    stage.captioner, stage.model, stage.cleaner, stage.kept = FailingCaptioner(), "fake-llava", None, None
    return stage


def row_of(pixels: np.ndarray, **values: Any) -> Row:
    row = new_row(source_path=f"{pixels.shape}.png", seed=5, caption="", prompt="", caption_source="none", **values)
    put_pixels(row, pixels)
    return row


def test_captions() -> None:
    pixels = (picture(20, 24), picture(30, 16, 2, np.uint16), picture(20, 17, 4), picture(2000, 10, 1))
    rows = run_stage(caption_stage(), table_of(*map(row_of, pixels))).to_pylist()
    assert [row["caption"] for row in rows] == ["24 wide", "16 wide", "17 wide", "3 wide"]
    assert [row["prompt"] for row in rows] == [row["caption"] for row in rows]  # three words or fewer
    assert {(row["caption_source"], row["caption_model"]) for row in rows} == {("llava", "fake-llava")}
    assert all(row["seconds_caption"] >= 0 and row["warnings"] == [] for row in rows)


def test_a_failing_captioner_costs_its_own_row_alone() -> None:
    stage = caption_stage()
    table = table_of(row_of(picture(20, 24)), row_of(picture(20, 20)), row_of(picture(20, 30)))
    rows = run_stage(stage, table).to_pylist()
    assert [row["caption"] for row in rows] == ["24 wide", "", "30 wide"]
    assert [row["prompt"] for row in rows] == ["24 wide", "", "30 wide"]
    assert [row["caption_source"] for row in rows] == ["llava", "none", "llava"]
    assert {row["status"] for row in rows} == {PENDING}
    assert [len(row["warnings"]) for row in rows] == [0, 1, 0]
    (warning,) = rows[1]["warnings"]
    assert warning.startswith("no caption: RuntimeError: square photographs: ")
    assert len(warning) <= 200
    assert get_pixels(rows[1]).shape == (20, 20, 3)


def test_llava_may_see_what_nano_makes_of_the_scan(tmp_path: Path) -> None:
    """The real LLaVA classes and the shipped nano, the settings as a user gives them."""
    folder = save_tiny_llava(tmp_path / "llava")
    usual = archive_settings(tmp_path, captions="llava", captioner=str(folder), device="cpu")
    cleaned = CaptionStage(usual.model_copy(update={"caption_cleaned": True}))
    plain = CaptionStage(usual)
    assert plain.cleaner is None
    nano = build_restorer(ModelSpec(preset="nano", device="cpu"), DEFAULTS["nano"])
    grey = picture(40, 56, 1, np.uint16)
    seen: list[np.ndarray] = []
    for stage in (plain, cleaned):
        stage.captioner.caption = lambda images, seeds: seen.extend(images) or [Caption("", "")]  # type: ignore[method-assign]
        stage.core_batch([row_of(grey)])
    scan = np.repeat((grey >> 8).astype(np.uint8), 3, axis=2)
    assert np.array_equal(seen[0], scan)
    assert np.array_equal(seen[1], nano.restore([scan], [""], [5])[0])
    assert not np.array_equal(seen[1], scan)


def test_a_caption_is_made_once_for_what_was_seen(tmp_path: Path) -> None:
    """The real LLaVA classes: later runs use the words again, whatever the scan is called, until they are to be made anew."""
    folder = save_tiny_llava(tmp_path / "llava")
    usual = archive_settings(tmp_path, captions="llava", captioner=str(folder), device="cpu")
    asked: list[int] = []

    def stage(**changes: object) -> CaptionStage:
        made = CaptionStage(usual.model_copy(update=changes))
        caption = made.captioner.caption

        def counted(images: Sequence[np.ndarray], seeds: Sequence[int]) -> list[Caption]:
            asked.append(len(images))
            return caption(images, seeds)

        made.captioner.caption = counted  # type: ignore[method-assign]
        return made

    first, other = picture(40, 56), picture(41, 56)
    (made,) = stage().core_batch([row_of(first)])
    renamed = row_of(first) | {"source_path": "copy.png"}
    again, new = stage(upscale=3).core_batch([renamed, row_of(other)])
    assert asked == [1, 1]
    assert (again["caption"], again["prompt"]) == (made["caption"], made["prompt"])
    assert new["caption"] == stage(redo=True).core_batch([row_of(other)])[0]["caption"]
    (damaged, *_) = sorted((tmp_path / "restored").rglob("captions/*/*/*.json"))
    damaged.write_bytes(b"{")
    stage().core_batch([row_of(first), row_of(other)])
    assert asked == [1, 1, 1, 1]
    assert json.loads(damaged.read_bytes())["caption"]
    stage().core_batch([row_of(first) | {"seed": 6}])
    assert asked[-1] == 1 and len(asked) == 5  # words are drawn by the seed


@pytest.mark.parametrize(("size", "upscale"), [((100, 170), 2), ((128, 64), 1), ((65, 65), 3)])
def test_tiles_cover_the_photograph_once(tmp_path: Path, size: tuple[int, int], upscale: int) -> None:
    settings = archive_settings(tmp_path, tile=128, tile_halo=64, upscale=upscale)
    save_photo(tmp_path / "scans" / "a.png", picture(*size))
    rows = tiled(settings)
    height, width = size[0] * upscale, size[1] * upscale
    covered = np.zeros((height, width), int)
    for row, place in zip(rows, tile_places(size[1], size[0], settings), strict=True):
        core, region = pixels_of(place.tile.core, place, settings), pixels_of(place.tile.region, place, settings)
        covered[core.slices] += 1
        assert get_pixels(row).shape == (region.height, region.width, 3)
        assert (row["output_height"], row["output_width"]) == (height, width)
    assert (covered == 1).all()
    assert [row["part"] for row in rows] == list(range(len(rows)))
    assert {row["parts"] for row in rows} == {len(rows)}
    assert (len(rows) > 1) == (max(height, width) > 128)
    known = rows[0]
    made_from = known["source_sha256"], known["settings_digest"], known["model_digest"], known["seed"]
    expected = identity(*made_from, disclosed=True, carried=True)
    assert {row["identity"] for row in rows} == {expected}


def test_too_small_is_refused_and_the_smallest_is_not(tmp_path: Path) -> None:
    settings = archive_settings(tmp_path)
    save_photo(tmp_path / "scans" / "7.png", picture(7, 40))
    save_photo(tmp_path / "scans" / "8.png", picture(8, 40))
    small, enough = run_stage(Tile(settings), run_stage(Decode(settings), table_of(*planned(settings)))).to_pylist()
    assert (small["status"], small["error_code"], small["error_stage"]) == (FAILED, "too_small", "tile")
    assert "--upscale" in small["error_reason"]
    assert (enough["status"], enough["parts"]) == (PENDING, 1)


def test_write_publishes_a_whole_photograph(tmp_path: Path) -> None:
    settings = archive_settings(tmp_path)
    save_photo(tmp_path / "scans" / "sub" / "a.png", dpi=(300, 300))
    (row,) = tiled(settings)
    row.update(software="{}", device="none")
    (done,) = Write(settings).core(row)
    data = (tmp_path / "restored" / "sub" / "a.png").read_bytes()
    image = Image.open(io.BytesIO(data))
    assert image.size == (48, 40)
    assert np.allclose(image.info["dpi"], 600, atol=0.1)
    assert (done["status"], done["output_size"], done["output_format"]) == (RESTORED, len(data), "PNG")
    assert done["output_sha256"] == hashlib.sha256(data).hexdigest()
    assert (done["output_height"], done["output_width"]) == (40, 48)
    assert done["pixels"] is None
    sidecar = read_sidecar((tmp_path / "restored" / sidecar_path("sub/a.png")).read_bytes())
    assert sidecar is not None
    assert sidecar["output_sha256"] == done["output_sha256"]


def test_a_store_that_refuses_is_a_row(tmp_path: Path) -> None:
    settings = archive_settings(tmp_path)
    save_photo(tmp_path / "scans" / "a" / "a.png")
    (row,) = tiled(settings)
    row.update(software="{}", device="none")
    (tmp_path / "restored").mkdir()
    (tmp_path / "restored" / "a").write_bytes(b"a file where the folder should be")
    (failed,) = run_stage(Write(settings), table_of(row)).to_pylist()
    assert (failed["status"], failed["error_code"], failed["error_stage"]) == (FAILED, "write_error", "write")
