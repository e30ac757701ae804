"""What decades do to a print beside the damage that training knows (`faithdiff_model.degradation`): small pure steps.

Every function takes and returns float32 HWC in RGB order, values 0 to 1.
"""

from __future__ import annotations

import cv2
import numpy as np

__all__ = ["shrink", "to_levels", "torn_edge", "vignette"]


def shrink(image: np.ndarray, long_side: int) -> np.ndarray:
    """The image with its longer side at `long_side` pixels; never enlarged."""
    height, width = image.shape[:2]
    scale = min(1.0, long_side / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA).reshape(size[1], size[0], -1)


def vignette(image: np.ndarray, amount: float) -> np.ndarray:
    """Corners darker by `amount` (0 to 1)."""
    height, width = image.shape[:2]
    rows, columns = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    return image * (1 - amount * np.clip((rows**2 + columns**2) / 2, 0, 1) ** 1.5)[..., None].astype(np.float32)


def torn_edge(shape: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """Alpha (H, W, 1) of a print with a wavy deckle edge and one torn corner: 1 inside, 0 outside."""
    height, width = shape
    alpha = np.ones(shape, np.float32)
    rows, columns = np.arange(height, dtype=np.float32), np.arange(width, dtype=np.float32)
    for distance, along, vertical in (
        (rows[:, None], columns, True),
        (height - 1 - rows[:, None], columns, True),
        (columns[None, :], rows, False),
        (width - 1 - columns[None, :], rows, False),
    ):
        edge = 4 + 1.2 * np.sin(along * 0.9 + rng.uniform(0, 6)) + np.cumsum(rng.normal(0, 0.15, len(along)))
        alpha *= np.clip(distance - (edge[None, :] if vertical else edge[:, None]), 0, 1).astype(np.float32)
    reach = 0.16 * min(height, width)
    tear = reach + np.cumsum(rng.normal(0, 0.5, width))[None, :]
    alpha *= np.clip(rows[:, None] + columns[None, :] - tear, 0, 1).astype(np.float32)
    return alpha[..., None]


def to_levels(image: np.ndarray, dtype: type[np.uint8] | type[np.uint16]) -> np.ndarray:
    """Values 0 to 1 as whole levels of an unsigned type, clipped and rounded."""
    return np.rint(np.clip(image, 0, 1) * np.iinfo(dtype).max).astype(dtype)
