"""Masks from probabilities: whole marks that are sure somewhere, counted right, however the picture is cut into strips."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from faithdiff_model.damage.marks import select_marks


def reference(probability: np.ndarray, sure: int, part: int, smallest: int) -> tuple[np.ndarray, int]:
    """The same in one piece."""
    number, labels = cv2.connectedComponents((probability >= part).astype(np.uint8), connectivity=8)
    mask, marks = np.zeros(probability.shape, bool), 0
    for label in range(1, number):
        inside = labels == label
        if probability[inside].max() >= sure and inside.sum() >= smallest:
            mask |= inside
            marks += 1
    return mask, marks


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    height=st.integers(1, 40),
    width=st.integers(1, 40),
    strip=st.integers(1, 45),
    smallest=st.integers(1, 6),
)
def test_strips_change_nothing(seed: int, height: int, width: int, strip: int, smallest: int) -> None:
    rng = np.random.default_rng(seed)
    probability = cv2.GaussianBlur(rng.integers(0, 256, (height, width), np.uint8), (0, 0), 0.6)
    expected, marks = reference(probability, 170, 130, smallest)
    mask, number = select_marks(probability, 170, 130, smallest, strip=strip)
    np.testing.assert_array_equal(mask, expected)
    assert number == marks


def test_a_scratch_is_followed_along_its_faint_pieces_and_faint_pixels_alone_are_not() -> None:
    probability = np.zeros((60, 20), np.uint8)
    probability[5:55, 4] = 120
    probability[30, 4] = 200
    probability[10:20, 15] = 120
    mask, marks = select_marks(probability, 150, 100, strip=16)
    assert marks == 1
    assert mask.sum() == 50
    assert mask[5:55, 4].all()


def test_a_spiral_is_one_mark() -> None:
    """Its arms join only far below, after many strips."""
    probability = np.zeros((41, 41), np.uint8)
    for ring in range(0, 20, 4):
        cv2.rectangle(probability, (ring, ring), (40 - ring, 40 - ring), 255, 1)
        cv2.line(probability, (ring, 40 - ring), (ring + 4, 36 - ring), 255, 1)
    assert select_marks(probability, 200, 100, strip=3)[1] == reference(probability, 200, 100, 1)[1] == 1


@pytest.mark.parametrize(("sure", "part"), [(100, 101), (0, 0), (256, 3)])
def test_thresholds_out_of_order_are_refused(sure: int, part: int) -> None:
    with pytest.raises(ValueError, match="choose 1 to 255"):
        select_marks(np.zeros((4, 4), np.uint8), sure, part)
