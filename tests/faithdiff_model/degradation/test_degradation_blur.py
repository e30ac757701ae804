"""Kernels sum to 1, have the symmetries that their names promise, and blur as much as asked."""

from __future__ import annotations

from math import pi

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import j1

from faithdiff_model.degradation.blur import (
    _bessel,
    blur,
    gaussian_kernel,
    generalised_kernel,
    plateau_kernel,
    sample_kernel,
    sample_sinc,
    sinc_kernel,
    soften,
)
from faithdiff_model.degradation.settings import LEVELS, PassSettings

SIDES = st.integers(3, 10).map(lambda half: 2 * half + 1)
SIGMAS = st.floats(0.2, 4)
ANGLES = st.floats(-pi, pi)


def check(kernel: np.ndarray, side: int) -> None:
    assert kernel.shape == (side, side)
    assert kernel.dtype == np.float32
    assert kernel.sum() == pytest.approx(1, abs=1e-5)
    np.testing.assert_allclose(kernel, kernel[::-1, ::-1], atol=1e-6)  # by a half turn


@settings(max_examples=25, deadline=None)
@given(side=SIDES, x=SIGMAS, y=SIGMAS, angle=ANGLES, beta=st.floats(0.5, 4))
def test_gaussians_and_plateaus_sum_to_one_and_are_symmetric(
    side: int, x: float, y: float, angle: float, beta: float
) -> None:
    for kernel in (
        gaussian_kernel(side, x, y, angle),
        generalised_kernel(side, x, y, beta, angle),
        plateau_kernel(side, x, y, beta, angle),
    ):
        check(kernel, side)
        assert kernel.min() >= 0
        assert kernel.max() == kernel[side // 2, side // 2]


@settings(max_examples=15, deadline=None)
@given(side=SIDES, sigma=SIGMAS, beta=st.floats(0.5, 4))
def test_isotropic_kernels_look_the_same_from_four_sides(side: int, sigma: float, beta: float) -> None:
    for kernel in (
        gaussian_kernel(side, sigma, sigma),
        generalised_kernel(side, sigma, sigma, beta),
        plateau_kernel(side, sigma, sigma, beta),
        sinc_kernel(side, 1.5),
    ):
        np.testing.assert_allclose(kernel, np.rot90(kernel), atol=1e-6)
        np.testing.assert_allclose(kernel, kernel.T, atol=1e-6)


def test_families_meet_where_they_should() -> None:
    np.testing.assert_allclose(generalised_kernel(15, 2, 1, 1.0, 0.3), gaussian_kernel(15, 2, 1, 0.3), atol=1e-7)
    offset = np.arange(-10, 11)
    column = (gaussian_kernel(21, 1.5, 1.5) * offset**2).sum()
    assert column == pytest.approx(1.5**2, rel=0.02)  # its variance is what was asked
    plateau, gaussian = plateau_kernel(21, 2, 2, 2), gaussian_kernel(21, 2, 2)
    assert plateau[10, 10] / plateau[10, 11] < gaussian[10, 10] / gaussian[10, 11]  # flatter on top


def test_angle_turns_the_long_axis() -> None:
    lying, standing = gaussian_kernel(21, 4, 0.5), gaussian_kernel(21, 4, 0.5, pi / 2)
    assert lying[10, 16] > 100 * lying[16, 10]
    np.testing.assert_allclose(lying.T, standing, atol=1e-6)
    slanted = gaussian_kernel(21, 4, 0.5, pi / 4)
    assert slanted[14, 14] > 100 * slanted[14, 6]


@settings(max_examples=15, deadline=None)
@given(side=SIDES, cutoff=st.floats(0.6, pi))
def test_sinc_sums_to_one(side: int, cutoff: float) -> None:
    check(sinc_kernel(side, cutoff), side)


def test_sinc_keeps_low_waves_and_removes_high_ones() -> None:
    kernel = np.zeros((64, 64))
    kernel[:21, :21] = sinc_kernel(21, pi / 2)
    response = np.abs(np.fft.fft2(kernel))
    assert response[0, 4] == pytest.approx(1, abs=0.1)  # a quarter of the cut-off
    assert response[0, 28] < 0.12
    assert sinc_kernel(21, pi / 2).min() < 0  # it rings


def test_bessel_function() -> None:
    x = np.linspace(0, pi * 10 * 2**0.5, 200)
    np.testing.assert_allclose(_bessel(x), j1(x), atol=1e-12)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32), level=st.sampled_from(sorted(LEVELS)))
def test_sampled_kernels(seed: int, level: str) -> None:
    rng = np.random.default_rng(seed)
    for kernel in (sample_kernel(LEVELS[level].first, rng), sample_sinc(LEVELS[level].second, rng)):
        assert kernel.shape[0] in range(7, 22, 2)
        check(kernel, kernel.shape[0])


def test_sampled_sides_and_shapes_follow_the_settings() -> None:
    rng = np.random.default_rng(0)
    first = LEVELS["II"].first
    kernels = [sample_kernel(first, rng) for _ in range(2000)]
    assert {kernel.shape[0] for kernel in kernels} == set(range(7, 22, 2))
    negative = np.mean([kernel.min() < -1e-4 for kernel in kernels])
    assert negative == pytest.approx(first.sinc_probability, abs=0.03)
    round_ones = np.mean([np.allclose(kernel, kernel.T, atol=1e-7) for kernel in kernels])
    assert round_ones == pytest.approx(0.1 + 0.9 * (0.45 + 0.12 + 0.12), abs=0.04)


def test_one_shape_alone_can_be_asked_for() -> None:
    only = PassSettings(
        kernel_sides=(11, 11),
        kernel_weights=(0, 1, 0, 0, 0, 0),
        sinc_probability=0,
        sigma=(1, 1),
        resize_weights=(0, 0, 1),
        resize=(1, 1),
        gaussian_sigma=(0, 0),
        poisson_scale=(0, 0),
        jpeg_quality=(100, 100),
    )
    np.testing.assert_allclose(sample_kernel(only, np.random.default_rng(0)), gaussian_kernel(11, 1, 1), atol=1e-7)


def test_blur_lowers_contrast_and_keeps_the_mean() -> None:
    image = np.zeros((41, 41, 3), np.float32)
    image[20, 20] = 1
    blurred = blur(image, gaussian_kernel(21, 2, 1, 0.5))
    assert blurred.sum() == pytest.approx(3, rel=1e-4)
    assert blurred.max() < 0.1
    np.testing.assert_allclose(blurred[10:31, 10:31, 0], gaussian_kernel(21, 2, 1, 0.5), atol=1e-6)
    np.testing.assert_allclose(soften(image, 1.5)[10:31, 10:31, 1], gaussian_kernel(21, 1.5, 1.5), atol=1e-4)


@pytest.mark.parametrize("side", [5, 8, 23])
def test_bad_sides_are_refused(side: int) -> None:
    with pytest.raises(ValueError, match="choose"):
        gaussian_kernel(side, 1, 1)
    with pytest.raises(ValueError, match="choose"):
        sinc_kernel(side, 1)


def test_bad_shapes_are_refused() -> None:
    for make in (
        lambda: gaussian_kernel(9, 0, 1),
        lambda: gaussian_kernel(9, 1, 11),
        lambda: gaussian_kernel(9, 1, 1, 4),
        lambda: generalised_kernel(9, 1, 1, 0),
        lambda: plateau_kernel(9, 1, 1, 9),
        lambda: sinc_kernel(9, 4),
        lambda: sinc_kernel(9, 0.1),
    ):
        with pytest.raises(ValueError, match="choose"):
            make()
