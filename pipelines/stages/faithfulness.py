"""How faithful a result is to its source: both at the source's size, where nothing may have been invented."""

from __future__ import annotations

import math

import numpy as np

__all__ = ["MAX_DB", "psnr_db", "squared_error"]

MAX_DB = 100.0  # what equal images get; keeps the column finite


def squared_error(restored_HWC: np.ndarray, lq_HWC: np.ndarray, factor: int) -> tuple[float, int]:
    """Sum of squared differences of two images averaged over `factor` x `factor` blocks, and the number of values.

    Args:
        restored_HWC, lq_HWC: float32 in [0, 1], equal shapes, sides a multiple of `factor`.
        factor: the enlargement.
    """
    difference = (restored_HWC - lq_HWC).astype(np.float64)
    height, width, channels = difference.shape
    blocks = difference.reshape(height // factor, factor, width // factor, factor, channels).mean(axis=(1, 3))
    return float((blocks * blocks).sum()), blocks.size


def psnr_db(error: float, count: int) -> float:
    """Peak signal-to-noise ratio, dB, of a sum of squared errors over `count` values in [0, 1]."""
    mean = error / count
    return MAX_DB if mean <= 10 ** (-MAX_DB / 10) else -10 * math.log10(mean)
