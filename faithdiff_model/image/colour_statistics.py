"""Colour statistics that add up: what AdaIN needs to know of an image, gathered tile by tile."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

__all__ = ["Colour", "ColourStatistics"]

# Gain and offset of each of three channels, over [0, 1].
Colour = tuple[tuple[float, float, float], tuple[float, float, float]]

_FLAT = 1e-5  # added to variances, as in the reference: a flat channel stays finite


@dataclass(frozen=True)
class ColourStatistics:
    """Per channel: pixel count, sum and sum of squares in float64. Those of tiles add up to those of the image."""

    count: int
    total: tuple[float, ...]
    squares: tuple[float, ...]

    @classmethod
    def of(cls, image_CHW: np.ndarray) -> ColourStatistics:
        """Statistics of an image [C, H, W] in [0, 1], or of a part of one."""
        flat = image_CHW.reshape(image_CHW.shape[0], -1).astype(np.float64)
        return cls(flat.shape[1], tuple(flat.sum(1).tolist()), tuple((flat * flat).sum(1).tolist()))

    def __add__(self, other: ColourStatistics) -> ColourStatistics:
        return ColourStatistics(
            self.count + other.count,
            tuple(a + b for a, b in zip(self.total, other.total, strict=True)),
            tuple(a + b for a, b in zip(self.squares, other.squares, strict=True)),
        )

    def mean_and_deviation(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation of each channel, float64 [C]."""
        mean = np.array(self.total) / self.count
        spread = np.maximum(np.array(self.squares) - self.count * mean * mean, 0)
        return mean, np.sqrt(spread / max(1, self.count - 1) + _FLAT)

    def transfer_to(self, other: ColourStatistics) -> tuple[np.ndarray, np.ndarray]:
        """Gain and offset [C] that give values with these statistics the mean and deviation of `other` (AdaIN)."""
        mean, deviation = self.mean_and_deviation()
        other_mean, other_deviation = other.mean_and_deviation()
        gain = other_deviation / deviation
        return gain, other_mean - mean * gain
