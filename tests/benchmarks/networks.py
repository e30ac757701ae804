"""Networks for timing: random weights made on their device, since arithmetic costs the same whatever it is about."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from faithdiff_model.build import build_vae
from faithdiff_model.network.config import LQEncoderConfig, NetworkConfig
from faithdiff_model.network.prompt_attention import keys_and_values
from faithdiff_model.network.text import TextEmbedding
from faithdiff_model.network.unet import FaithDiffUNet, assemble_unet
from faithdiff_model.options import RestoreOptions
from faithdiff_model.presets import PRESETS
from faithdiff_model.presets.sdxl import SDXL
from faithdiff_model.restorer import Restorer

_TOKENS = 77  # CLIP's context length

# SDXL at a quarter of its widths and of its window's side: LQ encoder, VAE and UNet keep about the proportions of cost that
# they have at full size (`--dry-run` prints both).
SMALL = replace(
    SDXL,
    name="small",
    unet={
        **SDXL.unet,
        "sample_size": 32,
        "block_out_channels": (80, 160, 320),
        "attention_head_dim": (2, 4, 8),
        "cross_attention_dim": 512,
        "addition_time_embed_dim": 64,
        "projection_class_embeddings_input_dim": 704,  # 320 pooled + 6 time ids of 64
        "norm_num_groups": 16,
    },
    vae={**SDXL.vae, "block_out_channels": (32, 64, 128, 128), "sample_size": 256},
    lq_encoder=LQEncoderConfig(block_out_channels=(32, 64, 128, 128)),
    window=32,
    codec_window=64,  # an image of two windows a side still goes whole, so that the codec is the same both ways
)
# The reference takes any image through its VAE in one piece; so must the networks that are compared with it.
NETWORKS: dict[str, NetworkConfig] = {
    "tiny": replace(PRESETS["tiny"], codec_window=64),
    "small": SMALL,
    "sdxl": SDXL,
}


class RandomPrompts:
    """Stands in for the text encoders: random embeddings of their shapes. A replica encodes a prompt once; it is not timed."""

    def __init__(self, config: NetworkConfig, device: torch.device, dtype: torch.dtype) -> None:
        draw = torch.Generator().manual_seed(1)
        widths = config.unet["cross_attention_dim"], pooled_width(config)
        self._positive, self._negative = (
            TextEmbedding(
                torch.randn(_TOKENS, widths[0], generator=draw).to(device, dtype),
                torch.randn(widths[1], generator=draw).to(device, dtype),
            )
            for _ in range(2)
        )

    def encode(self, _prompt: str) -> TextEmbedding:
        return self._positive

    def encode_negative(self, _prompt: str, _empty: str = "") -> TextEmbedding:
        return self._negative


def pooled_width(config: NetworkConfig) -> int:
    """Channels of the pooled text embedding: what the six time ids leave of the UNet's added input."""
    unet = config.unet
    return unet["projection_class_embeddings_input_dim"] - 6 * unet["addition_time_embed_dim"]


def random_restorer(
    config: NetworkConfig, device: torch.device, dtype: torch.dtype, options: RestoreOptions
) -> Restorer:
    """A replica with random weights, made on `device` in `dtype` without a copy elsewhere."""
    torch.manual_seed(0)
    unet, vae = build_on(config, device, dtype)
    return Restorer(
        config=config,
        unet=unet,
        vae=vae,
        prompt_encoder=RandomPrompts(config, device, dtype),  # type: ignore[arg-type]
        options=options,
        device=device,
        digest="random",
        trained=False,
    )


def build_on(config: NetworkConfig, device: torch.device, dtype: torch.dtype) -> tuple[FaithDiffUNet, Any]:
    """UNet and VAE with fresh weights made on `device` in `dtype`, without a copy elsewhere."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        with device:
            unet, vae = assemble_unet(config), build_vae(config)
    finally:
        torch.set_default_dtype(before)
    for module in (unet, vae):
        torch.nn.Module.to(module, dtype=dtype).eval().requires_grad_(False)
    return unet, vae


@dataclass(frozen=True, kw_only=True)
class Cost:
    """Floating-point operations (a multiplication and an addition are two), in TFLOP.

    `embedding` and `alignment` are of one window without its guidance pair, `alignment_pair` and `unet` with it; `prompt` is
    what of `unet` are the prompt's keys and values; the codec is of an image.
    """

    lq_encoder: float
    vae_encode: float
    vae_decode: float
    embedding: float
    alignment: float
    alignment_pair: float
    unet: float
    prompt: float
    windows: int
    parameters: int

    def image(self, steps: int, copies: int, *, reference: bool) -> float:
        """TFLOP of one image, in our way of working or the reference's."""
        codec = self.lq_encoder + self.vae_encode + self.vae_decode
        if reference:
            return codec + self.windows * steps * (copies * self.embedding + self.alignment_pair + self.unet)
        a_window = self.embedding + steps * (self.alignment + self.unet - self.prompt)
        return codec + self.windows * a_window + self.prompt


def count_cost(config: NetworkConfig, size: int, options: RestoreOptions) -> Cost:
    """Build the networks on the meta device, run every part's shapes through, and count.

    Args:
        config: the network.
        size: side of a square image in pixels that goes through the codec in one piece.
        options: overlap, guidance.
    """
    scale = config.pixels_per_latent
    assert size % scale == 0
    assert size // scale <= config.codec_window, "larger images go through the codec window by window"
    grid = config.grid(size, size, options.overlap)
    h, w, channels = grid.window_height, grid.window_width, config.unet["block_out_channels"][0]
    copies = 2 if options.guided else 1
    meta = torch.device("meta")
    unet, vae = build_on(config, meta, torch.float32)
    with meta, torch.inference_mode():
        image, latent = torch.empty(1, 3, size, size), torch.empty(1, 4, size // scale, size // scale)
        features = unet.lq_encoder(image)
        assert features.shape == (1, config.lq_encoder.feature_channels, *latent.shape[2:])
        window = torch.empty(1, 4, h, w)
        embedding = unet.alignment.lq_embedding(features[:, :, :h, :w])
        aligned = unet.alignment(window, embedding)
        assert aligned.shape == (1, channels, h, w)
        text = torch.empty(copies, _TOKENS, config.unet["cross_attention_dim"])
        pooled = torch.empty(copies, pooled_width(config))
        pair = (aligned.repeat(copies, 1, 1, 1), torch.tensor(1, device="cpu"), text, pooled, torch.empty(copies, 6))
        assert unet.predict(*pair).shape == (copies, 4, h, w)
        assert vae.decode(latent).sample.shape == image.shape
        return Cost(
            lq_encoder=_tflop(unet.lq_encoder, image),
            vae_encode=_tflop(vae.encode, image),
            vae_decode=_tflop(vae.decode, latent),
            embedding=_tflop(unet.alignment.lq_embedding, features[:, :, :h, :w]),
            alignment=_tflop(unet.alignment, window, embedding),
            alignment_pair=_tflop(
                partial(unet.alignment, pair=copies), *(part.repeat(copies, 1, 1, 1) for part in (window, embedding))
            ),
            unet=_tflop(unet.predict, *pair),
            prompt=_tflop(keys_and_values, unet.core, text),
            windows=len(grid.windows()),
            parameters=sum(p.numel() for p in (*unet.parameters(), *vae.parameters())),
        )


def _tflop(function: Any, *arguments: Any) -> float:
    with FlopCounterMode(display=False) as counter:
        function(*arguments)
    return counter.get_total_flops() / 1e12
