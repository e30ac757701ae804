"""Masks as a restoration meets them in training: often none, else mostly right."""

from __future__ import annotations

import cv2
import numpy as np

from faithdiff_model.training.masks import seen_mask


def damage() -> np.ndarray:
    """Thirty specks on a grid, far from each other."""
    truth = np.zeros((96, 96), bool)
    for row in range(8, 88, 16):
        for column in range(8, 88, 14):
            truth[row : row + 2, column : column + 2] = True
    return truth


def seen(count: int = 300) -> list[np.ndarray]:
    return [seen_mask(damage(), np.random.default_rng(number)) for number in range(count)]


def test_half_of_the_time_nothing_is_known() -> None:
    masks = seen()
    assert all(mask.dtype == np.float32 and set(np.unique(mask)) <= {0, 1} for mask in masks)
    assert 0.4 < np.mean([not mask.any() for mask in masks]) < 0.6


def test_most_marks_are_found_and_grow_by_two_pixels_at_most() -> None:
    truth = damage()
    around = cv2.dilate(truth.astype(np.uint8), cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (5, 5))) > 0
    found, false = [], []
    for mask in seen():
        if mask.any():
            found.append((mask[truth] > 0).mean())
            false.append(((mask > 0) & ~around).sum())
    assert 0.8 < np.mean(found) < 0.92
    assert min(found) < 0.8
    assert 0.1 < np.mean(np.array(false) > 0) < 0.4  # seen where nothing is
    assert max(false) < 0.1 * truth.size


def test_the_same_draw_says_the_same() -> None:
    assert all(np.array_equal(one, two) for one, two in zip(seen(20), seen(20), strict=True))
