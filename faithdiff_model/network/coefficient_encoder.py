"""The LQ encoder of a network on transform coefficients: convolutions on the scan's coefficients and its damage mask."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from faithdiff_model.network.conv_unet import ConvBlock
from faithdiff_model.network.dct_codec import DCTCodec


class CoefficientEncoder(nn.Module):
    """LQ image [B, 4, H, W] -> LQ features [B, channels, H / side, W / side].

    The fourth channel is the damage mask: 1 where damage is known to be, 0 where nothing is known. It goes in as the pixels of
    each block. An image of three channels has no mask, which is a mask of zeros.

    Args:
        codec: makes the coefficients; it has no weights of its own.
        channels: of the features.
        blocks: convolution blocks behind the first convolution.
    """

    def __init__(self, codec: DCTCodec, channels: int, blocks: int) -> None:
        super().__init__()
        self.codec = codec
        self.conv_in = nn.Conv2d(codec.config.latent_channels + codec.side**2, channels, 3, padding=1)
        self.blocks = nn.ModuleList(ConvBlock(channels) for _ in range(blocks))
        # Set for training where activations are computed again instead of kept.
        self.checkpoint: Callable[..., Tensor] | None = None

    def forward(self, image_BCHW: Tensor) -> Tensor:
        latent = self.codec.encode(image_BCHW[:, :3]).mode()
        mask = image_BCHW[:, 3:] if image_BCHW.shape[1] == 4 else torch.zeros_like(image_BCHW[:, :1])
        features = self.conv_in(torch.cat([latent, functional.pixel_unshuffle(mask, self.codec.side)], dim=1))
        for block in self.blocks:
            features = block(features) if self.checkpoint is None else self.checkpoint(block, features)
        return features
