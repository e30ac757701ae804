"""The two-pass degradation of Real-ESRGAN on one image: what a photograph meets that is resized, saved and sent twice."""

from __future__ import annotations

import cv2
import numpy as np

from faithdiff_model.degradation.blur import blur
from faithdiff_model.degradation.codec import jpeg
from faithdiff_model.degradation.draws import PassDraw, draw_two_pass
from faithdiff_model.degradation.noise import gaussian_noise, poisson_noise
from faithdiff_model.degradation.ranges import require_image
from faithdiff_model.degradation.settings import TwoPassSettings

_INTERPOLATIONS = {"area": cv2.INTER_AREA, "bilinear": cv2.INTER_LINEAR, "bicubic": cv2.INTER_CUBIC}


def degrade_two_pass(image: np.ndarray, settings: TwoPassSettings, rng: np.random.Generator) -> np.ndarray:
    """Degrade an image twice and make it smaller.

    Args:
        image: float32 [H, W, 3] in 0 to 1, RGB, sides of 16 pixels or more.
        settings: for example `LEVELS["II"]`.
        rng: the same state gives the same result.

    Returns:
        float32 [ceil(H / scale), ceil(W / scale), 3] in 0 to 1.
    """
    require_image(image)
    draw = draw_two_pass(settings, rng)
    height, width = image.shape[:2]
    result = small_size(height, width, settings.scale)

    image = _blur_resize_noise(image, draw.first, (height, width), rng)
    image = jpeg(image, draw.first.quality)

    # The second pass's sizes are relative to the result's, so that the image shrinks toward it.
    image = _blur_resize_noise(image, draw.second, (height / settings.scale, width / settings.scale), rng)
    if not draw.jpeg_last:
        image = jpeg(image, draw.second.quality)
    image = _resize(image, result, draw.final_interpolation)
    if draw.final_kernel is not None:
        image = blur(image, draw.final_kernel)
    return jpeg(image, draw.second.quality) if draw.jpeg_last else image


def small_size(height: int, width: int, scale: int) -> tuple[int, int]:
    """(height, width) of the result: both divided by `scale` and rounded up."""
    return -(-height // scale), -(-width // scale)


def scaled_size(size: tuple[float, float], factor: float) -> tuple[int, int]:
    """(height, width) times a factor, rounded, at least one pixel each."""
    return max(1, round(size[0] * factor)), max(1, round(size[1] * factor))


def _blur_resize_noise(
    image: np.ndarray, draw: PassDraw, size: tuple[float, float], rng: np.random.Generator
) -> np.ndarray:
    """The steps that both passes share; `size` is (height, width) for a factor of 1."""
    if draw.kernel is not None:
        image = blur(image, draw.kernel)
    image = _resize(image, scaled_size(size, draw.factor), draw.interpolation)
    add_noise = gaussian_noise if draw.gaussian else poisson_noise
    return add_noise(image, rng, draw.strength, grey=draw.grey)


def _resize(image: np.ndarray, size: tuple[int, int], interpolation: str) -> np.ndarray:
    """The image at (height, width); bicubic overshoot is clipped."""
    if image.shape[:2] == size:
        return image
    return np.clip(cv2.resize(image, size[::-1], interpolation=_INTERPOLATIONS[interpolation]), 0, 1)
