"""Grain has the strength that was asked; halftone dots have their pitch, their angle, and the darkness of the picture."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from faithdiff_model.degradation.archive.emulsion import INK_ANGLES, grain, halftone


def flat(*values: float) -> np.ndarray:
    colour = np.array(values if len(values) == 3 else values * 3, np.float32)
    return np.broadcast_to(colour, (200, 200, 3)).copy()


@pytest.mark.parametrize("colour", [False, True])
@settings(max_examples=10, deadline=None)
@given(amount=st.floats(0.005, 0.1), size=st.floats(0.3, 2), seed=st.integers(0, 1000))
def test_grain_has_the_strength_that_was_asked(colour: bool, amount: float, size: float, seed: int) -> None:
    grainy = grain(flat(0.5), np.random.default_rng(seed), amount, size, colour=colour)
    assert (grainy - 0.5).std() == pytest.approx(amount, rel=0.06)
    assert grainy.mean() == pytest.approx(0.5, abs=0.02)


def test_grain_depends_on_density() -> None:
    strengths = [
        (grain(flat(value), np.random.default_rng(0), 0.02) - value).std() for value in (0.1, 0.3, 0.5, 0.7, 0.9)
    ]
    assert strengths[0] < strengths[1] < strengths[2] > strengths[3] > strengths[4]
    assert strengths[0] / strengths[2] == pytest.approx(0.3 + 0.7 * 0.36, abs=0.03)


def test_silver_is_grey_and_dyes_are_not() -> None:
    silver = grain(flat(0.5), np.random.default_rng(0), 0.05)
    np.testing.assert_allclose(silver, silver[..., :1].repeat(3, axis=2), atol=1e-6)
    dyes = grain(flat(0.5), np.random.default_rng(0), 0.05, colour=True)
    assert abs(np.corrcoef(dyes[..., 0].ravel(), dyes[..., 1].ravel())[0, 1]) < 0.05


def test_larger_grain_is_smoother() -> None:
    def neighbours(size: float) -> float:
        grainy = grain(flat(0.5), np.random.default_rng(0), 0.05, size)[..., 0]
        return float(np.corrcoef(grainy[:, 1:].ravel(), grainy[:, :-1].ravel())[0, 1])

    assert neighbours(0.3) < 0.2 < neighbours(0.7) < neighbours(1.5)


@settings(max_examples=15, deadline=None)
@given(darkness=st.floats(0, 1), pitch=st.floats(2.5, 10), angle=st.floats(0, 90))
def test_halftone_keeps_the_mean(darkness: float, pitch: float, angle: float) -> None:
    image = flat(1 - darkness)
    assert halftone(image, pitch, angle).mean() == pytest.approx(1 - darkness, abs=0.02)
    assert halftone(image, pitch, angle, colour=True).mean() == pytest.approx(1 - darkness, abs=0.03)


def test_halftone_leaves_white_and_black_alone() -> None:
    for colour in (False, True):
        for value in (0.0, 1.0):
            np.testing.assert_allclose(halftone(flat(value), 4, 45, colour=colour), value, atol=1e-5)


def peak(plane: np.ndarray) -> tuple[float, float]:
    """Strongest wave of a [200, 200] plane: its length in pixels, and its direction in degrees, 0 to 90."""
    window = np.hanning(200)[:, None] * np.hanning(200)
    power = np.abs(np.fft.fft2((plane - plane.mean()) * window))
    row, column = np.unravel_index(int(np.argmax(power)), power.shape)
    down, across = np.fft.fftfreq(200)[[row, column]]
    return 1 / np.hypot(down, across), float(np.rad2deg(np.arctan2(down, across))) % 90


@pytest.mark.parametrize("pitch", [3.0, 5.0, 8.0])
@pytest.mark.parametrize("angle", [15.0, 45.0, 70.0])
def test_halftone_has_its_energy_at_the_pitch(pitch: float, angle: float) -> None:
    length, direction = peak(halftone(flat(0.6), pitch, angle)[..., 0])
    assert length == pytest.approx(pitch, rel=0.05)
    assert direction == pytest.approx(angle, abs=3)


def test_inks_stand_at_their_own_angles() -> None:
    printed = halftone(flat(0.5, 0.6, 1.0), 6, 45, colour=True)  # no yellow, hence no black
    for channel, ink in enumerate(("cyan", "magenta")):
        length, direction = peak(printed[..., channel])
        assert length == pytest.approx(6, rel=0.05)
        assert direction == pytest.approx(INK_ANGLES[ink], abs=3)
    assert np.ptp(printed[..., 2]) < 1e-4


def test_colours_survive_printing() -> None:
    for colour in ((0.8, 0.3, 0.2), (0.1, 0.5, 0.9), (0.3, 0.7, 0.3)):
        printed = halftone(flat(*colour), 4, 45, colour=True)
        np.testing.assert_allclose(printed.mean(axis=(0, 1)), colour, atol=0.04)
