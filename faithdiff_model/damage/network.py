"""The detector's network: a small U-Net on half-size features that says, for each pixel, how likely it belongs to damage.

Beside the picture it is given how far each pixel stands out from its surroundings (`prominence.py`). Pixel unshuffle by two
in, pixel shuffle by two out, so that marks one pixel wide are told apart at the cost of a picture half as wide. Residual blocks
with ReLU and without normalisation (training has some, folded into the weights at its end): what it says of a pixel depends on
the pixels around it alone, not on how the picture was cut.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from faithdiff_model.damage.prominence import CHANNELS
from faithdiff_model.network.residual import ResidualBlock, start_weights

FAMILIES = ("specks", "lines", "areas")  # the network's channels
_NEAR = 16  # channels of the branch at full size


@dataclass(frozen=True, kw_only=True)
class DetectorConfig:
    """Widths and depths of the network.

    Attributes:
        widths: channels at each scale, finest first; the finest is half of the picture's size, each further one half of that.
        depths: residual blocks at each scale, going down and (but for the coarsest) coming up again.
    """

    widths: tuple[int, ...] = (16, 32, 64, 96)
    depths: tuple[int, ...] = (1, 1, 1, 2)

    def __post_init__(self) -> None:
        if not self.widths or len(self.widths) != len(self.depths) or min(self.widths) < 1 or min(self.depths) < 0:
            raise ValueError(f"widths {self.widths} and depths {self.depths}: give one width and depth for each scale")

    @property
    def multiple(self) -> int:
        """Sides of the network's input are multiples of this many pixels."""
        return 2 ** len(self.widths)


class DamageNetwork(nn.Module):
    """Logits of damage by family."""

    def __init__(self, config: DetectorConfig) -> None:
        super().__init__()
        self.config = config
        widths, depths = config.widths, config.depths
        self.enter = nn.Conv2d(4 * CHANNELS, widths[0], 3, padding=1)
        self.down = nn.ModuleList(
            nn.Sequential(*(ResidualBlock(width) for _ in range(depth)))
            for width, depth in zip(widths, depths, strict=True)
        )
        self.shrink = nn.ModuleList(nn.Conv2d(fine, coarse, 2, stride=2) for fine, coarse in pairwise(widths))
        self.grow = nn.ModuleList(nn.Conv2d(coarse, 4 * fine, 1) for fine, coarse in pairwise(widths))
        self.up = nn.ModuleList(
            nn.Sequential(*(ResidualBlock(width) for _ in range(depth)))
            for width, depth in zip(widths[:-1], depths[:-1], strict=True)
        )
        self.leave = nn.Conv2d(widths[0], 4 * len(FAMILIES), 3, padding=1)
        # What stands out by itself is said at full size, without the way down and up again.
        self.near = nn.Conv2d(CHANNELS, _NEAR, 3, padding=1)
        self.judge = nn.Conv2d(_NEAR, len(FAMILIES), 1)
        start_weights(self, self.leave, small=0.3, bias=-4.0)  # damage is rare
        nn.init.zeros_(self.judge.weight)

    def forward(self, seen_BCHW: Tensor) -> Tensor:
        """Say where damage is.

        Args:
            seen_BCHW: [B, CHANNELS, H, W] of `prominence.network_input`, sides multiples of `DetectorConfig.multiple`.

        Returns:
            Logits [B, len(FAMILIES), H, W].
        """
        x = functional.relu(self.enter(functional.pixel_unshuffle(seen_BCHW, 2)))
        fine = []
        for blocks, shrink in zip(self.down, self.shrink, strict=False):
            x = blocks(x)
            fine.append(x)
            x = functional.relu(shrink(x))
        x = self.down[-1](x)
        for scale in reversed(range(len(fine))):
            x = functional.relu(fine[scale] + functional.pixel_shuffle(self.grow[scale](x), 2))
            x = self.up[scale](x)
        near = self.judge(functional.relu(self.near(seen_BCHW)))
        return functional.pixel_shuffle(self.leave(functional.relu(x)), 2) + near


class _Normed(nn.Module):
    """A convolution and the batch normalisation that training wants after it."""

    def __init__(self, convolution: nn.Conv2d) -> None:
        super().__init__()
        self.convolution = convolution
        self.norm = nn.BatchNorm2d(convolution.out_channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.convolution(x))


def with_norms(network: DamageNetwork) -> DamageNetwork:
    """Put a batch normalisation after every convolution but the last ones, in place, for training.

    Without it a network of this size spends its first thousand steps saying that damage is rare.
    """
    for parent in list(network.modules()):
        for name, child in list(parent.named_children()):
            if (
                isinstance(child, nn.Conv2d)
                and child not in (network.leave, network.judge)
                and not isinstance(parent, _Normed)
            ):
                setattr(parent, name, _Normed(child))
    return network


def without_norms(network: DamageNetwork) -> DamageNetwork:
    """The same function as a `with_norms` network in evaluation, with every normalisation folded into its convolution."""
    plain = DamageNetwork(network.config)
    state = plain.state_dict()
    for name, layer in network.named_modules():
        if isinstance(layer, _Normed):
            norm, convolution = layer.norm, layer.convolution
            mean, variance = norm.running_mean, norm.running_var
            assert mean is not None and variance is not None and convolution.bias is not None
            scale = norm.weight / torch.sqrt(variance + norm.eps)
            state[f"{name}.weight"] = (convolution.weight * scale[:, None, None, None]).detach()
            state[f"{name}.bias"] = ((convolution.bias - mean) * scale + norm.bias).detach()
    for name in ("leave", "judge"):
        layer = getattr(network, name)
        state[f"{name}.weight"], state[f"{name}.bias"] = layer.weight.detach(), layer.bias.detach()
    plain.load_state_dict(state)
    return plain
