"""Masks of damage as files: PNG of one bit a pixel, white where the scan is damaged."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image, PngImagePlugin

__all__ = ["read_mask", "write_mask"]


def write_mask(mask: np.ndarray) -> bytes:
    """A mask, bool [H, W], as a PNG file; the same mask gives the same bytes."""
    file = io.BytesIO()
    Image.fromarray(mask).save(file, "PNG")
    return file.getvalue()


def read_mask(data: bytes) -> np.ndarray:
    """The mask, bool [H, W], of a file of `write_mask`. Raises what Pillow raises for any other."""
    # Not `Image.open`: it refuses masks of scans that are large and genuine.
    return np.asarray(PngImagePlugin.PngImageFile(io.BytesIO(data)).convert("1"))
