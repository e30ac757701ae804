"""TIFF samples as a photo keeps them: grey or RGB, black is zero, at most one straight alpha, 8 or 16 bits."""

from __future__ import annotations

import math

import numpy as np

from pipelines.media.photo.colour_convert import bands, cmyk_to_srgb, lab_to_srgb
from pipelines.media.photo.tiff_pages import CMYK, ICC_LAB, LAB, RGB, WHITE_IS_ZERO, YCBCR, TiffHeader

__all__ = ["extra_samples", "straight", "to_photo_samples", "to_uint16", "widen"]

_COLOURS = {RGB: 3, YCBCR: 3, CMYK: 4, LAB: 3, ICC_LAB: 3}  # YCbCr is RGB by now
_KINDS = {"u": "integer", "i": "signed integer", "f": "floating-point"}


def to_photo_samples(samples: np.ndarray, header: TiffHeader) -> tuple[np.ndarray, bool, tuple[str, ...]]:
    """Samples as a photo keeps them.

    Args:
        samples: HWC as `read_samples` returns them.

    Returns:
        (HWC with 1 to 4 channels, uint8 for samples of up to 8 bits and uint16 for all others; whether they were converted to
        sRGB, so that the file's profile no longer describes them; warnings).
    """
    warnings: list[str] = []
    colours, has_alpha = _layout(samples, header)
    colour = samples[..., :colours]
    if header.sample_kind == "u" and header.bits <= 16:
        colour = widen(colour, header.bits)
    elif colour.dtype not in (np.uint8, np.uint16):
        colour, note = to_uint16(colour, header.bits)
        warnings.append(f"{header.bits}-bit {_KINDS[header.sample_kind]} samples were {note} 16 bits")
    top = int(np.iinfo(colour.dtype).max)
    if header.photometric == WHITE_IS_ZERO:
        colour = colour.dtype.type(top) - colour
    alpha = _alpha(samples[..., colours : colours + 1], header.bits, colour.dtype) if has_alpha else None
    if alpha is not None and header.extra[0] == 1:
        colour = straight(colour, alpha)
    converted = header.photometric in (CMYK, LAB, ICC_LAB)
    if converted:
        colour, note = _to_srgb(colour, header)
        warnings.append(note)
    photo = colour if alpha is None else np.concatenate([colour, alpha], axis=2)
    return photo, converted, tuple(warnings)


def extra_samples(samples: np.ndarray, header: TiffHeader) -> np.ndarray | None:
    """The channels beyond colour and alpha, such as a scanner's infrared one, with the samples' values.

    Args:
        samples: HWC as `read_samples` returns them.

    Returns:
        HWC, uint8 or uint16 as `to_photo_samples` makes its own; None where there are none.
    """
    extra = samples[..., sum(_layout(samples, header)) :]
    if not extra.shape[2]:
        return None
    if header.sample_kind == "u" and header.bits <= 16:
        return widen(extra, header.bits)
    return to_uint16(extra, header.bits)[0]


def _layout(samples: np.ndarray, header: TiffHeader) -> tuple[int, bool]:
    """How many channels are colours, and whether the next one is alpha."""
    colours = _COLOURS.get(header.photometric, 1)
    return colours, samples.shape[2] > colours and header.extra[:1] in ((1,), (2,))


def _to_srgb(colour: np.ndarray, header: TiffHeader) -> tuple[np.ndarray, str]:
    if header.photometric == CMYK:
        return cmyk_to_srgb(colour, header.icc_profile)
    return lab_to_srgb(np.ascontiguousarray(colour), signed=header.photometric == LAB)


def straight(colour: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Premultiplied colour divided by its alpha, both HWC uint8 or uint16; where nothing is visible any colour would do."""
    top = int(np.iinfo(colour.dtype).max)
    divided = np.empty_like(colour)
    for rows in bands(colour):
        share = np.maximum(alpha[rows], 1).astype(np.float64) / top
        divided[rows] = np.where(alpha[rows] > 0, np.minimum(np.rint(colour[rows] / share), top), 0)
    return divided


def widen(samples: np.ndarray, bits: int) -> np.ndarray:
    """Samples that use only `bits` bits, stretched to all 8 or 16 of their type; those above their range are cut off."""
    width = 8 if bits <= 8 else 16
    if bits == width:
        return samples
    most, top = 2**bits - 1, 2**width - 1
    table = ((np.arange(2**width, dtype=np.uint64).clip(0, most) * top + most // 2) // most).astype(f"u{width // 8}")
    return table[samples]


def to_uint16(samples: np.ndarray, bits: int) -> tuple[np.ndarray, str]:
    """Samples of any type and range as uint16 of the same shape, and what was done to them ("stretched from .. to").

    Args:
        samples: HWC.
        bits: of a sample as stored; unsigned numbers that use more than half of what these can hold are taken to use all of it.
    """
    parts = [(float(part.min()), float(part.max())) for part in (_finite(samples[rows]) for rows in bands(samples))]
    low, high = min(part[0] for part in parts), max(part[1] for part in parts)
    if samples.dtype.kind == "f" and low >= 0 and high <= 1:  # the convention for floating-point pictures
        start, span, note = 0.0, 1.0, "scaled from 0..1 to"
    elif samples.dtype.kind != "f" and low >= 0 and high <= 65535:
        start, span, note = 0.0, 65535.0, "kept in"
    elif samples.dtype.kind == "u" and high >= 2.0 ** (bits - 1):
        start, span, note = 0.0, 2.0**bits - 1, f"scaled from 0..{2.0**bits - 1:g} to"
    else:
        start, span, note = low, (high - low) or 1.0, f"stretched from {low:g}..{high:g} to"
    # The span of the largest numbers is itself no number: half of everything is.
    shrink = 1.0 if math.isfinite(span) else 0.5
    span = span if math.isfinite(span) else high / 2 - low / 2
    photo = np.empty(samples.shape, np.uint16)
    for rows in bands(samples):
        photo[rows] = np.rint((_finite(samples[rows]) * shrink - start * shrink) / span * 65535)
    return photo, note


def _finite(samples: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore"):  # some bits are no numbers, which the cast remarks on
        return np.nan_to_num(samples.astype(np.float64), nan=0.0, posinf=0.0, neginf=0.0)


def _alpha(alpha: np.ndarray, bits: int, dtype: np.dtype) -> np.ndarray:
    if alpha.dtype == dtype:
        return widen(alpha, bits)
    wide = np.empty(alpha.shape, np.uint16)
    top = 1.0 if alpha.dtype.kind == "f" else float(min(np.iinfo(alpha.dtype).max, 2**bits - 1))
    for rows in bands(alpha):
        wide[rows] = np.rint(np.clip(np.nan_to_num(alpha[rows].astype(np.float64)) / top, 0, 1) * 65535)
    return wide
