"""What one image meets on its way through the two passes, drawn before anything is done: the same for arrays and tensors."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from faithdiff_model.degradation.blur import sample_kernel, sample_sinc
from faithdiff_model.degradation.settings import PassSettings, TwoPassSettings

INTERPOLATIONS = ("area", "bilinear", "bicubic")


@dataclass(frozen=True, kw_only=True)
class PassDraw:
    """One pass of one image.

    Attributes:
        kernel: float32 [side, side], or None for no blur.
        factor: of the resize; 1 keeps the size.
        interpolation: of the resize, one of `INTERPOLATIONS`.
        gaussian: Gaussian noise of `strength` in 1/255 levels; otherwise Poisson noise of this scale.
        strength, grey: of the noise.
        quality: of the JPEG, 1 to 100.
    """

    kernel: np.ndarray | None
    factor: float
    interpolation: str
    gaussian: bool
    strength: float
    grey: bool
    quality: int


@dataclass(frozen=True, kw_only=True)
class TwoPassDraw:
    """Both passes of one image, and its last steps.

    Attributes:
        first, second: the passes.
        final_interpolation: of the resize to the result's size.
        final_kernel: the sinc filter after it, or None.
        jpeg_last: resize and filter before the second JPEG instead of after it.
    """

    first: PassDraw
    second: PassDraw
    final_interpolation: str
    final_kernel: np.ndarray | None
    jpeg_last: bool


def draw_two_pass(settings: TwoPassSettings, rng: np.random.Generator) -> TwoPassDraw:
    """Draw all parameters of one image."""
    return TwoPassDraw(
        first=_draw_pass(settings.first, rng),
        second=_draw_pass(settings.second, rng),
        final_interpolation=_interpolation(rng),
        final_kernel=sample_sinc(settings.second, rng) if rng.random() < settings.final_sinc_probability else None,
        jpeg_last=bool(rng.random() < 0.5),
    )


def _draw_pass(settings: PassSettings, rng: np.random.Generator) -> PassDraw:
    gaussian = bool(rng.random() < settings.gaussian_probability)
    return PassDraw(
        kernel=sample_kernel(settings, rng) if rng.random() < settings.blur_probability else None,
        factor=_factor(settings, rng),
        interpolation=_interpolation(rng),
        gaussian=gaussian,
        strength=float(rng.uniform(*(settings.gaussian_sigma if gaussian else settings.poisson_scale))),
        grey=bool(rng.random() < settings.grey_probability),
        quality=round(rng.uniform(*settings.jpeg_quality)),
    )


def _factor(settings: PassSettings, rng: np.random.Generator) -> float:
    low, high = settings.resize
    enlarging, reducing, _ = settings.resize_weights
    kind = rng.random()
    if kind < enlarging:
        return float(rng.uniform(1, high))
    if kind < enlarging + reducing:
        return float(rng.uniform(low, 1))
    return 1.0


def _interpolation(rng: np.random.Generator) -> str:
    return INTERPOLATIONS[rng.integers(len(INTERPOLATIONS))]
