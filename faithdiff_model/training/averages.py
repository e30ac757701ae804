"""What the trainings of the small networks beside the restorer share: a rate by the clock, and averaged weights."""

from __future__ import annotations

import math

import torch
from torch import nn

__all__ = ["follow_average", "rise_and_fall"]

_RISE = 0.02  # of the time


def rise_and_fall(share: float) -> float:
    """The learning rate after a share of the time (0 to 1), as a share of its height: a short rise, times a cosine to 0."""
    return min(1.0, share / _RISE) * 0.5 * (1 + math.cos(math.pi * min(share, 1.0)))


@torch.no_grad()
def follow_average(average: nn.Module, network: nn.Module, decay: float, step: int) -> None:
    """Move averaged weights and statistics toward the network's; faster in the first steps.

    Args:
        average: moved in place.
        network: of the same parts.
        decay: of the averages, 0 to below 1.
        step: steps that were made, 1 or more.
    """
    decay = min(decay, (1 + step) / (10 + step))
    for mean, new in zip(average.state_dict().values(), network.state_dict().values(), strict=True):
        if mean.is_floating_point():
            mean.lerp_(new, 1 - decay)
