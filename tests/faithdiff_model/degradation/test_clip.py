"""Moving clips: the motion that is told is the motion that is there, and age is new in every frame."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from reels import photograph

from faithdiff_model.degradation.clip import Path, age_clip, moving_clip, step


@pytest.mark.parametrize("path", ["pan", "zoom", "hand-held"])
def test_the_motion_is_exact(path: Path) -> None:
    clip = moving_clip(cv2.GaussianBlur(photograph("astronaut.png"), (0, 0), 2), 5, (80, 100), path, seed=2)
    assert [frame.shape for frame in clip.frames] == [(80, 100, 3)] * 5
    for number in range(1, 5):
        at = step(clip, number)
        before = cv2.remap(clip.frames[number - 1], at[..., 0], at[..., 1], cv2.INTER_CUBIC)
        assert np.abs(before - clip.frames[number])[12:-12, 12:-12].max() < 0.03
    columns, rows = np.meshgrid(np.arange(100), np.arange(80))
    moved = np.abs(step(clip, 1) - np.stack([columns, rows], axis=2))
    assert 0.1 < moved.max() < 10


def test_the_same_seed_is_the_same_clip() -> None:
    photo = photograph("astronaut.png")
    one, same, other = (moving_clip(photo, 3, (40, 40), "hand-held", seed=seed) for seed in (1, 1, 2))
    assert all(np.array_equal(*pair) for pair in zip(one.frames, same.frames, strict=True))
    assert not np.array_equal(one.frames[2], other.frames[2])
    assert all(np.array_equal(*p) for p in zip(age_clip(one.frames, 5), age_clip(same.frames, 5), strict=True))


def test_age_is_new_in_every_frame() -> None:
    still = [photograph("astronaut.png")[100:180, 100:200]] * 4
    aged = age_clip(still, 0)
    assert [frame.shape for frame in aged] == [(40, 50, 3)] * 4
    assert all(frame.dtype == np.uint8 for frame in aged)
    levels = [float(frame.mean()) for frame in aged]
    assert max(levels) - min(levels) > 2  # flicker
    grain = aged[0] / aged[0].mean() - aged[1] / aged[1].mean()
    assert grain.std() > 0.02
