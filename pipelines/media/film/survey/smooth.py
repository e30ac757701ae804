"""A smooth path through measurements of a shot, by robust local lines: outliers and jumps do not bend it."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

__all__ = ["smooth"]

REACH = 12  # frames before and after that a frame's line is fitted to: half a second
_ROUNDS = 3
_TUKEY = 4.685  # of the scale of residuals: the usual choice
_PLAINLY = 3.0  # times that both sides together must lie further from their line than one side does from its own


def smooth(values: np.ndarray, reach: int = REACH) -> np.ndarray:
    """Each value replaced by that of a line fitted to its neighbours.

    A line is fitted, not a mean, so that a steady rise stays what it is up to the ends; robustly, so that a flash is left out;
    and to one side alone where the two plainly do not go together, so that a lasting jump stays one.

    Args:
        values: [n, k], one shot.
        reach: frames on either side.

    Returns:
        float64 [n, k].
    """
    values = np.asarray(values, np.float64)
    result = np.empty_like(values)
    for number in range(len(values)):
        first, last = max(0, number - reach), min(len(values), number + reach + 1)
        for column in range(values.shape[1]):
            result[number, column] = _at(values[first:last, column], number - first)
    return result


def _at(values: np.ndarray, place: int) -> float:
    """The path's value at a place in a window."""
    fitted, apart = _line(values, place)
    sides = [values[: place + 1], values[place:]]
    for side, inside in zip(sides, (place, 0), strict=True):
        if len(side) > len(values) / 4 and len(side) >= 4:
            alone, own = _line(side, inside)
            if _PLAINLY * own < apart:
                fitted, apart = alone, own * _PLAINLY
    return fitted


def _line(values: np.ndarray, place: int) -> tuple[float, float]:
    """A robust line's value at a place, and how far values lie from it: by Theil and Sen, then Tukey's biweight."""
    if len(values) < 3:
        return float(values[place]), 0.0
    at = np.arange(len(values), dtype=np.float64) - place
    one, other, distance = _pairs(len(values))
    slope = float(np.median((values[other] - values[one]) / distance))
    fitted = float(np.median(values - slope * at))
    near = (1 - (np.abs(at) / (np.abs(at).max() + 1)) ** 3) ** 3
    for _ in range(_ROUNDS):
        apart = np.abs(values - fitted - slope * at)
        scale = max(float(np.median(apart)) / 0.6745, 1e-9)
        weights = near * np.clip(1 - (apart / (_TUKEY * scale)) ** 2, 0, None) ** 2
        total = weights.sum()
        if total <= 1e-9:
            break
        middle, mean = (weights * at).sum() / total, (weights * values).sum() / total
        spread = (weights * (at - middle) ** 2).sum()
        if spread > 1e-9:
            slope = float((weights * (at - middle) * (values - mean)).sum() / spread)
        fitted = float(mean - slope * middle)
    return fitted, float(np.sqrt(np.mean((values - fitted - slope * at) ** 2)))


@lru_cache(maxsize=64)
def _pairs(count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    one, other = np.triu_indices(count, 1)
    return one, other, (other - one).astype(np.float64)
