"""Curves of tone, one a channel: smooth, strictly rising, from black to black and from white to white, so that nothing clips.

A curve is kept as its slopes at evenly spaced levels. Between two of them the slope is interpolated linearly, and the curve is
the integral of the slope: a quadratic spline whose slope is never outside what its knots have.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

import numpy as np

from faithdiff_model.image.resize import from_unit_float, to_unit_float

__all__ = ["HIGHEST_SLOPE", "KNOTS", "LEVELS", "LOWEST_SLOPE", "ToneCurve", "values_at"]

KNOTS = 17  # levels at which a slope is kept: 0, 1/16, ..., 1
LEVELS = np.linspace(0, 1, KNOTS)
# Two of 256 levels that differ stay 25 of 65,536 apart, and noise is never amplified by more than the upper bound.
LOWEST_SLOPE, HIGHEST_SLOPE = 0.1, 4.0
_DECIMALS = 4  # of a slope as JSON; reading evens out what they leave
_TOLERANCE = 1e-3


@dataclass(frozen=True)
class ToneCurve:
    """One curve for a grey scan, three for one in colour (red, green, blue).

    Attributes:
        slopes: [1 or 3, KNOTS], between `LOWEST_SLOPE` and `HIGHEST_SLOPE`; the mean of each by the trapezoid rule is 1, which
            leads white to white.

    Raises:
        ValueError: the slopes are none of these.
    """

    slopes: tuple[tuple[float, ...], ...]

    def __post_init__(self) -> None:
        if len(self.slopes) not in (1, 3) or any(len(row) != KNOTS for row in self.slopes):
            raise ValueError(
                f"a tone curve has 1 or 3 channels of {KNOTS} slopes, not {[len(row) for row in self.slopes]}"
            )
        table = np.array(self.slopes)
        within = (table >= LOWEST_SLOPE - _TOLERANCE) & (table <= HIGHEST_SLOPE + _TOLERANCE)
        if not within.all() or np.abs(_means(table) - 1).max() > _TOLERANCE:
            raise ValueError(
                f"slopes of a tone curve lie between {LOWEST_SLOPE} and {HIGHEST_SLOPE} and their mean is 1: {self.slopes}"
            )

    @classmethod
    def of(cls, slopes_CK: np.ndarray) -> ToneCurve:
        """A curve of slopes [1 or 3, KNOTS], rounded as they are written down."""
        table = np.round(np.asarray(slopes_CK, np.float64), _DECIMALS)
        return cls(tuple(map(tuple, table.tolist())))

    @classmethod
    def identity(cls, channels: int) -> ToneCurve:
        """The curve that changes nothing, of 1 or 3 channels."""
        return cls(((1.0,) * KNOTS,) * channels)

    @classmethod
    def from_json(cls, text: str) -> ToneCurve:
        """What `to_json` wrote.

        Raises:
            ValueError: it is something else.
        """
        try:
            return cls(tuple(tuple(map(float, row)) for row in json.loads(text)["slopes"]))
        except (KeyError, TypeError) as error:
            raise ValueError(f"no tone curve: {text[:80]}") from error

    def to_json(self) -> str:
        """The slopes as JSON: all that it takes to apply the curve or to undo it."""
        return json.dumps({"slopes": self.slopes})

    @property
    def is_identity(self) -> bool:
        """Whether it changes nothing."""
        return all(slope == 1 for row in self.slopes for slope in row)

    def apply(self, pixels_HWC: np.ndarray, dtype: np.dtype) -> np.ndarray:
        """Change the tone of an image.

        Args:
            pixels_HWC: uint8 or uint16, 1 to 4 channels: grey, grey and alpha, RGB, RGB and alpha. Alpha stays.
            dtype: of the result, uint8 or uint16.

        Returns:
            [H, W, C]. No more values are 0 or the highest than plain rounding to `dtype` gives, and if two values of the source
            differ, the larger is never below the other.

        Raises:
            ValueError: the curve is of a grey scan and the image in colour, or the other way round.
        """
        channels = pixels_HWC.shape[2]
        if (colours := 1 if channels < 3 else 3) != len(self.slopes):
            raise ValueError(f"a tone curve of {len(self.slopes)} channels does not fit an image of {channels}")
        levels = np.arange(np.iinfo(pixels_HWC.dtype).max + 1).astype(pixels_HWC.dtype)
        plain = from_unit_float(to_unit_float(levels), dtype)
        result = np.empty(pixels_HWC.shape, dtype)
        for channel in range(channels):
            table = self._table(channel, plain, levels, dtype) if channel < colours else plain
            result[..., channel] = table[pixels_HWC[..., channel]]
        return result

    def _table(self, channel: int, plain: np.ndarray, levels: np.ndarray, dtype: np.dtype) -> np.ndarray:
        """The result of each level of the source, where `plain` is what it would be without a curve."""
        top = int(np.iinfo(dtype).max)
        curved = np.rint(values_at(np.array(self.slopes[channel]), levels / levels[-1]) * top)
        return np.where((plain == 0) | (plain == top), plain, np.clip(curved, 1, top - 1)).astype(dtype)

    def undo(self, pixels_HWC: np.ndarray) -> np.ndarray:
        """The tone as it was, of an image that `apply` made, up to its rounding.

        Args:
            pixels_HWC: uint8 or uint16, as many colours as the curve has; alpha stays.

        Returns:
            The same shape and type.
        """
        result = pixels_HWC.copy()
        top = np.iinfo(pixels_HWC.dtype).max
        fine = np.linspace(0, 1, 1 << 16)
        for channel, slopes in enumerate(self.slopes):
            before = np.interp(np.arange(top + 1) / top, values_at(np.array(slopes), fine), fine)
            result[..., channel] = np.rint(before * top).astype(pixels_HWC.dtype)[pixels_HWC[..., channel]]
        return result


def values_at(slopes_K: np.ndarray, values: np.ndarray) -> np.ndarray:
    """The curve of slopes [KNOTS] at values in [0, 1] of any shape: float64 in [0, 1]."""
    slopes = slopes_K / _means(slopes_K)
    steps = (slopes[:-1] + slopes[1:]) / (2 * (KNOTS - 1))
    starts = np.concatenate([[0.0], np.cumsum(steps)])
    place = np.clip(values, 0, 1) * (KNOTS - 1)
    knot = np.minimum(place.astype(np.int64), KNOTS - 2)
    along = place - knot
    rise = slopes[knot] * along + (slopes[knot + 1] - slopes[knot]) * along**2 / 2
    return np.asarray(starts[knot] + rise / (KNOTS - 1))


def _means(slopes: np.ndarray) -> np.ndarray:
    """Means over the last axis by the trapezoid rule."""
    return np.asarray((slopes.sum(-1) - (slopes[..., 0] + slopes[..., -1]) / 2) / (KNOTS - 1))
