"""Maps of trust as files: grey PNG, a pixel a cell of the result, the brighter the further it may be off."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image, PngImagePlugin

__all__ = ["UNIT", "pooled", "pooling", "read_trust_map", "write_trust_map"]

UNIT = 0.001  # of white, a level of the map; 255 is a quarter of white or more
_MOST_CELLS = 4 << 20  # of a map: that of a giant is coarser


def write_trust_map(bands: np.ndarray) -> bytes:
    """Half widths of bands as shares of white, float [h, w], as a PNG file; the same bands give the same bytes."""
    file = io.BytesIO()
    Image.fromarray(np.rint(np.clip(bands / UNIT, 0, 255)).astype(np.uint8)).save(file, "PNG")
    return file.getvalue()


def read_trust_map(data: bytes) -> np.ndarray:
    """The bands, float32 [h, w], of a file of `write_trust_map`. Raises what Pillow raises for any other."""
    # Not `Image.open`: it refuses pictures that are large and ours.
    return np.asarray(PngImagePlugin.PngImageFile(io.BytesIO(data)).convert("L"), np.float32) * np.float32(UNIT)


def pooling(height: int, width: int, cell: int) -> int:
    """How many cells a side a map joins into one, a power of two, so that it stays small.

    Args:
        height, width: of the whole result, in pixels.
        cell: pixels a side of what one band is of.
    """
    joined = 1
    while -(-height // (cell * joined)) * -(-width // (cell * joined)) > _MOST_CELLS:
        joined *= 2
    return joined


def pooled(bands: np.ndarray, joined: int) -> np.ndarray:
    """Means of `joined` x `joined` bands, of fewer at the right and lower border."""
    if joined == 1:
        return bands
    height, width = bands.shape
    padded = np.pad(bands, [(0, -side % joined) for side in (height, width)], mode="edge")
    return np.asarray(padded.reshape(-(-height // joined), joined, -(-width // joined), joined).mean(axis=(1, 3)))
