"""A UNet of plain convolutions, for a network that restores in one step: no normalisation, ReLU, a bias from the timestep.

Without normalisation SiLU stays where it is nearly linear, and the network learns next to nothing beyond a linear filter; ReLU
does not (nano model card). It stands where diffusers' UNet stands and is called like it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

_TIME_CHANNELS = 64
_START = 0.1  # of a block's last convolution: a deep network begins near the identity


def timestep_sines(timesteps_B: Tensor, channels: int) -> Tensor:
    """Sines, then cosines, of timesteps [B] at falling frequencies, from 1 to 1/10,000: [B, channels], float32.

    What diffusers' `get_timestep_embedding` gives (Ho et al., 2020), which takes seconds to import. `channels` is even.
    """
    half = channels // 2
    places = torch.arange(half, dtype=torch.float32, device=timesteps_B.device)
    angles = timesteps_B[:, None].float() * torch.exp(-math.log(10_000) * places / (half - 1))
    return torch.cat([angles.sin(), angles.cos()], dim=-1)


@dataclass(frozen=True)
class _Facts:
    """What is asked of diffusers' UNet configuration."""

    in_channels: int
    out_channels: int
    block_out_channels: tuple[int, ...]


class ConvBlock(nn.Module):
    """`x + conv(relu(conv(x) + t))` on [B, C, h, w]; `t` [B, C, 1, 1] from the timestep's features, if there are any."""

    def __init__(self, channels: int, time_channels: int = 0) -> None:
        super().__init__()
        self.conv_in = nn.Conv2d(channels, channels, 3, padding=1)
        self.time = nn.Linear(time_channels, channels) if time_channels else None
        self.conv_out = nn.Conv2d(channels, channels, 3, padding=1)
        with torch.no_grad():
            self.conv_out.weight.mul_(_START)

    def forward(self, features_BChw: Tensor, time_BC: Tensor | None = None) -> Tensor:
        hidden = self.conv_in(features_BChw)
        if self.time is not None and time_BC is not None:
            hidden = hidden + self.time(time_BC)[:, :, None, None]
        return features_BChw + self.conv_out(functional.relu(hidden))


class ConvUNet(nn.Module):
    """Aligned features [B, widths[0], h, w] -> a change of the latents [B, latent_channels, h, w], of any size.

    Args:
        latent_channels: of the result.
        widths: channels at each size, each half as large as the one before.
        blocks: at each size, on the way down and (but the smallest) again on the way up.
    """

    def __init__(self, *, latent_channels: int, widths: tuple[int, ...], blocks: tuple[int, ...]) -> None:
        super().__init__()
        self.config = _Facts(widths[0], latent_channels, widths)
        self.conv_in: nn.Module = nn.Identity()  # the alignment has it
        self.time = nn.Sequential(nn.Linear(_TIME_CHANNELS, _TIME_CHANNELS), nn.ReLU())

        def stack(width: int, count: int) -> nn.ModuleList:
            return nn.ModuleList(ConvBlock(width, _TIME_CHANNELS) for _ in range(count))

        smaller = list(pairwise(widths))
        self.down_blocks = nn.ModuleList(stack(*each) for each in zip(widths[:-1], blocks[:-1], strict=True))
        self.down = nn.ModuleList(nn.Conv2d(wide, deep, 2, stride=2) for wide, deep in smaller)
        self.mid_block = stack(widths[-1], blocks[-1])
        self.up = nn.ModuleList(nn.Conv2d(deep, 4 * wide, 1) for wide, deep in reversed(smaller))
        self.up_blocks = nn.ModuleList(
            stack(*each) for each in zip(reversed(widths[:-1]), reversed(blocks[:-1]), strict=True)
        )
        self.conv_out = nn.Conv2d(widths[0], latent_channels, 3, padding=1)
        with torch.no_grad():
            self.conv_out.weight.mul_(_START)
            assert self.conv_out.bias is not None
            self.conv_out.bias.zero_()

    def forward(self, sample: Tensor, timestep: Tensor | float, **_text: Any) -> tuple[Tensor]:
        """The change, as the first of a tuple. What else diffusers' UNet is given (text, sizes) has no meaning here."""
        given = torch.as_tensor(timestep, device=sample.device).reshape(-1)
        sines = timestep_sines(given, _TIME_CHANNELS).to(sample.dtype)
        time = self.time(sines).expand(sample.shape[0], -1)
        height, width = sample.shape[-2:]
        step = 2 ** len(self.down)
        below, right = -height % step, -width % step
        features = functional.pad(sample, (0, right, 0, below), mode="replicate") if below or right else sample
        kept = []
        for stack, down in zip(self.down_blocks, self.down, strict=True):
            for block in cast(nn.ModuleList, stack):
                features = block(features, time)
            kept.append(features)
            features = down(features)
        for block in self.mid_block:
            features = block(features, time)
        for up, stack in zip(self.up, self.up_blocks, strict=True):
            features = functional.pixel_shuffle(up(features), 2) + kept.pop()
            for block in cast(nn.ModuleList, stack):
                features = block(features, time)
        return (self.conv_out(features)[..., :height, :width],)


class OutputHead(nn.Module):
    """A change of the decoded image [B, 3, H, W] at full size, so that the codec's blocks do not show at their borders."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv_in = nn.Conv2d(3, channels, 3, padding=1)
        self.conv_mid = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv_out = nn.Conv2d(channels, 3, 3, padding=1)
        with torch.no_grad():
            self.conv_out.weight.mul_(_START)
            assert self.conv_out.bias is not None
            self.conv_out.bias.zero_()

    def forward(self, image_BCHW: Tensor) -> Tensor:
        hidden = functional.relu(self.conv_in(image_BCHW))
        return image_BCHW + self.conv_out(functional.relu(self.conv_mid(hidden)))
