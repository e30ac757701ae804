"""The alignment module (paper section 3.3): noisy latents and LQ features in, features for the UNet's first block out.

Layout: B rows, C channels, h x w latent pixels. A row is one window of one guidance copy.
"""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional

from faithdiff_model.network.config import AttentionMode


class LQEmbedding(nn.Module):
    """LQ features [B, 512, h, w] -> LQ embedding [B, 320, h, w]: normalise, convolve, SiLU, convolve.

    Does not see the timestep, so a restoration computes it once an image (golden README, fact 2).
    """

    def __init__(self, feature_channels: int, channels: int, norm_groups: int, rectified: bool = False) -> None:
        super().__init__()
        # Leaky: without normalisation a ReLU here died in every channel, and the scan's features with it (nano model card).
        self.activation = partial(functional.leaky_relu, negative_slope=0.1) if rectified else functional.silu
        self.norm_in = nn.GroupNorm(norm_groups, feature_channels, eps=1e-6) if norm_groups else nn.Identity()
        self.conv_in = nn.Conv2d(feature_channels, feature_channels, 3, padding=1)
        self.conv_out = nn.Conv2d(feature_channels, channels, 3, padding=1)

    def forward(self, lq_features: Tensor) -> Tensor:
        return self.conv_out(self.activation(self.conv_in(self.norm_in(lq_features))))


class AlignmentBlock(nn.Module):
    """One pre-norm transformer block with the CLIP form of GELU. Tokens [N, L, C] attend along L."""

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm_attention = nn.LayerNorm(channels)
        self.qkv = nn.Linear(channels, 3 * channels)
        self.attention_out = nn.Linear(channels, channels)
        self.norm_mlp = nn.LayerNorm(channels)
        self.mlp_in = nn.Linear(channels, 2 * channels)
        self.mlp_out = nn.Linear(2 * channels, channels)

    def forward(self, tokens_NLC: Tensor) -> Tensor:
        tokens = tokens_NLC + self._attend(self.norm_attention(tokens_NLC))
        hidden = self.mlp_in(self.norm_mlp(tokens))
        return tokens + self.mlp_out(hidden * torch.sigmoid(1.702 * hidden))

    def _attend(self, tokens_NLC: Tensor) -> Tensor:
        N, L, C = tokens_NLC.shape
        if L == 1:  # softmax over one token is 1: the attention is its value, and nobody asks for queries and keys
            value = functional.linear(tokens_NLC, self.qkv.weight[2 * C :], self.qkv.bias[2 * C :])
            return self.attention_out(value)
        query, key, value = self.qkv(tokens_NLC).view(N, L, 3, self.heads, C // self.heads).permute(2, 0, 3, 1, 4)
        attended = functional.scaled_dot_product_attention(query, key, value)
        return self.attention_out(attended.transpose(1, 2).reshape(N, L, C))


class Alignment(nn.Module):
    """Noisy latents and an LQ embedding -> aligned features, in place of the UNet's own first convolution.

    Args:
        latent_channels: channels of the noisy latent, 4.
        channels: width of the UNet's first block, 320.
        feature_channels: channels of the LQ features, 512.
        layers: transformer blocks; 0 adds the embedding to the latent features as it is (the paper's ablation).
        heads: attention heads.
        norm_groups: groups of the LQ embedding's normalisation; 0 is none.
        attention: see `AlignmentConfig`.
        rectified: leaky ReLU in the LQ embedding instead of SiLU, for features without normalisation.
    """

    def __init__(
        self,
        *,
        latent_channels: int,
        channels: int,
        feature_channels: int,
        layers: int,
        heads: int,
        norm_groups: int,
        attention: AttentionMode,
        rectified: bool = False,
    ) -> None:
        super().__init__()
        self.attention = attention
        self.conv_in = nn.Conv2d(latent_channels, channels, 3, padding=1)
        self.lq_embedding = LQEmbedding(feature_channels, channels, norm_groups, rectified)
        self.blocks = nn.ModuleList(AlignmentBlock(2 * channels, heads) for _ in range(layers))
        self.proj_out = nn.Linear(2 * channels, channels) if layers else None

    def forward(self, latent_BChw: Tensor, lq_embedding_BChw: Tensor | None, *, pair: int = 1) -> Tensor:
        """Align.

        Args:
            latent_BChw: noisy latents, scaled as the scheduler wants them.
            lq_embedding_BChw: what `lq_embedding` returned, or None to leave the UNet as plain SDXL.
            pair: rows of a guidance pair (1 or 2), for `guidance_pair` attention. Rows of one pair stand half a batch
                apart, as in `torch.cat([unconditional, conditional])`. A restoration aligns each window once: its
                two guidance copies are equal here (text comes later), and attention over equal tokens is the token's
                own value, so `pair=1` gives the same numbers for half the work.

        Returns:
            Aligned features [B, channels, h, w].
        """
        latent_features = self.conv_in(latent_BChw)
        if lq_embedding_BChw is None:
            return latent_features
        if self.proj_out is None:
            return latent_features + lq_embedding_BChw
        B, C, h, w = latent_features.shape
        tokens = torch.cat([latent_features, lq_embedding_BChw], dim=1).flatten(2).transpose(1, 2)  # [B, hw, 2C]
        joined = tokens
        if self.attention == "guidance_pair":
            # One sequence for each pixel of each pair; never across pairs (golden README, fact 1).
            joined = joined.view(pair, B // pair, h * w, 2 * C).permute(1, 2, 0, 3).reshape(-1, pair, 2 * C)
        for block in self.blocks:
            joined = block(joined)
        if self.attention == "guidance_pair":
            joined = joined.view(B // pair, h * w, pair, 2 * C).permute(2, 0, 1, 3).reshape(B, h * w, 2 * C)
        return latent_features + self.proj_out(joined).transpose(1, 2).reshape(B, C, h, w)
