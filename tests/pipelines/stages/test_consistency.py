"""How consistent a result is with its scan: by structure, colour and region, whole and in strips alike."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from archive_steps import picture
from skimage.color import deltaE_ciede2000, rgb2lab
from skimage.metrics import structural_similarity

from pipelines.rows import Row, new_row
from pipelines.settings import Settings
from pipelines.stages.consistency import MEASURES, Consistency, Measures, joined_measures
from pipelines.stages.faithfulness import MAX_DB, psnr_db, squared_error
from pipelines.stages.flags import needs_review


def unit(height: int, width: int, seed: int = 0) -> np.ndarray:
    return picture(height, width, seed=seed).astype(np.float32) / 255


def measured(restored: np.ndarray, lq: np.ndarray, factor: int = 2, counted: np.ndarray | None = None) -> Measures:
    comparison = Consistency(len(lq) // factor, lq.shape[1] // factor, factor)
    comparison.add(restored, lq, counted)
    return comparison.measures()


def noisy(image: np.ndarray, amount: float) -> np.ndarray:
    return np.clip(image + np.random.default_rng(1).normal(0, amount, image.shape), 0, 1).astype(np.float32)


def test_equal_images_are_wholly_consistent() -> None:
    image = unit(96, 64)
    assert measured(image, image) == {
        "lq_psnr_db": MAX_DB,
        "consistency_ssim": pytest.approx(1),
        "consistency_colour": 0,
        "consistency_worst_db": MAX_DB,
    }


def test_the_measures_are_those_of_the_field() -> None:
    lq = unit(96, 64)
    restored = noisy(lq, 0.1)
    found = measured(restored, lq, 1)
    assert found["lq_psnr_db"] == pytest.approx(psnr_db(*squared_error(restored, lq, 1)))
    lumas = [image @ np.array((0.299, 0.587, 0.114)) for image in (restored, lq)]
    blocks = [
        structural_similarity(
            *(luma[top : top + 8, left : left + 8] for luma in lumas),
            win_size=7, data_range=1, gaussian_weights=False, use_sample_covariance=False,
        )
        for top in range(0, 96, 8)
        for left in range(0, 64, 8)
    ]  # fmt: skip
    assert found["consistency_ssim"] == pytest.approx(np.mean(blocks), abs=0.05)  # its window is 7 pixels, ours 8
    means = [image.reshape(12, 8, 8, 8, 3).mean(axis=(1, 3)) for image in (restored, lq)]
    colours = deltaE_ciede2000(*(rgb2lab(each) for each in means))
    assert found["consistency_colour"] == pytest.approx(colours.mean(), rel=1e-4)


@pytest.mark.parametrize("rows", [2, 6, 26])
def test_strips_measure_as_the_whole_does(rows: int) -> None:
    lq = unit(100, 70)
    restored, counted = noisy(lq, 0.05), np.random.default_rng(0).random((50, 35)) > 0.3
    whole, comparison = measured(restored, lq, 2, counted), Consistency(50, 35, 2)
    for top in range(0, 100, rows):
        strip = slice(top, top + rows)
        comparison.add(restored[strip], lq[strip], counted[top // 2 : (top + rows) // 2])
    assert comparison.measures() == pytest.approx(whole)


def test_a_cast_is_a_difference_of_colour_and_hardly_one_of_structure() -> None:
    lq = unit(96, 96) * 0.8
    cast = measured(lq * np.array([1.0, 0.9, 0.8], np.float32), lq)
    assert cast["consistency_colour"] is not None and cast["consistency_ssim"] is not None
    assert cast["consistency_colour"] > 5
    assert cast["consistency_ssim"] > 0.9


def test_a_changed_region_shows_in_the_worst_one() -> None:
    lq = unit(256, 256)
    restored = lq.copy()
    restored[:64, :64] = 1 - restored[:64, :64]
    found = measured(restored, lq)
    assert found["consistency_worst_db"] is not None and found["lq_psnr_db"] is not None
    assert found["lq_psnr_db"] - found["consistency_worst_db"] == pytest.approx(10 * math.log10(16), abs=0.01)


def test_what_does_not_count_changes_nothing() -> None:
    lq = unit(64, 64)
    restored, counted = noisy(lq, 0.05), np.ones((32, 32), bool)
    counted[10:20, 5:9] = False
    spoilt = restored.copy()
    spoilt[20:40, 10:18] = 0
    assert measured(spoilt, lq, 2, counted) == measured(restored, lq, 2, counted)
    assert set(measured(restored, lq, 2, np.zeros((32, 32), bool)).values()) == {None}


@pytest.mark.parametrize("size", [(2, 2), (9, 40), (3, 700)])
def test_small_and_grey_scans_are_measured(size: tuple[int, int]) -> None:
    lq = unit(size[0] * 8, size[1] * 8)[..., :1]
    found = measured(np.clip(lq + 0.1, 0, 1), lq, 8)
    assert found["lq_psnr_db"] is not None and found["lq_psnr_db"] >= 19
    assert found["consistency_worst_db"] is not None


def page(**values: Any) -> Row:
    return new_row(width=10, height=10, channels=3, **values)


def test_pages_count_by_their_pixels() -> None:
    measures = dict.fromkeys(MEASURES)
    pages = [
        page(**measures) | {"lq_psnr_db": 20.0, "consistency_ssim": 0.5, "consistency_worst_db": 12.0},
        page(**measures) | {"lq_psnr_db": 30.0, "consistency_ssim": 0.9, "consistency_worst_db": 29.0, "height": 30},
        page(**measures),
    ]
    joined = joined_measures([{**each} for each in pages])  # type: ignore[typeddict-item]
    assert joined["lq_psnr_db"] == pytest.approx(-10 * math.log10((0.01 + 3 * 0.001) / 4))
    assert joined["consistency_ssim"] == pytest.approx(0.8)
    assert (joined["consistency_worst_db"], joined["consistency_colour"]) == (12.0, None)


def test_a_result_below_a_threshold_needs_review() -> None:
    settings = Settings(review_worst_db=20)
    assert needs_review(page(consistency_worst_db=19.9), settings) is True
    assert needs_review(page(consistency_worst_db=20.0), settings) is False
    assert needs_review(page(), settings) is None
    assert needs_review(page(lost_rows=0.0, consistency_worst_db=60.0), settings) is True  # of a damaged source, always
