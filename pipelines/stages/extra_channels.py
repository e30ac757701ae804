"""Channels beyond colour and alpha through the stages: no network touches them, Lanczos enlarges them at the end."""

from __future__ import annotations

import numpy as np

from faithdiff_model.image.resize import enlarge, from_unit_float
from faithdiff_model.image.windows import Rect
from pipelines.rows import Row

__all__ = ["enlarged_extra", "extra_of", "infrared_of", "put_extra"]

# A scanner's channel has its noise. One that repeats a value in more of its pixels is a selection that somebody painted.
_MOST_ALIKE = 0.6


def put_extra(row: Row, extra_HWE: np.ndarray | None) -> None:
    """Store a photograph's extra channels, of its pixels' size and type, in its row."""
    row["extra_channels"] = None if extra_HWE is None else extra_HWE.shape[2]
    row["extra_pixels"] = None if extra_HWE is None else extra_HWE.tobytes()


def extra_of(row: Row) -> np.ndarray | None:
    """The extra channels [H, W, E] of a row, of the source's size, uint8 or uint16; None where it has none with it."""
    if not row["extra_pixels"]:
        return None
    dtype = np.dtype(np.uint16 if row["bit_depth"] == 16 else np.uint8)
    return np.frombuffer(row["extra_pixels"], dtype).reshape(row["height"], row["width"], -1)


def enlarged_extra(row: Row, upscale: int, part: Rect | None = None) -> np.ndarray | None:
    """The extra channels at the size of the result, or a rectangle of them; of their own type."""
    extra = extra_of(row)
    if extra is None:
        return None
    height, width = extra.shape[:2]
    return from_unit_float(enlarge(extra, height * upscale, width * upscale, part), extra.dtype)


def infrared_of(row: Row) -> np.ndarray | None:
    """The channel [H, W] that may be a scanner's infrared light: the first extra one, unless it is plainly no measurement."""
    extra = extra_of(row)
    if extra is None:
        return None
    plane = extra[..., 0]
    alike = int(np.bincount(plane.ravel(), minlength=2).max())
    return None if alike > _MOST_ALIKE * plane.size else np.ascontiguousarray(plane)
