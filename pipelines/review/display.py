"""Pixels of any photograph as a screen shows them: 8 bits, sRGB, on white."""

from __future__ import annotations

import io

import imagecodecs
import numpy as np
from PIL import Image

from pipelines.media.photo.colour_convert import bands
from pipelines.media.photo.encode import on_white, to_8_bits

__all__ = ["displayed", "to_jpeg", "to_png"]

_QUALITY = 90
_THUMB_QUALITY = 82


def displayed(pixels_HWC: np.ndarray, icc_profile: bytes | None) -> np.ndarray:
    """Pixels for a screen.

    Args:
        pixels_HWC: uint8 or uint16, full range, C 1 to 4: grey, grey + alpha, RGB, RGB + alpha.
        icc_profile: the one that they are in; None for sRGB and plain grey.

    Returns:
        HWC, uint8, sRGB, C 1 or 3. Colours of a profile that cannot be used stay as they are.
    """
    height, width = pixels_HWC.shape[:2]
    grey = pixels_HWC.shape[2] < 3
    shown = np.empty((height, width, 1 if grey and not icc_profile else 3), np.uint8)
    for rows in bands(pixels_HWC):  # conversions need several copies
        part = on_white(pixels_HWC[rows])
        shown[rows] = _srgb(part, icc_profile) if icc_profile else to_8_bits(part)
    return shown


def _srgb(part: np.ndarray, icc_profile: bytes) -> np.ndarray:
    """A band of grey or RGB through its profile; of 16 bits before they are rounded to 8."""
    grey = part.shape[2] == 1
    try:
        converted = imagecodecs.cms_transform(
            np.ascontiguousarray(part[..., 0] if grey else part),
            icc_profile,
            imagecodecs.cms_profile("srgb"),
            colorspace="gray" if grey else "rgb",
            outcolorspace="rgb",
            outdtype=part.dtype,
            intent=imagecodecs.CMS.INTENT.RELATIVE_COLORIMETRIC,
            flags=imagecodecs.CMS.FLAGS.BLACKPOINTCOMPENSATION,
        )
    except (RuntimeError, ValueError):
        converted = np.broadcast_to(part, (*part.shape[:2], 3))
    return to_8_bits(converted)


def to_png(pixels_HWC: np.ndarray) -> bytes:
    """A PNG file of uint8 pixels, C 1, 3 or 4, packed quickly: it travels within one machine."""
    return _saved(pixels_HWC, "PNG", compress_level=1)


def to_jpeg(pixels_HWC: np.ndarray, *, thumb: bool = False) -> bytes:
    """A JPEG file of uint8 pixels, C 1 or 3, without chroma subsampling but for thumbnails."""
    options = {"quality": _THUMB_QUALITY} if thumb else {"quality": _QUALITY, "subsampling": "4:4:4"}
    return _saved(pixels_HWC, "JPEG", **options)


def _saved(pixels_HWC: np.ndarray, format: str, **options: object) -> bytes:
    file = io.BytesIO()
    plain = pixels_HWC[..., 0] if pixels_HWC.shape[2] == 1 else pixels_HWC
    Image.fromarray(np.ascontiguousarray(plain)).save(file, format, **options)
    return file.getvalue()
