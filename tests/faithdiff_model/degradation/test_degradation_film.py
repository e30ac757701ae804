"""Moving pictures: weave only shifts, flicker only multiplies, and both wander smoothly."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from test_degradation_contract import random_image

from faithdiff_model.degradation.archive.film import _walk, flicker, gate_weave


def smooth(height: int = 120, width: int = 160) -> np.ndarray:
    return np.clip(cv2.GaussianBlur(random_image(0, height, width), (0, 0), 4), 0.1, 0.8)


def test_weave_is_a_pure_shift() -> None:
    """On ramps along columns (red) and rows (green) a shift is one constant each: the same at every pixel of a frame."""
    frame = np.zeros((50, 60, 3), np.float32)
    frame[..., 0] = 0.2 + np.arange(60) * 0.004
    frame[..., 1] = 0.2 + np.arange(50)[:, None] * 0.005
    shifts = []
    for woven in gate_weave([frame] * 2000, np.random.default_rng(1), 1.5):
        change = (frame - woven)[10:-10, 10:-10]
        assert np.ptp(change, axis=(0, 1)).max() < 1e-5
        shifts.append(change.mean(axis=(0, 1))[:2] / (0.004, 0.005))
    assert np.std(shifts, axis=0) == pytest.approx([1.5, 1.5], rel=0.15)
    assert np.abs(np.diff(shifts, axis=0)).mean() < 1.2  # a walk: no frame is far from the one before


def test_weave_keeps_the_mean_and_the_number_of_frames() -> None:
    frames = [smooth() for _ in range(7)]
    woven = gate_weave(frames, np.random.default_rng(0), 1.0)
    assert len(woven) == 7
    for before, after in zip(frames, woven, strict=True):
        assert after.mean() == pytest.approx(float(before.mean()), abs=0.005)


def test_flicker_is_a_gain() -> None:
    frames = [smooth() for _ in range(5)]
    gains = []
    for before, after in zip(frames, flicker(frames, np.random.default_rng(0), 0.08), strict=True):
        ratio = after / before
        assert np.ptp(ratio) < 1e-4
        gains.append(float(ratio.mean()))
    assert len({round(gain, 4) for gain in gains}) == 5


def test_flicker_has_the_strength_that_was_asked() -> None:
    flat = np.full((16, 16, 3), 0.4, np.float32)
    logs = np.log([frame.mean() / 0.4 for frame in flicker([flat] * 3000, np.random.default_rng(0), 0.1)])
    assert logs.std() == pytest.approx(0.1, rel=0.15)
    assert logs.mean() == pytest.approx(0, abs=0.03)


def test_the_walk_is_smooth_and_stays_near() -> None:
    walk = _walk(20000, 2, np.random.default_rng(0))
    assert walk.std(axis=0) == pytest.approx([1, 1], rel=0.05)
    assert np.corrcoef(walk[1:, 0], walk[:-1, 0])[0, 1] == pytest.approx(0.8, abs=0.02)
    assert abs(np.corrcoef(walk[:, 0], walk[:, 1])[0, 1]) < 0.05
    many = np.array([_walk(3, 1, np.random.default_rng(seed))[:, 0] for seed in range(3000)])
    assert many.std(axis=0) == pytest.approx([1, 1, 1], rel=0.06)  # from the first frame on


def test_one_frame_and_none() -> None:
    assert gate_weave([], np.random.default_rng(0), 1) == []
    assert flicker([], np.random.default_rng(0), 0.1) == []
    (frame,) = gate_weave([smooth()], np.random.default_rng(0), 1)
    assert frame.shape == (120, 160, 3)
    np.testing.assert_array_equal(gate_weave([smooth()], np.random.default_rng(0), 0)[0], smooth())
    np.testing.assert_array_equal(flicker([smooth()], np.random.default_rng(0), 0)[0], smooth())
