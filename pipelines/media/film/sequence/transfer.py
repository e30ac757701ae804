"""Code values of film scans to display values for the network, and back: log (Cineon) and scene-linear."""

from __future__ import annotations

from functools import lru_cache
from typing import Literal

import numpy as np

__all__ = [
    "FULL",
    "Curve",
    "from_display",
    "log_to_display",
    "log_to_linear",
    "srgb_decode",
    "srgb_encode",
    "to_display",
]

Curve = Literal["log", "linear", "none"]

LOG_BLACK, LOG_WHITE = 95, 685  # of 1023: code values of the film's base and of a white card
_DENSITY_PER_CODE, _GAMMA = 0.002, 0.6
# How fast the display curve flattens above white, in code values. Smaller leaves more of the range below white.
_SHOULDER = 60.0
FULL = 65535


def srgb_encode(linear: np.ndarray) -> np.ndarray:
    """Linear light to the sRGB curve, float; its straight part goes on below zero."""
    curved = 1.055 * np.power(np.maximum(linear, 0.0031308), 1 / 2.4) - 0.055
    return np.where(linear <= 0.0031308, 12.92 * linear, curved)


def srgb_decode(encoded: np.ndarray) -> np.ndarray:
    """The inverse of `srgb_encode`."""
    curved = np.power((np.maximum(encoded, 0.04045) + 0.055) / 1.055, 2.4)
    return np.where(encoded <= 0.04045, encoded / 12.92, curved)


def log_to_linear(codes: np.ndarray) -> np.ndarray:
    """Cineon printing density to linear light, float: 0 at code 95, 1 at code 685, about 13.5 at code 1023.

    Args:
        codes: 0 to 1023, any fraction.
    """
    step = _DENSITY_PER_CODE / _GAMMA
    offset = 10 ** ((LOG_BLACK - LOG_WHITE) * step)
    return (10 ** ((np.asarray(codes, np.float64) - LOG_WHITE) * step) - offset) / (1 - offset)


def log_to_display(codes: np.ndarray) -> np.ndarray:
    """Cineon printing density to display values, 0 to 1, strictly rising over the whole range of codes.

    Up to white the sRGB curve of the linear light, scaled so that all codes fit: black (95) lies at 0.050, white (685)
    at 0.735. Codes below black follow the straight part of that curve. Above white the curve goes on with the slope that it
    has there and flattens as a logarithm, so that highlights keep their differences: nothing is clipped.

    Args:
        codes: 0 to 1023, any fraction.
    """
    codes = np.asarray(codes, np.float64)
    ends = _log_curve(np.array([0.0, 1023.0]))
    return (_log_curve(codes) - ends[0]) / (ends[1] - ends[0])


def _log_curve(codes: np.ndarray) -> np.ndarray:
    below = srgb_encode(log_to_linear(np.minimum(codes, LOG_WHITE)))
    over = np.maximum(codes - LOG_WHITE, 0.0)
    # Slope of the sRGB curve in white, times that of the linear light there.
    offset = 10 ** ((LOG_BLACK - LOG_WHITE) * _DENSITY_PER_CODE / _GAMMA)
    slope = 1.055 / 2.4 * np.log(10) * _DENSITY_PER_CODE / _GAMMA / (1 - offset)
    return below + slope * _SHOULDER * np.log1p(over / _SHOULDER)


def to_display(codes: np.ndarray, bits: int, curve: Curve) -> np.ndarray:
    """Code values as display values over the whole range of 16 bits.

    Args:
        codes: unsigned integers below 2^bits, any shape.
        bits: 8 to 16.
        curve: that the codes are in.

    Returns:
        uint16, same shape.
    """
    return _forward(bits, curve)[codes]


def from_display(values: np.ndarray, bits: int, curve: Curve) -> np.ndarray:
    """The inverse of `to_display`: the nearest code. Exact for all codes of up to 12 bits, and of 16 bits without a curve;
    with one, codes of 16 bits come back within 1 of 65535.

    Args:
        values: uint16, any shape.
        bits: 8 to 16.
        curve: that the codes are to be in.

    Returns:
        uint16 below 2^bits, same shape.
    """
    return _inverse(bits, curve)[values]


@lru_cache(maxsize=16)
def _exact(bits: int, curve: Curve) -> np.ndarray:
    share = np.arange(1 << bits) / ((1 << bits) - 1)
    if curve == "log":
        return log_to_display(share * 1023) * FULL
    return (srgb_encode(share) if curve == "linear" else share) * FULL


@lru_cache(maxsize=16)
def _forward(bits: int, curve: Curve) -> np.ndarray:
    return np.rint(_exact(bits, curve)).astype(np.uint16)


@lru_cache(maxsize=16)
def _inverse(bits: int, curve: Curve) -> np.ndarray:
    codes = np.arange(1 << bits)
    return np.rint(np.interp(np.arange(FULL + 1), _exact(bits, curve), codes)).astype(np.uint16)
