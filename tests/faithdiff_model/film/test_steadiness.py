"""Measures of clips, on clips of which the answer is known."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from reels import photograph
from steadiness import sharpness, warping_error

from faithdiff_model.degradation.clip import Clip, moving_clip, step


@pytest.fixture(scope="module")
def clip() -> Clip:
    return moving_clip(photograph("coffee.png"), 6, (96, 128), "hand-held", seed=0)


def test_a_clean_clip_is_steady_but_for_interpolation(clip: Clip) -> None:
    assert warping_error(clip.frames, lambda number: step(clip, number)) < 0.004


def test_flicker_counts_by_its_size(clip: Clip) -> None:
    grey = [np.full((64, 64, 3), value, np.float32) for value in (0.5, 0.6, 0.5, 0.6)]
    columns, rows = np.meshgrid(np.arange(64, dtype=np.float32), np.arange(64, dtype=np.float32))
    still = np.stack([columns, rows], axis=2)
    assert warping_error(grey, lambda number: still) == pytest.approx(0.1, abs=1e-6)
    wrong = [frame * (1 + 0.1 * (number % 2)) for number, frame in enumerate(clip.frames)]
    right = warping_error(clip.frames, lambda number: step(clip, number))
    assert warping_error(wrong, lambda number: step(clip, number)) > right + 0.02


def test_the_wrong_motion_is_an_error(clip: Clip) -> None:
    right = warping_error(clip.frames, lambda number: step(clip, number))
    assert warping_error(clip.frames, lambda number: step(clip, number) + np.float32(2)) > 3 * right


def test_sharpness(clip: Clip) -> None:
    assert sharpness(clip.frames, clip.frames) == pytest.approx(1)
    blurred = [cv2.GaussianBlur(frame, (0, 0), 1.5) for frame in clip.frames]
    assert sharpness(blurred, clip.frames) < 0.6
    rng = np.random.default_rng(0)
    noisy = [frame + rng.normal(0, 0.05, frame.shape).astype(np.float32) for frame in clip.frames]
    assert sharpness(noisy, clip.frames) == pytest.approx(1, abs=0.02)
    crisp = [frame + (frame - soft) for frame, soft in zip(clip.frames, blurred, strict=True)]
    assert sharpness(crisp, clip.frames) > 1.2
