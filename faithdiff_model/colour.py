"""Colour fixes: carry the LQ photograph's colours over to the restored one (the reference's AdaIN and wavelet fixes).

Images are float32 tensors [C, H, W] in [0, 1]; results are not clamped.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

ColourFix = Literal["adain", "wavelet", "none"]
COLOUR_FIXES: tuple[ColourFix, ...] = ("adain", "wavelet", "none")
WAVELET_LEVELS = 5
# Blurs of radius 1, 2, 4, 8 and 16 in turn: a pixel sees this far.
WAVELET_REACH = 2**WAVELET_LEVELS - 1


@dataclass(frozen=True)
class ColourStatistics:
    """Per channel: pixel count, sum and sum of squares in float64. Those of tiles add up to those of the image."""

    count: int
    total: tuple[float, ...]
    squares: tuple[float, ...]

    @classmethod
    def of(cls, image_CHW: Tensor) -> ColourStatistics:
        """Statistics of an image or a part of one."""
        flat = image_CHW.flatten(1).double()
        return cls(flat.shape[1], tuple(flat.sum(1).tolist()), tuple((flat * flat).sum(1).tolist()))

    def __add__(self, other: ColourStatistics) -> ColourStatistics:
        return ColourStatistics(
            self.count + other.count,
            tuple(a + b for a, b in zip(self.total, other.total, strict=True)),
            tuple(a + b for a, b in zip(self.squares, other.squares, strict=True)),
        )

    def mean_and_deviation(self) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation, [C, 1, 1] float64; 1e-5 keeps flat channels finite, as in the reference."""
        mean = torch.tensor(self.total, dtype=torch.float64) / self.count
        spread = torch.tensor(self.squares, dtype=torch.float64) - self.count * mean * mean
        deviation = (spread.clamp(min=0) / max(1, self.count - 1) + 1e-5).sqrt()
        return mean.view(-1, 1, 1), deviation.view(-1, 1, 1)


def adain(restored_CHW: Tensor, restored: ColourStatistics, lq: ColourStatistics) -> Tensor:
    """Give each channel the mean and deviation that it has in the LQ photograph.

    Args:
        restored_CHW: the restored image, or a part of it.
        restored: statistics of the whole restored image.
        lq: statistics of the whole LQ image.
    """
    mean, deviation = restored.mean_and_deviation()
    lq_mean, lq_deviation = lq.mean_and_deviation()
    gain = lq_deviation / deviation
    offset = lq_mean - mean * gain
    return restored_CHW * gain.to(restored_CHW) + offset.to(restored_CHW)


def wavelet(restored_CHW: Tensor, lq_CHW: Tensor) -> Tensor:
    """Fine detail of the restored image on the coarse colours of the LQ image."""
    return restored_CHW - _coarse(restored_CHW) + _coarse(lq_CHW)


def _coarse(image_CHW: Tensor) -> Tensor:
    """What is left after five dilated blurs (an à trous wavelet's low band)."""
    row = torch.tensor([0.25, 0.5, 0.25], dtype=image_CHW.dtype, device=image_CHW.device)
    coarse = image_CHW[:, None]  # channels as a batch: each is blurred alone
    for level in range(WAVELET_LEVELS):
        reach = 2**level
        padded = functional.pad(coarse, (reach, reach, reach, reach), mode="replicate")
        across = functional.conv2d(padded, row.view(1, 1, 1, 3), dilation=reach)
        coarse = functional.conv2d(across, row.view(1, 1, 3, 1), dilation=reach)
    return coarse[:, 0]
