"""Noise has the size, the mean and the dependence on light that it should, grey or in colour. JPEG is JPEG."""

from __future__ import annotations

import numpy as np
import pytest

from faithdiff_model.degradation.codec import jpeg
from faithdiff_model.degradation.noise import gaussian_noise, poisson_noise
from jobs.samples.archive import original


def flat(value: float) -> np.ndarray:
    return np.full((200, 200, 3), value, np.float32)


def correlation(noise: np.ndarray) -> float:
    return float(np.corrcoef(noise[..., 0].ravel(), noise[..., 2].ravel())[0, 1])


@pytest.mark.parametrize("grey", [False, True])
@pytest.mark.parametrize("sigma", [2.0, 15.0])
def test_gaussian_noise(sigma: float, grey: bool) -> None:
    noise = gaussian_noise(flat(0.5), np.random.default_rng(0), sigma, grey=grey) - 0.5
    assert noise.std() * 255 == pytest.approx(sigma, rel=0.02)
    assert abs(noise.mean()) * 255 < sigma / 50
    assert correlation(noise) == pytest.approx(1 if grey else 0, abs=0.02)


@pytest.mark.parametrize("grey", [False, True])
@pytest.mark.parametrize("light", [0.1, 0.4])
def test_poisson_noise_grows_with_the_root_of_light(light: float, grey: bool) -> None:
    noise = poisson_noise(flat(light), np.random.default_rng(0), 0.8, grey=grey) - light
    assert noise.std() == pytest.approx(0.8 * (light / 255) ** 0.5, rel=0.03)
    assert abs(noise.mean()) < 0.001
    assert correlation(noise) == pytest.approx(1 if grey else 0, abs=0.02)


def test_no_noise_changes_nothing() -> None:
    image = original("chelsea.png")
    np.testing.assert_array_equal(gaussian_noise(image, np.random.default_rng(0), 0), image)
    np.testing.assert_array_equal(poisson_noise(image, np.random.default_rng(0), 0), image)


def test_black_has_no_poisson_noise() -> None:
    np.testing.assert_array_equal(poisson_noise(flat(0), np.random.default_rng(0), 3), flat(0))


def test_jpeg_gets_worse_with_lower_quality() -> None:
    image = original("chelsea.png")
    errors = [float(np.abs(jpeg(image, quality) - image).mean()) for quality in (10, 30, 60, 85, 100)]
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] * 255 < 1.5
    assert errors[0] * 255 > 5


def test_jpeg_gives_whole_levels_in_the_order_of_colours() -> None:
    red = np.zeros((32, 32, 3), np.float32)
    red[..., 0] = 1
    levels = jpeg(red, 95) * 255
    np.testing.assert_allclose(levels, np.rint(levels), atol=1e-4)
    assert levels[..., 0].min() > 250
    assert levels[..., 1:].max() < 5
