"""How faithful a result is to its source: both at the source's size, where nothing may have been invented, outside damage."""

from __future__ import annotations

import math

import cv2
import numpy as np

from faithdiff_model.damage.fill import fillable
from pipelines.media.photo.mask import read_mask

__all__ = ["MAX_DB", "psnr_db", "squared_error", "undamaged"]

MAX_DB = 100.0  # what equal images get; keeps the column finite
_LANCZOS = 3  # pixels of the source that enlarging carries a value


def undamaged(damage_mask: bytes | None) -> np.ndarray | None:
    """The pixels of a scan that its result is compared with.

    Damage is not to be kept, and so does not count; nor do pixels that enlarging mixes with it. So it is the same whether the
    comparison is with the scan as it was or as it was filled.

    Args:
        damage_mask: PNG of the scan's damage, of its size; None where there is none.

    Returns:
        bool [H, W]; None for all pixels.
    """
    if not damage_mask:
        return None
    mask = read_mask(damage_mask)
    changed = (mask | fillable(mask)).astype(np.uint8)
    return cv2.dilate(changed, np.ones((2 * _LANCZOS + 1,) * 2, np.uint8)) == 0


def squared_error(
    restored_HWC: np.ndarray, lq_HWC: np.ndarray, factor: int, counted_HW: np.ndarray | None = None
) -> tuple[float, int]:
    """Sum of squared differences of two images averaged over `factor` x `factor` blocks, and the number of values.

    Args:
        restored_HWC, lq_HWC: float32 in [0, 1], equal shapes, sides a multiple of `factor`.
        factor: the enlargement.
        counted_HW: bool, a value a block: which of them count; None for all.
    """
    difference = (restored_HWC - lq_HWC).astype(np.float64)
    height, width, channels = difference.shape
    blocks = difference.reshape(height // factor, factor, width // factor, factor, channels).mean(axis=(1, 3))
    if counted_HW is not None:
        blocks = blocks[counted_HW]
    return float((blocks * blocks).sum()), blocks.size


def psnr_db(error: float, count: int) -> float | None:
    """Peak signal-to-noise ratio, dB, of a sum of squared errors over `count` values in [0, 1]; None of no value."""
    if not count:
        return None
    mean = error / count
    return MAX_DB if mean <= 10 ** (-MAX_DB / 10) else -10 * math.log10(mean)
