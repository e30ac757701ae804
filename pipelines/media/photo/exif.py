"""The two EXIF values that matter to pixels: which way is up, and the resolution."""

from __future__ import annotations

import struct

import numpy as np

from pipelines.errors import ItemError
from pipelines.media.photo.header import usable_dpi
from pipelines.media.photo.ifd import Ifd, first_ifd, read_ifd

__all__ = ["dpi_of", "orientation_of", "read_exif", "upright"]

_ORIENTATION, _X_RESOLUTION, _Y_RESOLUTION, _RESOLUTION_UNIT = 274, 282, 283, 296


def orientation_of(ifd: Ifd) -> int:
    """EXIF orientation 1 to 8; 1 when absent or out of range."""
    value = ifd.number(_ORIENTATION, 1)
    return value if 1 <= value <= 8 else 1


def dpi_of(ifd: Ifd) -> tuple[float, float] | None:
    """Pixels an inch (horizontal, vertical); None when absent or without a unit."""
    unit = ifd.number(_RESOLUTION_UNIT, 2)  # 2 (inch) is the standard's default
    if unit not in (2, 3):
        return None
    scale = 2.54 if unit == 3 else 1.0  # 3: pixels a centimetre
    return usable_dpi(ifd.fraction(_X_RESOLUTION) * scale, ifd.fraction(_Y_RESOLUTION) * scale)


def read_exif(block: bytes | None) -> tuple[int, tuple[float, float] | None, tuple[str, ...]]:
    """Orientation (1 to 8), dpi and warnings of an EXIF block; a broken block is a warning, never an error.

    Args:
        block: a TIFF structure, with or without the leading "Exif" marker of JPEG; None for no EXIF.
    """
    if not block:
        return 1, None, ()
    block = block.removeprefix(b"Exif\0\0")
    try:
        offset, big, order = first_ifd(block)
        ifd = read_ifd(block, offset, big, order)
        return orientation_of(ifd), dpi_of(ifd), ()
    except (ItemError, struct.error):
        return 1, None, ("the EXIF block is damaged: orientation and resolution are not known",)


def upright(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """Pixels turned the way the EXIF orientation asks for.

    Args:
        pixels: HWC, any type.
        orientation: 1 to 8, as EXIF defines them.

    Returns:
        HWC, C-contiguous, sides swapped for 5 to 8.
    """
    if orientation in (5, 6, 7, 8):
        pixels = pixels.transpose(1, 0, 2)
    # What is still to flip after the transposition, as (rows, columns).
    rows, columns = {2: (0, 1), 3: (1, 1), 4: (1, 0), 6: (0, 1), 7: (1, 1), 8: (1, 0)}.get(orientation, (0, 0))
    return np.ascontiguousarray(pixels[:: -1 if rows else 1, :: -1 if columns else 1])
