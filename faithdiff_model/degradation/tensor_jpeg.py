"""What JPEG does to pixels, on batches of tensors: colour space, 4:2:0 chroma, DCT of 8 x 8 blocks, rounding by the tables."""

from __future__ import annotations

from functools import cache
from math import cos, pi, sqrt

import torch
from torch.nn import functional

# The example tables of the standard (ITU-T T.81, annex K.1), which libjpeg scales by its quality.
_LUMINANCE = (
    (16, 11, 10, 16, 24, 40, 51, 61),
    (12, 12, 14, 19, 26, 58, 60, 55),
    (14, 13, 16, 24, 40, 57, 69, 56),
    (14, 17, 22, 29, 51, 87, 80, 62),
    (18, 22, 37, 56, 68, 109, 103, 77),
    (24, 35, 55, 64, 81, 104, 113, 92),
    (49, 64, 78, 87, 103, 121, 120, 101),
    (72, 92, 95, 98, 112, 100, 103, 99),
)
_CHROMINANCE = (
    (17, 18, 24, 47, 99, 99, 99, 99),
    (18, 21, 26, 66, 99, 99, 99, 99),
    (24, 26, 56, 99, 99, 99, 99, 99),
    (47, 66, 99, 99, 99, 99, 99, 99),
    *((99,) * 8,) * 4,
)
# From RGB to Y, Cb and Cr of JFIF, all of 0 to 255; the two differences are then centred at 128.
_TO_YCC = ((0.299, 0.587, 0.114), (-0.168736, -0.331264, 0.5), (0.5, -0.418688, -0.081312))
_TO_RGB = ((1.0, 0.0, 1.402), (1.0, -0.344136, -0.714136), (1.0, 1.772, 0.0))


def tensor_jpeg(images_BCHW: torch.Tensor, qualities_B: torch.Tensor) -> torch.Tensor:
    """Images as a JPEG round trip leaves them, within rounding; gradients do not pass.

    Args:
        images_BCHW: float32 [B, 3, H, W] in 0 to 1, RGB.
        qualities_B: whole numbers [B], 1 to 100, of libjpeg, on the same device.

    Returns:
        float32 [B, 3, H, W], multiples of 1/255 in 0 to 1.

    Raises:
        ValueError: not one quality for each image.
    """
    if qualities_B.shape != images_BCHW.shape[:1]:
        raise ValueError(f"{tuple(qualities_B.shape)} qualities for {len(images_BCHW)} images: give one for each")
    height, width = images_BCHW.shape[2:]
    levels = (images_BCHW.detach().clamp(0, 1) * 255).round()
    # Sides are filled up to whole blocks of the halved chroma by repeating the last row and column.
    levels = functional.pad(levels, (0, -width % 16, 0, -height % 16), mode="replicate")
    # Centred at 0 as the standard wants it: luma loses 128, and the differences are left where they are.
    ycc = _mix(levels, _TO_YCC) - levels.new_tensor([128, 0, 0])[None, :, None, None]
    luma = _quantise(ycc[:, :1], _LUMINANCE, qualities_B)
    chroma = _quantise(functional.avg_pool2d(ycc[:, 1:], 2), _CHROMINANCE, qualities_B)
    chroma = functional.interpolate(chroma, scale_factor=2, mode="bilinear", align_corners=False)
    rgb = _mix(torch.cat([luma + 128, chroma], 1), _TO_RGB)
    return rgb[:, :, :height, :width].round().clamp(0, 255) / 255


def _mix(images_BCHW: torch.Tensor, matrix: tuple[tuple[float, ...], ...]) -> torch.Tensor:
    """Channels multiplied by a matrix."""
    return torch.einsum("oc,bchw->bohw", images_BCHW.new_tensor(matrix), images_BCHW)


def _quantise(planes_BCHW: torch.Tensor, table: tuple[tuple[int, ...], ...], qualities_B: torch.Tensor) -> torch.Tensor:
    """Planes in -128 to 127, their blocks' frequencies rounded to multiples of the table, and back."""
    batch, channels, height, width = planes_BCHW.shape
    blocks = planes_BCHW.round().reshape(batch, channels, height // 8, 8, width // 8, 8).transpose(3, 4)
    dct = _dct().to(planes_BCHW.device)
    steps = _scaled(planes_BCHW.new_tensor(table), qualities_B)[:, None, None, None]
    frequencies = ((dct @ blocks @ dct.T) / steps).round() * steps
    blocks = (dct.T @ frequencies @ dct).round().clamp(-128, 127)
    return blocks.transpose(3, 4).reshape(planes_BCHW.shape)


def _scaled(table: torch.Tensor, qualities_B: torch.Tensor) -> torch.Tensor:
    """The table [8, 8] for each quality, [B, 8, 8], as libjpeg scales it: in whole percent, within a byte."""
    quality = qualities_B.to(table.dtype)
    percent = torch.where(quality < 50, (5000 / quality).floor(), 200 - 2 * quality)
    return ((table * percent[:, None, None] + 50) / 100).floor().clamp(1, 255)


@cache
def _dct() -> torch.Tensor:
    """The orthonormal DCT-II of 8 values, [8, 8], on the CPU."""
    return torch.tensor(
        [
            [sqrt((1 if row == 0 else 2) / 8) * cos(pi * (2 * column + 1) * row / 16) for column in range(8)]
            for row in range(8)
        ]
    )
