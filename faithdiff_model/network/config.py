"""What a network is made of: every width is a value here, and nothing else knows which network it runs.

Shapes in this package use B batch, C channels, H and W pixels, h and w latent pixels (8 image pixels each).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from faithdiff_model.image.windows import WindowGrid
from faithdiff_model.options import Start

MIN_SIDE = 16  # image pixels: the smallest image that a VAE takes, and that the pipeline hands to any network

AttentionMode = Literal["guidance_pair", "spatial"]
ATTENTION_MODES: tuple[AttentionMode, ...] = ("guidance_pair", "spatial")


@dataclass(frozen=True, kw_only=True)
class LQEncoderConfig:
    """The VAE encoder up to its penultimate features (paper section 3.2).

    Attributes:
        block_out_channels, layers_per_block, norm_num_groups: as in the VAE; 0 groups is without normalisation.
        mid_attention: attention in the middle block, as in the VAE.
        last_channels: 0 takes the penultimate features; otherwise the VAE's last layer follows, with this many channels (its
            latent channels), as in the paper's ablation (table 6).
    """

    block_out_channels: tuple[int, ...] = (128, 256, 512, 512)
    layers_per_block: int = 2
    norm_num_groups: int = 32
    mid_attention: bool = True
    last_channels: int = 0

    @property
    def feature_channels(self) -> int:
        """Channels of the features: 512 at SDXL size."""
        return self.last_channels or self.block_out_channels[-1]

    @property
    def downscale(self) -> int:
        """Image pixels to one feature pixel, a side."""
        return 2 ** (len(self.block_out_channels) - 1)


@dataclass(frozen=True, kw_only=True)
class AlignmentConfig:
    """The module that brings LQ features and noisy latents into one space (paper section 3.3).

    Attributes:
        layers: transformer blocks; 0 leaves the alignment out and adds the LQ embedding to the latent features (ablation).
        heads: attention heads; must divide twice the UNet's first width.
        attention: `guidance_pair` is what the published weights were trained with (attention between the two guidance
            copies of one pixel); `spatial` is what the paper describes (attention between the pixels of one image).
    """

    layers: int = 2
    heads: int = 8
    attention: AttentionMode = "guidance_pair"

    def __post_init__(self) -> None:
        if self.layers < 0:
            raise ValueError(f"layers is {self.layers}: choose 0 (no alignment) or more")
        if self.attention not in ATTENTION_MODES:
            raise ValueError(f"attention is {self.attention!r}: choose one of {', '.join(ATTENTION_MODES)}")


@dataclass(frozen=True, kw_only=True)
class CoefficientConfig:
    """A network of plain convolutions on the coefficients of a lossless transform, in the places of VAE, LQ encoder and UNet.

    Attributes:
        side: of the transform's blocks in pixels.
        deviations: of the coefficients over good photographs (`network.dct_codec.DCTCodec`).
        lq_channels, lq_blocks: of the LQ encoder.
        widths, blocks: of the UNet at each size (`network.conv_unet.ConvUNet`).
        head_channels: of the convolutions on the decoded image.
    """

    side: int = 4
    deviations: tuple[float, ...]
    lq_channels: int = 64
    lq_blocks: int = 2
    widths: tuple[int, ...] = (64, 128, 192)
    blocks: tuple[int, ...] = (3, 2, 2)
    head_channels: int = 16

    def __post_init__(self) -> None:
        if len(self.deviations) != 3 * self.side**2 or min(self.deviations) <= 0:
            raise ValueError(
                f"{len(self.deviations)} deviations for blocks of {self.side}: give {3 * self.side**2} above 0"
            )
        if not self.widths or len(self.widths) != len(self.blocks):
            raise ValueError(f"widths {self.widths} and blocks {self.blocks}: give as many of both")


@dataclass(frozen=True, kw_only=True)
class NetworkConfig:
    """A whole FaithDiff: diffusers' own settings for UNet, VAE and noise schedule, and ours for what is added.

    Attributes:
        unet: keyword arguments of diffusers' `UNet2DConditionModel`.
        vae: keyword arguments of diffusers' `AutoencoderKL`.
        noise_schedule: keyword arguments of diffusers' schedulers: `num_train_timesteps`, `beta_start`, `beta_end`,
            `beta_schedule`, and where the preset wants another spacing than SDXL's, `timestep_spacing`.
        window: side of a denoising window in latent pixels (128 at SDXL size, 1024 image pixels).
        codec_window: an image with no side longer than this, in latent pixels, goes through VAE and LQ encoder in one
            piece; a longer one window by window.
        host_memory_gib: what one replica on a CPU takes, for deciding how many fit.
        text_encoders: keyword arguments of the two CLIP text encoders; empty where they come from a base model folder, or
            where the network takes no text.
        starts: start points that its noise schedule allows.
        coefficients: given, the network is one of convolutions on coefficients; `unet`, `vae` and `lq_encoder` are not used.
    """

    name: str
    unet: Mapping[str, Any] = field(default_factory=dict)
    vae: Mapping[str, Any] = field(default_factory=dict)
    noise_schedule: Mapping[str, Any]
    lq_encoder: LQEncoderConfig = field(default_factory=LQEncoderConfig)
    alignment: AlignmentConfig = field(default_factory=AlignmentConfig)
    window: int = 128
    codec_window: int = 128
    host_memory_gib: float = 1.0
    text_encoders: tuple[Mapping[str, Any], ...] = ()
    starts: tuple[Start, ...] = ("lr", "noise")
    coefficients: CoefficientConfig | None = None

    def __post_init__(self) -> None:
        width = self.width
        if (2 * width) % self.alignment.heads:
            raise ValueError(
                f"{self.name}: {self.alignment.heads} alignment heads do not divide {2 * width} channels "
                "(twice the UNet's first width): choose another number of heads"
            )
        if self.coefficients is not None:
            return
        vae_downscale = 2 ** (len(self.vae["block_out_channels"]) - 1)
        if vae_downscale != self.lq_encoder.downscale:
            raise ValueError(
                f"{self.name}: the LQ encoder reduces by {self.lq_encoder.downscale} and the VAE by {vae_downscale}: "
                "give both the same number of blocks"
            )

    @property
    def pixels_per_latent(self) -> int:
        """Image pixels to one latent pixel, a side: 8 for SDXL."""
        return self.coefficients.side if self.coefficients else self.lq_encoder.downscale

    @property
    def min_side(self) -> int:
        """Image pixels of the shorter side of the smallest image that can be restored."""
        return 1 if self.coefficients else MIN_SIDE

    @property
    def latent_channels(self) -> int:
        """Channels of a latent: 4 for SDXL."""
        return 3 * self.coefficients.side**2 if self.coefficients else int(self.unet["in_channels"])

    @property
    def width(self) -> int:
        """Channels of the UNet's first block: 320 for SDXL."""
        return self.coefficients.widths[0] if self.coefficients else int(self.unet["block_out_channels"][0])

    @property
    def feature_channels(self) -> int:
        """Channels of the LQ features: 512 for SDXL."""
        return self.coefficients.lq_channels if self.coefficients else self.lq_encoder.feature_channels

    @property
    def one_step(self) -> bool:
        """Whether a restoration is one step, without noise (`sampling.denoise.OneStep`)."""
        return self.coefficients is not None

    @property
    def takes_mask(self) -> bool:
        """Whether the LQ encoder is given a damage mask as a fourth channel."""
        return self.coefficients is not None

    @property
    def text_input(self) -> bool:
        """Whether prompts reach the network."""
        return self.unet.get("addition_embed_type") == "text_time"

    @property
    def scaling_factor(self) -> float:
        """Latents are the VAE's times this (0.13025 for SDXL)."""
        if self.coefficients:
            return 1.0
        return float(self.vae.get("scaling_factor", 0.18215))

    def grid(self, height: int, width: int, overlap: float) -> WindowGrid:
        """The windows of an image of `height` x `width` pixels."""
        scale = self.pixels_per_latent
        return WindowGrid(height=-(-height // scale), width=-(-width // scale), window=self.window, overlap=overlap)

    def digest(self) -> str:
        """SHA-256, as hex, of all that makes results."""
        content = {name: value for name, value in asdict(self).items() if name != "host_memory_gib"}
        if self.coefficients is None:
            del content["coefficients"]  # results of other networks keep their digest
        return hashlib.sha256(json.dumps(content, sort_keys=True, default=dict).encode()).hexdigest()
