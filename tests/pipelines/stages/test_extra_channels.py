"""Extra channels of TIFF scans: through the stages untouched, into TIFF results, and infrared as evidence of damage."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from archive_steps import archive_settings, picture, restore_without_model
from tiff_pages import tiff_pages

from faithdiff_model.image.resize import enlarge, from_unit_float
from jobs.samples.archive import original
from pipelines.media.limits import DecodeLimits
from pipelines.media.photo.decode import Photo, decode, decode_page
from pipelines.media.photo.mask import read_mask
from pipelines.media.photo.tiff_directories import list_pages
from pipelines.plan.plan import make_plan
from pipelines.rows import RESTORED, Row
from pipelines.settings import Settings
from pipelines.stages.decode import Decode
from pipelines.stages.extra_channels import infrared_of, put_extra
from pipelines.store.layout import damage_path

UNSPECIFIED = {"extrasamples": [0]}


def with_extra(pixels: np.ndarray, extra: np.ndarray) -> bytes:
    """A TIFF scan with extra channels."""
    return tiff_pages(
        [(np.concatenate([pixels, extra], axis=2), {"photometric": "rgb", "extrasamples": [0] * extra.shape[2]})]
    )


def scan_in(folder: Path, data: bytes, **changes: object) -> Settings:
    settings = archive_settings(folder, **changes)
    (Path(settings.source) / "slide.tif").write_bytes(data)
    return settings


def result_of(settings: Settings, row: Row) -> Photo:
    assert row["status"] == RESTORED, row["error_reason"]
    return decode((Path(settings.output) / row["output_path"]).read_bytes(), "result", DecodeLimits())


@pytest.mark.parametrize("channels", [1, 2])
def test_extra_channels_come_out_enlarged_and_otherwise_untouched(tmp_path: Path, channels: int) -> None:
    extra = picture(30, 40, channels, np.uint16, seed=5)
    settings = scan_in(tmp_path, with_extra(picture(30, 40, 3, np.uint16), extra))
    (row,) = restore_without_model(settings)
    photo = result_of(settings, row)
    assert (row["channels"], row["extra_channels"], row["warnings"]) == (3, channels, [])
    np.testing.assert_array_equal(photo.extra, from_unit_float(enlarge(extra, 60, 80), np.dtype(np.uint16)))
    same_size = scan_in(tmp_path / "same", (Path(settings.source) / "slide.tif").read_bytes(), upscale=1)
    (row,) = restore_without_model(same_size)
    np.testing.assert_array_equal(result_of(same_size, row).extra, extra)


def test_an_infrared_image_becomes_a_channel_of_its_page(tmp_path: Path) -> None:
    pixels, infrared = picture(30, 40, 3), picture(30, 40, 1, seed=5)
    software = {"software": "SilverFast 9"}
    data = tiff_pages([(pixels, software), (infrared, {}), (pixels, software), (infrared[::-1].copy(), {})])
    settings = scan_in(tmp_path, data, upscale=1)
    (row,) = restore_without_model(settings)
    assert (row["frames"], row["extra_channels"], row["output_path"]) == (2, 1, "slide.tif")
    result = (Path(settings.output) / "slide.tif").read_bytes()
    found = list_pages(result)
    for number, expected in enumerate((infrared, infrared[::-1])):
        np.testing.assert_array_equal(decode_page(result, "a", DecodeLimits(), found, number).extra, expected)


@pytest.mark.parametrize("format", ["png", "jpeg", "webp"])
def test_a_format_without_extra_channels_says_so(tmp_path: Path, format: str) -> None:
    data = with_extra(picture(30, 40, 3), picture(30, 40, 1, seed=5))
    settings = scan_in(tmp_path, data, format=format)
    (row,) = restore_without_model(settings)
    assert result_of(settings, row).extra is None
    assert row["warnings"] == ["left out 1 extra channels, such as infrared: only TIFF results can have them"]


def dusty() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A photograph with faint dust, the infrared channel in which it is plain, and where it lies."""
    rng = np.random.default_rng(4)
    clean = np.ascontiguousarray(original("coffee.png")[:256, :320])
    dust = np.zeros((256, 320), np.uint8)
    for row, column in rng.integers(8, 248, (40, 2)):
        cv2.circle(dust, (int(column), int(row)), int(rng.integers(1, 4)), 1, -1)
    covered = dust[..., None] > 0
    seen = np.where(covered, clean * 0.93, clean)
    infrared = np.where(covered, 0.25, 0.8) + 0.04 * clean[..., :1] + rng.normal(0, 0.008, covered.shape)
    return np.rint(seen * 65535).astype(np.uint16), np.rint(infrared * 65535).astype(np.uint16), dust > 0


def test_dust_is_found_in_infrared_and_the_channel_is_in_the_result(tmp_path: Path) -> None:
    pixels, infrared, dust = dusty()
    settings = scan_in(tmp_path, with_extra(pixels, infrared), repair_damage="fill", upscale=1)
    (row,) = restore_without_model(settings, damage=True)
    found = read_mask((Path(settings.output) / damage_path("slide.tif")).read_bytes())
    blind = scan_in(tmp_path / "blind", tiff_pages([(pixels, {})]), repair_damage="fill", upscale=1)
    (plain,) = restore_without_model(blind, damage=True)
    unseen = np.zeros(dust.shape, bool)
    if plain["damage_marks"]:
        unseen = read_mask((Path(blind.output) / damage_path("slide.tif")).read_bytes())
    with_it, without = float(found[dust].mean()), float(unseen[dust].mean())
    print(
        f"dust pixels found: {with_it:.3f} with infrared, {without:.3f} without; of the rest {found[~dust].mean():.4f}"
    )
    assert with_it > 0.95
    assert without < 0.1
    assert found[~dust].mean() < 0.02
    photo = result_of(settings, row)
    np.testing.assert_array_equal(photo.extra, infrared)
    changed = (photo.pixels != pixels).any(axis=2)
    assert changed[dust].mean() > 0.9
    assert not changed[cv2.dilate(found.astype(np.uint8), np.ones((5, 5), np.uint8)) == 0].any()


def test_a_painted_selection_is_no_infrared_light(tmp_path: Path) -> None:
    selection = np.full((30, 40, 1), 255, np.uint8)
    selection[5:20, 5:12] = 0
    settings = scan_in(tmp_path, with_extra(picture(30, 40, 3), selection))
    (planned,) = make_plan(settings).pending
    (row,) = Decode(settings).core(planned)
    assert row["extra_channels"] == 1
    assert infrared_of(row) is None
    put_extra(row, picture(30, 40, 1))
    assert infrared_of(row) is not None
    put_extra(row, None)
    assert infrared_of(row) is None
