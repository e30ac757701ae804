"""What small networks beside the restorer are built of: residual blocks without normalisation, and weights to begin with."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["ResidualBlock", "start_weights"]


class ResidualBlock(nn.Module):
    """`x + conv(relu(conv(x)))`."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(width, width, 3, padding=1)
        self.second = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.second(functional.relu(self.first(x)))


def start_weights(network: nn.Module, last: nn.Conv2d, *, small: float, bias: float) -> None:
    """Weights to begin with, in place: convolutions are as strong out as in (He et al., 2015), and weak where blocks end.

    Args:
        network: of convolutions with biases.
        last: the one that predicts.
        small: by what the weights of blocks' ends and of `last` are multiplied.
        bias: what `last` predicts everywhere, about.
    """
    for name, layer in network.named_modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            assert layer.bias is not None
            nn.init.zeros_(layer.bias)
            if name.endswith("second") or layer is last:
                with torch.no_grad():
                    layer.weight.mul_(small)
    assert last.bias is not None
    nn.init.constant_(last.bias, bias)
