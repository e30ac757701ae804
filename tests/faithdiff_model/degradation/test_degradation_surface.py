"""Marks on the surface: as many by area in a crop as in the whole, thin, and pale or dark."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from faithdiff_model.degradation.archive.surface import crease, dust, scratches


def covered(image: np.ndarray, flat: float = 0.5) -> float:
    """Share of pixels that a mark changed."""
    return float((np.abs(image - flat).max(axis=2) > 0.02).mean())


def flat(height: int, width: int) -> np.ndarray:
    return np.full((height, width, 3), 0.5, np.float32)


def test_dust_counts_by_area() -> None:
    """The number of separate marks follows density x area, for wholes and for crops."""
    for side, repeats in ((512, 6), (128, 96)):
        marks = 0
        for seed in range(repeats):
            dusty = dust(flat(side, side), np.random.default_rng(seed), 30)
            marks += cv2.connectedComponents((np.abs(dusty - 0.5).max(axis=2) > 0.02).astype(np.uint8))[0] - 1
        expected = 30 * repeats * side * side / 512**2
        assert marks == pytest.approx(expected, rel=0.2)


def test_dust_covers_in_proportion_to_density() -> None:
    few, many = (
        np.mean([covered(dust(flat(256, 256), np.random.default_rng(seed), density)) for seed in range(20)])
        for density in (20, 200)
    )
    assert many / few == pytest.approx(10, rel=0.3)
    assert few < 0.003
    assert covered(dust(flat(256, 256), np.random.default_rng(0), 0)) == 0


def test_dust_is_pale_and_dark_and_small() -> None:
    dusty = dust(flat(512, 512), np.random.default_rng(0), 200)
    assert dusty.max() > 0.8
    assert dusty.min() < 0.2
    count, _, statistics, _ = cv2.connectedComponentsWithStats((np.abs(dusty - 0.5)[..., 0] > 0.02).astype(np.uint8))
    widths = statistics[1:count, [cv2.CC_STAT_WIDTH, cv2.CC_STAT_HEIGHT]].max(axis=1)
    assert np.median(widths) <= 5
    assert widths.max() < 60


def test_scratches_cover_crops_as_they_cover_wholes() -> None:
    whole = np.mean([covered(scratches(flat(512, 512), np.random.default_rng(seed), 6)) for seed in range(40)])
    crop = np.mean([covered(scratches(flat(128, 128), np.random.default_rng(seed), 6)) for seed in range(400)])
    assert crop == pytest.approx(whole, rel=0.25)


def test_scratches_are_thin_long_and_mostly_upright() -> None:
    upright = 0
    for seed in range(30):
        change = np.abs(scratches(flat(400, 400), np.random.default_rng(seed), 3, (100, 300)) - 0.5)[..., 0] > 0.02
        assert change.mean() < 0.02
        rows, columns = change.any(axis=1).sum(), change.any(axis=0).sum()
        upright += rows > columns
    assert upright > 20


def test_a_crease_crosses_the_image_with_a_shadow_beside_it() -> None:
    for seed in range(10):
        folded = crease(flat(120, 160), np.random.default_rng(seed), 0.8)[..., 0]
        changed = np.abs(folded - 0.5) > 0.01
        assert changed.any(axis=0).all() or changed.any(axis=1).all()
        assert changed.mean() < 0.1
        assert folded.max() > 0.75
        assert folded.min() < 0.42


def test_no_amount_of_a_crease_changes_nothing() -> None:
    np.testing.assert_array_equal(crease(flat(40, 40), np.random.default_rng(0), 0), flat(40, 40))
