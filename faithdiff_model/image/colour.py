"""Colour fixes: carry the LQ photograph's colours over to the restored one (the reference's AdaIN and wavelet fixes).

Images are float32 tensors [C, H, W] in [0, 1]; results are not clamped.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from faithdiff_model.image.colour_statistics import Colour, ColourStatistics

__all__ = ["adain", "wavelet", "with_colour"]

WAVELET_LEVELS = 5  # blurs of radius 1, 2, 4, 8 and 16 in turn: a pixel sees 31 pixels far


def with_colour(image_HWC: Tensor, colour: Colour) -> Tensor:
    """An image [H, W, 3] over [0, 1] with a gain and an offset for each channel, clamped."""
    gain, offset = (torch.tensor(values, dtype=image_HWC.dtype) for values in colour)
    return (image_HWC * gain + offset).clamp(0, 1)


def adain(restored_CHW: Tensor, restored: ColourStatistics, lq: ColourStatistics) -> Tensor:
    """Give each channel the mean and deviation that it has in the LQ photograph.

    Args:
        restored_CHW: the restored image, or a part of it.
        restored: statistics of the whole restored image.
        lq: statistics of the whole LQ image.
    """
    gain, offset = (torch.from_numpy(values).to(restored_CHW) for values in restored.transfer_to(lq))
    return restored_CHW * gain[:, None, None] + offset[:, None, None]


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
