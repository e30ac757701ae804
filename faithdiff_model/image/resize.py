"""Lanczos enlargement of the LQ photograph to the size of the result (golden README, fact 7)."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from PIL import Image

from faithdiff_model.image.windows import Rect

__all__ = ["Cuttable", "enlarge", "from_unit_float", "to_grey", "to_unit_float"]

_LUMA = (0.299, 0.587, 0.114)


class Cuttable(Protocol):
    """An image [H, W, C] of which rectangles can be had, such as one that lies in a file."""

    @property
    def shape(self) -> tuple[int, ...]: ...
    def __getitem__(self, key: tuple[slice, slice], /) -> np.ndarray: ...


def to_unit_float(pixels_HWC: np.ndarray) -> np.ndarray:
    """uint8, uint16 or float pixels -> float32 in [0, 1] (integers by their full range, floats as they are)."""
    if np.issubdtype(pixels_HWC.dtype, np.integer):
        return pixels_HWC.astype(np.float32) / np.float32(np.iinfo(pixels_HWC.dtype).max)
    return pixels_HWC.astype(np.float32)


def from_unit_float(pixels_HWC: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Float pixels, clamped to [0, 1], -> `dtype`: integers rounded over their full range, floats clamped."""
    clamped = np.clip(pixels_HWC, 0.0, 1.0)
    if np.issubdtype(dtype, np.integer):
        return np.rint(clamped * np.float32(np.iinfo(dtype).max)).astype(dtype)
    return clamped.astype(dtype)


def to_grey(rgb_HWC: np.ndarray) -> np.ndarray:
    """Luma (ITU-R BT.601) [H, W, 1] of an RGB image: a grey source stays grey."""
    return (rgb_HWC @ np.array(_LUMA, rgb_HWC.dtype))[..., None]


def enlarge(pixels_HWC: np.ndarray | Cuttable, height: int, width: int, part: Rect | None = None) -> np.ndarray:
    """Enlarge by Lanczos to `height` x `width` pixels, or only the rectangle `part` of that result.

    Args:
        pixels_HWC: uint8, uint16 or float32 image, any number of channels; what is needed for `part` is taken of it.
        height, width: size of the whole result.
        part: rectangle of the result in its pixels; equal to cutting it out of the whole result, without making that.

    Returns:
        float32 [part height, part width, C] in [0, 1].
    """
    part = part or Rect(0, 0, height, width)
    source_height, source_width, channels = pixels_HWC.shape
    down, across = source_height / height, source_width / width
    if (height, width) == (source_height, source_width):
        return np.ascontiguousarray(to_unit_float(pixels_HWC[part.slices]))
    # Pillow's filter reads beyond the box as far as the image goes, so cut a margin around it: 3 source pixels is Lanczos's
    # reach when enlarging, more when reducing.
    margin = int(np.ceil(3 * max(1.0, down, across))) + 1
    top, left = max(0, int(part.top * down) - margin), max(0, int(part.left * across) - margin)
    bottom = min(source_height, int(np.ceil(part.bottom * down)) + margin)
    right = min(source_width, int(np.ceil(part.right * across)) + margin)
    box = (part.left * across - left, part.top * down - top, part.right * across - left, part.bottom * down - top)
    cut = to_unit_float(pixels_HWC[top:bottom, left:right])
    result = np.empty((part.height, part.width, channels), np.float32)
    for channel in range(channels):
        plane = Image.fromarray(np.ascontiguousarray(cut[..., channel]))
        limits = (0.0, 0.0, float(plane.width), float(plane.height))
        clipped = (max(box[0], 0.0), max(box[1], 0.0), min(box[2], limits[2]), min(box[3], limits[3]))
        enlarged = plane.resize((part.width, part.height), Image.Resampling.LANCZOS, box=clipped)
        result[..., channel] = np.asarray(enlarged)
    return np.clip(result, 0.0, 1.0, out=result)
