"""Motion between frames: known shifts are found, what cannot be followed is not believed."""

from __future__ import annotations

import numpy as np
import pytest
from reels import aged, shot

from faithdiff_model.film.motion import Motion, compose, consistent, flow_grey, positions, rescale, sample


def _pair(step: tuple[float, float], flicker: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    frames = shot("astronaut.png", np.array([[0.0, 0.0], step]), size=(96, 128))
    lq, _ = aged(frames, np.random.default_rng(0), grain=0.03, flicker=flicker)
    return flow_grey(lq[0]), flow_grey(lq[1])


@pytest.mark.parametrize("step", [(0.0, 0.0), (0.0, 3.0), (2.4, -1.6)])
@pytest.mark.parametrize("flicker", [0.0, 0.15])
def test_a_camera_s_step_is_found_in_grain_and_flicker(step: tuple[float, float], flicker: float) -> None:
    motion = Motion.between(*_pair(step, flicker))
    inside = (slice(12, -12), slice(12, -12))
    # The camera goes one way, what it shows the other.
    wanted = np.array([-step[1], -step[0]])
    assert np.abs(np.median(motion.forward[inside], axis=(0, 1)) - wanted).max() < 0.4
    assert np.abs(np.median(motion.backward[inside], axis=(0, 1)) + wanted).max() < 0.4
    assert motion.forward_consistent[inside].mean() > 0.7


def test_another_picture_is_not_believed() -> None:
    one, _ = _pair((0, 0))
    other = flow_grey((shot("coffee.png", np.zeros((1, 2)), size=(96, 128))[0] * 255).astype(np.uint8))
    assert Motion.between(one, other).forward_consistent.mean() < 0.6


def test_what_leaves_the_picture_is_not_believed() -> None:
    there = np.full((20, 30, 2), (5.0, 0.0), np.float32)
    sure = consistent(there, -there)
    assert sure[:, :25].all()
    assert not sure[:, 25:].any()


def test_small_and_flat_pictures_stand_still() -> None:
    for height, width in ((16, 16), (31, 200)):
        flat = flow_grey(np.zeros((height, width, 3), np.uint8))
        motion = Motion.between(flat, flat)
        assert not motion.forward.any()
        assert motion.forward_consistent.all()


def test_flows_go_one_after_the_other() -> None:
    first, second = (np.full((16, 24, 2), step, np.float32) for step in ((2.0, 1.0), (-0.5, 3.0)))
    assert np.allclose(compose(first, second), (1.5, 4.0))


def test_scaling_a_flow_scales_its_lengths() -> None:
    field = rescale(np.full((10, 20, 2), (1.0, 2.0), np.float32), 30, 40)
    assert field.shape == (30, 40, 2)
    assert np.allclose(field, (2.0, 6.0))


def test_sampling_at_home_changes_nothing() -> None:
    values = np.random.default_rng(0).random((7, 9, 3), np.float32)
    assert np.array_equal(sample(values, positions(np.zeros((7, 9, 2), np.float32))), values)
