"""Checks of parameters: one message for all of them, which names the remedy."""

from __future__ import annotations

import math

import numpy as np

SMALLEST_SIDE = 16


def require(name: str, value: float, low: float, high: float) -> None:
    """Raise ValueError unless `value` is in `low` to `high`, both included; neither NaN nor infinity is."""
    if not (low <= value <= high and math.isfinite(value)):
        raise ValueError(f"{name} is {value}: choose {low} to {high}")


def require_range(name: str, value: tuple[float, float], low: float, high: float) -> None:
    """Raise ValueError unless `value` is a pair (from, to), in order and both within `low` to `high`."""
    if len(value) != 2 or not low <= value[0] <= value[1] <= high:
        raise ValueError(f"{name} is {value}: choose a pair (from, to) within {low} to {high}")


def require_weights(name: str, value: tuple[float, ...], count: int) -> None:
    """Raise ValueError unless `value` holds `count` probabilities that sum to 1."""
    if len(value) != count or min(value) < 0 or abs(sum(value) - 1) > 1e-6:
        raise ValueError(f"{name} is {value}: give {count} probabilities that sum to 1")


def require_image(image: np.ndarray) -> None:
    """Raise ValueError unless `image` is float32 [H, W, 3] with sides of at least `SMALLEST_SIDE` pixels."""
    if image.dtype != np.float32 or image.ndim != 3 or image.shape[2] != 3 or min(image.shape[:2]) < SMALLEST_SIDE:
        raise ValueError(
            f"the image is {image.dtype} {image.shape}: give float32 [H, W, 3] in 0 to 1, sides of {SMALLEST_SIDE} or more"
        )
