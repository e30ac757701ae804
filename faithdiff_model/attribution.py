"""Which pixels a word of the prompt reached: cross-attention maps as DAAM makes them (Tang et al. 2022; FaithDiff, figure 6).

A layer's cross-attention shares each pixel's attention among the prompt's tokens; the shares of one pixel add up to one. A
word's map is the share of its tokens, over all heads, layers and steps, at the place of the window that it was computed for.
It says where the network looked for the word, not that the word is there.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import cv2
import numpy as np
import torch
from diffusers.models.attention_processor import Attention, AttentionProcessor
from torch import Tensor

from faithdiff_model.image.resize import to_grey, to_unit_float
from faithdiff_model.network.prompt_attention import cross_attention_layers
from faithdiff_model.network.unet import FaithDiffUNet
from faithdiff_model.prompt_words import find_tokens
from faithdiff_model.restorer import Restorer
from faithdiff_model.sampling.denoise import Canvas, Work
from faithdiff_model.sampling.merging import WindowMerger

__all__ = [
    "AttentionCollector",
    "Attribution",
    "attribute",
    "layer_size",
    "overlay",
    "token_shares",
    "watch",
]

_HEAT = 0.6  # of an overlay is heat map, the rest the picture


@dataclass(frozen=True, kw_only=True)
class Attribution:
    """What `attribute` found.

    Attributes:
        restored: the restored image, in the layout and dtype of the source.
        maps: each word's map [H, W] float32 in [0, 1]: 0 where the word had its least attention, 1 where it had its most.
        ranges: the share of all attention, in [0, 1], that 0 and 1 of each word's map stand for.
    """

    restored: np.ndarray
    maps: dict[str, np.ndarray]
    ranges: dict[str, tuple[float, float]]


def attribute(
    restorer: Restorer, image_HWC: np.ndarray, prompt: str, words: Sequence[str], seed: int = 0
) -> Attribution:
    """Restore an image and map the attention that words of its prompt had.

    Args:
        restorer: of a preset with text input.
        image_HWC: LQ image, as `Restorer.restore` takes it.
        prompt: its description.
        words: words (or phrases) of the prompt; the first place of each is looked at.
        seed: of the noise, 0 to 2**64 - 1.

    Raises:
        ValueError: a preset that takes no text; no words, or one that the prompt does not have within what the text encoders
            read; an image that cannot be restored.
    """
    if restorer.prompt_encoder is None or not cross_attention_layers(restorer.unet.core):
        raise ValueError(
            f"preset {restorer.config.name} takes no text: its network has no cross-attention, so no word can be attributed; "
            "choose a preset with text input, such as sdxl"
        )
    if not words:
        raise ValueError("no words to attribute: name one or more words of the prompt")
    groups = {word: find_tokens(restorer.prompt_encoder.tokenizers, prompt, word) for word in words}
    collector = AttentionCollector(list(groups.values()))
    with watch(restorer.unet, collector):
        restored = restorer.restore([image_HWC], [prompt], [seed], observe=collector.observe)[0]
    height, width = image_HWC.shape[:2]
    shares = collector.maps(collector.canvases[0], restorer.config.pixels_per_latent)[:, :height, :width].cpu().numpy()
    return Attribution(
        restored=restored,
        maps={word: _normalise(share) for word, share in zip(groups, shares, strict=True)},
        ranges={word: (float(share.min()), float(share.max())) for word, share in zip(groups, shares, strict=True)},
    )


def overlay(image_HWC: np.ndarray, map_HW: np.ndarray) -> np.ndarray:
    """A heat map over the grey picture: dark violet for 0, light yellow for 1 (the colours are even steps to the eye).

    Args:
        image_HWC: RGB [H, W, 3], uint8, uint16 or float in [0, 1].
        map_HW: [H, W] in [0, 1].

    Returns:
        RGB uint8 [H, W, 3].

    Raises:
        ValueError: the map's size is not the image's.
    """
    if image_HWC.shape != (*map_HW.shape, 3):
        raise ValueError(f"a map of {map_HW.shape} over an image of {image_HWC.shape}: give [H, W] and [H, W, 3]")
    levels = np.rint(np.clip(map_HW, 0, 1) * 255).astype(np.uint8)
    heat = cv2.applyColorMap(levels, cv2.COLORMAP_INFERNO)[..., ::-1]
    # Grey, so that every colour on the picture is the map's.
    blended = _HEAT * to_unit_float(heat) + (1 - _HEAT) * to_grey(to_unit_float(image_HWC))
    return np.rint(np.clip(blended, 0, 1) * 255).astype(np.uint8)


@contextmanager
def watch(unet: FaithDiffUNet, collector: AttentionCollector) -> Iterator[None]:
    """While it is entered, tell the collector of every cross-attention; results are the same bits, processors come back.

    A compiled core runs uncompiled meanwhile: its graphs have no place for an onlooker.
    """
    layers = cross_attention_layers(unet.core)
    usual = [layer.processor for layer in layers]
    try:
        for layer, processor in zip(layers, usual, strict=True):
            layer.set_processor(_ObservedProcessor(processor, collector))
        with torch.compiler.set_stance("force_eager"):
            yield
    finally:
        for layer, processor in zip(layers, usual, strict=True):
            layer.set_processor(processor)


class _ObservedProcessor:
    """An attention processor that shows its input to a collector and leaves the work to the usual one."""

    def __init__(self, usual: AttentionProcessor, collector: AttentionCollector) -> None:
        self.usual = usual
        self.collector = collector

    def __call__(
        self,
        attn: Attention,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor,
        attention_mask: Tensor | None = None,
        temb: Tensor | None = None,
    ) -> Tensor:
        assert attention_mask is None, "the prompt's tokens are never masked"
        rows = self.collector.rows
        self.collector.add(token_shares(attn, hidden_states[rows], encoder_hidden_states[rows]))
        return self.usual(attn, hidden_states, encoder_hidden_states, attention_mask, temb)


def token_shares(attn: Attention, hidden_BNC: Tensor, text_BLC: Tensor) -> Tensor:
    """Cross-attention probabilities [B, heads, N, L] float32, which add up to one over the tokens L.

    Args:
        attn: a layer with plain queries and keys, as every UNet of ours has.
        hidden_BNC: its input pixels.
        text_BLC: the prompt.
    """
    query = attn.head_to_batch_dim(attn.to_q(hidden_BNC), out_dim=4).float()
    key = attn.head_to_batch_dim(attn.to_k(text_BLC), out_dim=4).float()
    return (attn.scale * query @ key.transpose(-1, -2)).softmax(dim=-1)


@dataclass
class _Sums:
    """What one window has gathered: the number of heads, and by number of halvings the sum of their maps [words, h, w]."""

    heads: int = 0
    maps: dict[int, Tensor] = field(default_factory=dict)


class AttentionCollector:
    """Sums attention by window, layer size and word, and lays it out over the whole image.

    Args:
        groups: token positions of each word.

    Attributes:
        canvases: whose windows have been seen, in the order of their first calls.
        rows: of the current UNet call, those with the prompt.
    """

    def __init__(self, groups: Sequence[Sequence[int]]) -> None:
        self.groups = [list(group) for group in groups]
        self.canvases: list[Canvas] = []
        self.rows = slice(0, 0)
        self._batch: Sequence[Work] = ()
        self._sums: dict[tuple[int, int], _Sums] = {}  # by canvas and number of the window

    def observe(self, batch: Sequence[Work], first: int) -> None:
        """Note what the next UNet call holds: a `sampling.Observer`."""
        self._batch = batch
        self.rows = slice(first, first + len(batch))
        for canvas, _ in batch:
            if all(canvas is not known for known in self.canvases):
                self.canvases.append(canvas)

    def add(self, shares_BANL: Tensor) -> None:
        """Add one layer's probabilities [windows of the call, heads, pixels, tokens]."""
        heads, pixels = shares_BANL.shape[1:3]
        of_words = torch.stack([shares_BANL[..., group].sum(dim=(1, 3)) for group in self.groups], dim=1)
        for (canvas, index), share in zip(self._batch, of_words, strict=True):
            halvings, height, width = layer_size(*canvas.window_shape, pixels)
            sums = self._sums.setdefault((id(canvas), index), _Sums())
            sums.heads += heads
            sums.maps[halvings] = sums.maps.get(halvings, 0) + share.reshape(-1, height, width)

    @torch.inference_mode()
    def maps(self, canvas: Canvas, pixels_per_latent: int) -> Tensor:
        """Each word's mean share of attention [words, H, W] float32 in [0, 1], padding included.

        Args:
            canvas: one of `canvases`.
            pixels_per_latent: 8.
        """
        height, width = (side * pixels_per_latent for side in canvas.latent.shape[-2:])
        merger = WindowMerger(height, width, canvas.windows, scale=pixels_per_latent).to(canvas.latent.device)
        merged = merger.empty(len(self.groups), canvas.latent.device)
        for index, window in enumerate(canvas.windows):
            sums = self._sums[id(canvas), index]
            area = window.scaled(pixels_per_latent)
            total = merged.new_zeros(len(self.groups), area.height, area.width)
            for halvings, share in sums.maps.items():
                # By whole factors: the last pixel of an odd side, at half size, lies half outside.
                factor = float(pixels_per_latent << halvings)
                enlarged = torch.nn.functional.interpolate(share[None], scale_factor=factor, mode="bicubic")[0]
                total += enlarged[:, : area.height, : area.width]
            merger.add(merged, index, total / sums.heads)
        return merged.clamp(0, 1)  # the bicubic filter overshoots


def layer_size(height: int, width: int, pixels: int) -> tuple[int, int, int]:
    """How often a layer of `pixels` pixels was halved from a window of `height` x `width`, and its height and width."""
    halvings = 0
    while height * width > pixels:
        height, width, halvings = -(-height // 2), -(-width // 2), halvings + 1
    assert height * width == pixels, "a layer is a window, halved"
    return halvings, height, width


def _normalise(share_HW: np.ndarray) -> np.ndarray:
    """Least to 0, most to 1; zeros where all are equal but for rounding."""
    low, high = share_HW.min(), share_HW.max()
    if high - low <= 1e-5 * high:
        return np.zeros_like(share_HW)
    return (share_HW - low) / (high - low)
