"""Masks of damage as files: PNG of one bit a pixel, white where the scan is damaged; of several pages TIFF of the same kind."""

from __future__ import annotations

import io

import numpy as np
import tifffile
from PIL import Image, PngImagePlugin

__all__ = ["MaskPages", "read_mask", "read_masks", "write_mask"]


def write_mask(mask: np.ndarray) -> bytes:
    """A mask, bool [H, W], as a PNG file; the same mask gives the same bytes."""
    file = io.BytesIO()
    Image.fromarray(mask).save(file, "PNG")
    return file.getvalue()


def read_mask(data: bytes) -> np.ndarray:
    """The mask, bool [H, W], of a file of `write_mask`. Raises what Pillow raises for any other."""
    # Not `Image.open`: it refuses masks of scans that are large and genuine.
    return np.asarray(PngImagePlugin.PngImageFile(io.BytesIO(data)).convert("1"))


class MaskPages:
    """The masks of a file's pages, on their way into one TIFF file with a page each."""

    def __init__(self) -> None:
        self._file = io.BytesIO()
        self._writer = tifffile.TiffWriter(self._file, byteorder="<")
        self._marked = False

    def add(self, mask: bytes | None, height: int, width: int) -> None:
        """Append the mask of a page of this size: a file of `write_mask`, or None where it has no damage."""
        self._marked |= mask is not None
        pixels = np.zeros((height, width), bool) if mask is None else read_mask(mask)
        # `photometric` 1: white where a bit is set.
        self._writer.write(
            pixels,
            photometric="minisblack",
            compression="adobe_deflate",
            software=False,
            metadata=None,
            rowsperstrip=height,
        )

    def file(self) -> bytes | None:
        """The file; None where no page has a mask."""
        self._writer.close()
        return self._file.getvalue() if self._marked else None


def read_masks(data: bytes) -> list[np.ndarray]:
    """The masks, bool [H, W] each, of a file of `MaskPages`."""
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        return [page.asarray().astype(bool) for page in file.pages]
