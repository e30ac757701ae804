"""Noise of sensors: Gaussian and Poisson, each the same in all channels or of its own in each."""

from __future__ import annotations

import numpy as np

from faithdiff_model.degradation.ranges import require
from faithdiff_model.image.resize import to_grey

PHOTONS = 255.0  # at white, for a scale of 1: the grey levels of 8 bits counted as photons, as Real-ESRGAN does


def gaussian_noise(image: np.ndarray, rng: np.random.Generator, sigma: float, *, grey: bool = False) -> np.ndarray:
    """The image [H, W, 3] in 0 to 1 with normal noise added, clipped.

    Args:
        rng: of the noise.
        sigma: standard deviation in 1/255 levels, 0 to 100.
        grey: the same noise in all channels.
    """
    require("sigma", sigma, 0, 100)
    shape = (*image.shape[:2], 1) if grey else image.shape
    return np.clip(image + rng.standard_normal(shape, np.float32) * np.float32(sigma / 255), 0, 1)


def poisson_noise(image: np.ndarray, rng: np.random.Generator, scale: float, *, grey: bool = False) -> np.ndarray:
    """The image [H, W, 3] in 0 to 1 with shot noise added, which grows with the square root of the light, clipped.

    Args:
        rng: of the noise.
        scale: 0 to 10: factor of the noise that `PHOTONS` photons at white have.
        grey: the same noise in all channels, that of their luminance.
    """
    require("scale", scale, 0, 10)
    light = np.clip(to_grey(image) if grey else image, 0, 1)
    counts = rng.poisson(light * np.float32(PHOTONS)).astype(np.float32)
    return np.clip(image + (counts / np.float32(PHOTONS) - light) * np.float32(scale), 0, 1)
