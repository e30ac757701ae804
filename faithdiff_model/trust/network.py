"""The error network: how far a result is likely to be off, cell by cell, from the scan and the result beside each other.

The picture is unshuffled by four, so that the first convolution sees every pixel at the price of a picture a quarter as wide;
most of the work is done at an eighth. What says most, how much stands out and how much was changed, is given as logarithms of
energies, since what comes out is a logarithm as well.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from faithdiff_model.network.residual import ResidualBlock, start_weights
from faithdiff_model.trust.shipped import CELL

MULTIPLE = 16  # sides of the network's input are multiples of this many pixels
_ENERGIES = 8
_LEAST = 1e-3  # added to energies before their logarithm: a quarter of a level of 255
_LUMA = (0.299, 0.587, 0.114)


@dataclass(frozen=True, kw_only=True)
class ErrorConfig:
    """Widths and depths of the network.

    Attributes:
        fine, middle, coarse: channels at a quarter, an eighth and a sixteenth of the picture's size.
        depth: residual blocks at an eighth, half of them before and half after the coarsest.
        coarse_depth: residual blocks at a sixteenth.
    """

    fine: int = 24
    middle: int = 40
    coarse: int = 64
    depth: int = 4
    coarse_depth: int = 3


class ErrorNetwork(nn.Module):
    """Logarithm of the scale of a Laplace distribution of the result's error."""

    def __init__(self, config: ErrorConfig) -> None:
        super().__init__()
        self.config = config
        self.enter = nn.Conv2d(96, config.fine, 3, padding=1)
        self.shrink = nn.Conv2d(config.fine, config.middle - _ENERGIES, 2, stride=2)
        before = config.depth // 2
        self.before = nn.Sequential(*(ResidualBlock(config.middle) for _ in range(before)))
        self.down = nn.Conv2d(config.middle, config.coarse, 2, stride=2)
        self.coarse = nn.Sequential(*(ResidualBlock(config.coarse) for _ in range(config.coarse_depth)))
        self.up = nn.Conv2d(config.coarse, 4 * config.middle, 1)
        self.after = nn.Sequential(*(ResidualBlock(config.middle) for _ in range(config.depth - before)))
        self.leave = nn.Conv2d(config.middle, 1, 1)
        start_weights(self, self.leave, small=0.2, bias=-3.5)  # an error of some 3% everywhere

    def forward(self, scan_BCHW: Tensor, result_BCHW: Tensor) -> Tensor:
        """Predict the error.

        Args:
            scan_BCHW: the enlarged scan, [B, 3, H, W] in [0, 1], sides multiples of `MULTIPLE`.
            result_BCHW: what was made of it, likewise.

        Returns:
            Natural logarithm of the expected absolute error as a share of white, [B, H / CELL, W / CELL].
        """
        change = result_BCHW - scan_BCHW
        seen = torch.cat([2 * result_BCHW - 1, 8 * change], dim=1)
        x = functional.relu(self.enter(functional.pixel_unshuffle(seen, 4)))
        x = torch.cat([functional.relu(self.shrink(x)), energies(scan_BCHW, result_BCHW)], dim=1)
        x = self.before(x)
        coarse = self.coarse(functional.relu(self.down(x)))
        x = self.after(functional.relu(x + functional.pixel_shuffle(self.up(coarse), 2)))
        return self.leave(functional.relu(x))[:, 0]


def energies(scan_BCHW: Tensor, result_BCHW: Tensor) -> Tensor:
    """What each cell is known by: lightness, and logarithms of how much stands out and how much was changed.

    Args:
        scan_BCHW, result_BCHW: as the network takes them.

    Returns:
        [B, 8, H / CELL, W / CELL], each about 0 with a deviation of about 1.
    """
    luma = result_BCHW.new_tensor(_LUMA).view(1, 3, 1, 1)
    scan, result = ((image * luma).sum(dim=1, keepdim=True) for image in (scan_BCHW, result_BCHW))
    colours = result_BCHW.amax(dim=1, keepdim=True) - result_BCHW.amin(dim=1, keepdim=True)
    amounts = [(result - scan).abs(), *_steps(result), *_steps(scan), (scan - _blurred(scan)).abs()]
    logs = [(functional.avg_pool2d(each, CELL) + _LEAST).log() * 0.6 + 2.4 for each in amounts]
    plain = [functional.avg_pool2d(each, CELL) for each in (2 * result - 1, 2 * colours)]
    return torch.cat([*plain, *logs], dim=1)


def _steps(image_B1HW: Tensor) -> tuple[Tensor, Tensor]:
    """How far pixels differ from those one and four to the right and below, absolutely, of the image's size."""
    found = []
    for apart in (1, 4):
        padded = functional.pad(image_B1HW, (0, apart, 0, apart), mode="replicate")
        height, width = image_B1HW.shape[2:]
        across = (padded[..., :height, apart:] - image_B1HW).abs()
        found.append(across + (padded[..., apart:, :width] - image_B1HW).abs())
    return found[0], found[1]


def _blurred(image_B1HW: Tensor) -> Tensor:
    """Means of 3 x 3 pixels."""
    return functional.avg_pool2d(functional.pad(image_B1HW, (1, 1, 1, 1), mode="replicate"), 3, 1)
