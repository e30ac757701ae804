"""Photographs and a rig of known attention, for the tests of attribution."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import nn

from faithdiff_model.attribution import AttentionCollector, watch
from faithdiff_model.network.prompt_attention import cross_attention_layers
from faithdiff_model.restorer import Restorer

PROMPT = "A Dog in the grass, by the dog's house"


def picture(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random((height, width, 3), dtype=np.float32)


def collected(restorer: Restorer, image: np.ndarray, groups: list[list[int]], prompt: str = PROMPT) -> np.ndarray:
    """Unscaled maps [groups, H, W] of token groups."""
    collector = AttentionCollector(groups)
    with watch(restorer.unet, collector):
        restorer.restore([image], [prompt], [0], observe=collector.observe)
    (canvas,) = collector.canvases
    return collector.maps(canvas, restorer.config.pixels_per_latent).numpy()


class FixedAttention:
    """Makes all cross-attention look at one token in the left half of what each layer sees, and at another in the right."""

    def __init__(self, restorer: Restorer, left: int, right: int) -> None:
        self.layers = cross_attention_layers(restorer.unet.core)
        self.left, self.right = left, right
        self.before = [(layer.to_q, layer.to_k) for layer in self.layers]

    def __enter__(self) -> None:
        for layer in self.layers:
            layer.to_q, layer.to_k = Calls(self._query, layer.inner_dim), Calls(self._key, layer.inner_dim)

    def __exit__(self, *_: object) -> None:
        for layer, (query, key) in zip(self.layers, self.before, strict=True):
            layer.to_q, layer.to_k = query, key

    def _query(self, hidden_BNC: torch.Tensor, channels: int) -> torch.Tensor:
        """Even channels say left, odd ones right."""
        rows, pixels, _ = hidden_BNC.shape
        side = int(pixels**0.5)
        assert side * side == pixels
        on_left = (torch.arange(pixels) % side < side // 2).float()[None, :, None]
        even = (torch.arange(channels) % 2 == 0).float()
        return (1000 * (on_left * even + (1 - on_left) * (1 - even))).expand(rows, -1, -1)

    def _key(self, text_BLC: torch.Tensor, channels: int) -> torch.Tensor:
        key = torch.zeros(*text_BLC.shape[:2], channels)
        key[:, self.left, 0::2], key[:, self.right, 1::2] = 1, 1
        return key


class Calls(nn.Module):
    """A function in place of a linear layer."""

    def __init__(self, function: Callable[[torch.Tensor, int], torch.Tensor], channels: int) -> None:
        super().__init__()
        self.function = function
        self.channels = channels

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.function(x, self.channels)
