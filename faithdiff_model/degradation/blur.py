"""Blur kernels: Gaussians, their generalised and plateau kin, and the circular low-pass. All odd-sided, all summing to 1."""

from __future__ import annotations

from math import pi

import cv2
import numpy as np

from faithdiff_model.degradation.ranges import require
from faithdiff_model.degradation.settings import KERNELS, PassSettings


def gaussian_kernel(side: int, sigma_x: float, sigma_y: float, angle: float = 0.0) -> np.ndarray:
    """A Gaussian, float32 [side, side].

    Args:
        side: odd, 7 to 21 pixels.
        sigma_x, sigma_y: widths in pixels along the kernel's own axes, 0.1 to 10; equal is isotropic.
        angle: of its first axis in radians, from the columns' direction toward the rows', -pi to pi.
    """
    return _normalise(np.exp(-0.5 * _distance(side, sigma_x, sigma_y, angle)))


def generalised_kernel(side: int, sigma_x: float, sigma_y: float, beta: float, angle: float = 0.0) -> np.ndarray:
    """exp(-d^beta / 2) of the squared distance d, float32 [side, side]; `beta` 0.1 to 8, the rest as `gaussian_kernel`."""
    require("beta", beta, 0.1, 8)
    return _normalise(np.exp(-0.5 * _distance(side, sigma_x, sigma_y, angle) ** beta))


def plateau_kernel(side: int, sigma_x: float, sigma_y: float, beta: float, angle: float = 0.0) -> np.ndarray:
    """1 / (1 + d^beta) of the squared distance d, float32 [side, side]; `beta` 0.5 to 8, the rest as `gaussian_kernel`."""
    require("beta", beta, 0.5, 8)
    return _normalise(1 / (1 + _distance(side, sigma_x, sigma_y, angle) ** beta))


def sinc_kernel(side: int, cutoff: float) -> np.ndarray:
    """The circular low-pass, float32 [side, side]: it rings around edges. `cutoff` in radians a pixel, 0.3 to pi."""
    _require_side(side)
    require("cutoff", cutoff, 0.3, pi)
    offset = np.arange(side) - side // 2
    squared, where = np.unique(offset[:, None] ** 2 + offset**2, return_inverse=True)
    radius = np.sqrt(np.maximum(squared, 1))
    values = np.where(squared == 0, cutoff**2 / (4 * pi), cutoff * _bessel(cutoff * radius) / (2 * pi * radius))
    return _normalise(values[where].reshape(side, side))


def sample_kernel(settings: PassSettings, rng: np.random.Generator) -> np.ndarray:
    """A kernel as a pass draws it: float32 [side, side], a sinc filter or one of `KERNELS`."""
    side = _sample_side(settings, rng)
    if rng.random() < settings.sinc_probability:
        # Real-ESRGAN lets larger kernels cut lower, since only they can carry such a long wave.
        return sinc_kernel(side, rng.uniform(pi / 3 if side < 13 else pi / 5, pi))
    shape = KERNELS[rng.choice(len(KERNELS), p=settings.kernel_weights)]
    sigma_x = sigma_y = rng.uniform(*settings.sigma)
    angle = 0.0
    if "anisotropic" in shape:
        sigma_y, angle = rng.uniform(*settings.sigma), rng.uniform(-pi, pi)
    if "generalised" in shape:
        return generalised_kernel(side, sigma_x, sigma_y, rng.uniform(*settings.beta_generalised), angle)
    if "plateau" in shape:
        return plateau_kernel(side, sigma_x, sigma_y, rng.uniform(*settings.beta_plateau), angle)
    return gaussian_kernel(side, sigma_x, sigma_y, angle)


def sample_sinc(settings: PassSettings, rng: np.random.Generator) -> np.ndarray:
    """A sinc kernel of the final step: float32 [side, side], cut-off pi/3 to pi."""
    return sinc_kernel(_sample_side(settings, rng), rng.uniform(pi / 3, pi))


def blur(image: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """The image [H, W, 3] in 0 to 1 filtered by a kernel, reflected at its borders, clipped to 0 to 1."""
    return np.clip(cv2.filter2D(image, -1, kernel, borderType=cv2.BORDER_REFLECT_101), 0, 1)


def soften(image: np.ndarray, sigma: float) -> np.ndarray:
    """The blur of a simple lens on an image [H, W, 3] in 0 to 1: an isotropic Gaussian of `sigma` pixels, 0.1 to 10."""
    require("sigma", sigma, 0.1, 10)
    return np.clip(cv2.GaussianBlur(image, (0, 0), sigma), 0, 1)


def _sample_side(settings: PassSettings, rng: np.random.Generator) -> int:
    smallest, largest = settings.kernel_sides
    return smallest + 2 * int(rng.integers((largest - smallest) // 2 + 1))


def _require_side(side: int) -> None:
    require("side", side, 7, 21)
    if side % 2 == 0:
        raise ValueError(f"side is {side}: choose an odd one")


def _distance(side: int, sigma_x: float, sigma_y: float, angle: float) -> np.ndarray:
    """Squared distance from the centre in units of the widths, [side, side]."""
    _require_side(side)
    require("sigma_x", sigma_x, 0.1, 10)
    require("sigma_y", sigma_y, 0.1, 10)
    require("angle", angle, -pi, pi)
    offset = np.arange(side) - side // 2
    rows, columns = offset[:, None], offset[None, :]
    along = columns * np.cos(angle) + rows * np.sin(angle)
    across = rows * np.cos(angle) - columns * np.sin(angle)
    return (along / sigma_x) ** 2 + (across / sigma_y) ** 2


def _bessel(x: np.ndarray) -> np.ndarray:
    """J1, as the mean of cos(t - x sin t) over t: exact to rounding for |x| < 50 with 64 points, without SciPy."""
    t = (np.arange(64) + 0.5) * (pi / 64)
    return np.cos(t - x[:, None] * np.sin(t)).mean(1)


def _normalise(kernel: np.ndarray) -> np.ndarray:
    return (kernel / kernel.sum()).astype(np.float32)
