"""Samples of CMYK and Lab as sRGB, in the depth that they came in."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import imagecodecs
import numpy as np
from PIL import ImageCms

from pipelines.media.photo.colour_profile import colour_space_of, description

__all__ = ["bands", "cmyk_to_srgb", "lab_to_srgb"]

_BAND = 1 << 20  # samples converted at a time: conversions need several copies of 8 bytes a sample


def bands(samples: np.ndarray) -> Iterator[slice]:
    """Rows of an image [H, W, C], some at a time."""
    step = max(1, _BAND // max(1, samples[0].size))
    for top in range(0, len(samples), step):
        yield slice(top, top + step)


def cmyk_to_srgb(ink: np.ndarray, profile: bytes | None) -> tuple[np.ndarray, str]:
    """Ink as sRGB.

    Args:
        ink: HW4, uint8 or uint16; 0 is no ink, the largest number all of it.
        profile: the embedded profile, used when it is one of CMYK.

    Returns:
        (HW3 of the same type, a line that says how it was converted).
    """
    if profile is None or colour_space_of(profile) != b"CMYK":
        return _plain_rgb(ink), "CMYK was converted to RGB without a profile: colours are approximate"
    try:
        converted = _through(ink, profile, "cmyk")
    except RuntimeError:
        note = "CMYK was converted to RGB without a profile: the embedded one is damaged, so colours are approximate"
        return _plain_rgb(ink), note
    return converted, f"CMYK was converted to sRGB through its profile ({description(profile)})"


def _plain_rgb(ink: np.ndarray) -> np.ndarray:
    top = int(np.iinfo(ink.dtype).max)
    rgb = np.empty((*ink.shape[:2], 3), ink.dtype)
    for rows in bands(ink):
        light = top - ink[rows].astype(np.int64)
        rgb[rows] = (light[..., :3] * light[..., 3:] + top // 2) // top
    return rgb


def lab_to_srgb(lab: np.ndarray, *, signed: bool) -> tuple[np.ndarray, str]:
    """CIE L*a*b* (D50) as sRGB.

    Args:
        lab: HW3, uint8 or uint16, as TIFF keeps it.
        signed: a and b are two's complement (TIFF's CIELab); else half the range is added to them, and 16 bits are those of
            version 2 profiles, where 65,280 is white (ICCLab).

    Returns:
        (HW3 of the same type, a line that says how it was converted).
    """
    profile = _profiles()[0]
    if lab.dtype == np.uint8:
        lab = lab ^ np.array([0, 0x80, 0x80], np.uint8) if signed else lab
        return _through(lab, profile, "lab"), "Lab was converted to sRGB"
    return _through(_version_4(lab, signed), profile, "lab"), "Lab was converted to sRGB"


def _version_4(lab: np.ndarray, signed: bool) -> np.ndarray:
    """16-bit Lab as version 4 profiles have it: 65,535 is white, a and b count 257 a unit from -128 on."""
    result = np.empty_like(lab)
    for rows in bands(lab):
        light, units = lab[rows, :, :1].astype(np.float64), lab[rows, :, 1:]
        if signed:
            units = units.view(np.int16) / 256 + 128
        else:
            light, units = light * (65535 / 65280), units / 256
        scaled = np.concatenate([light, units * 257], axis=2)
        result[rows] = np.rint(scaled).clip(0, 65535)
    return result


@cache
def _profiles() -> tuple[bytes, bytes]:
    """Those of Lab and of sRGB."""
    lab, srgb = (ImageCms.ImageCmsProfile(ImageCms.createProfile(name)).tobytes() for name in ("LAB", "sRGB"))
    return lab, srgb


def _through(pixels: np.ndarray, profile: bytes, space: str) -> np.ndarray:
    # Relative colorimetric with black point compensation: what photographs are usually converted with.
    return imagecodecs.cms_transform(
        np.ascontiguousarray(pixels),
        profile,
        _profiles()[1],
        colorspace=space,
        outcolorspace="rgb",
        outdtype=pixels.dtype,
        intent=imagecodecs.CMS.INTENT.RELATIVE_COLORIMETRIC,
        flags=imagecodecs.CMS.FLAGS.BLACKPOINTCOMPENSATION,
    )
