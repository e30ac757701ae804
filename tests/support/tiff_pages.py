"""TIFF files of several pages for tests, written by tifffile."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
import tifffile

__all__ = ["tiff_pages"]


def tiff_pages(pages: Sequence[tuple[np.ndarray, dict[str, Any]]], **options: Any) -> bytes:
    """A TIFF file of pages [H, W, C], each with options of its own for `TiffWriter.write`."""
    file = io.BytesIO()
    with tifffile.TiffWriter(file, **options) as writer:
        for pixels, own in pages:
            channels = pixels.shape[2]
            colours = {"photometric": "rgb" if channels >= 3 else "minisblack"}
            alpha = {"extrasamples": ["unassalpha"]} if channels in (2, 4) else {}
            flat = pixels[..., 0] if channels == 1 else pixels
            writer.write(flat, **{"metadata": None, "software": False, **colours, **alpha, **own})
    return file.getvalue()
