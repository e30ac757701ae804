"""The denoising network: diffusers' SDXL UNet behind our alignment module.

`UNet2DConditionModel.forward` calls `conv_in(sample)` first and never looks at the sample's channels, so with its `conv_in`
taken out (an identity) it accepts aligned features as its sample. Nothing of its forward is copied, no state is kept
between calls, and the whole compiles. The alignment stands before the UNet and not inside `conv_in` because it must be
told which rows form a guidance pair, which a module called with one tensor cannot be.
"""

from __future__ import annotations

import math
from functools import cached_property
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from faithdiff_model.network.alignment import Alignment
from faithdiff_model.network.coefficient_encoder import CoefficientEncoder
from faithdiff_model.network.config import NetworkConfig
from faithdiff_model.network.conv_unet import ConvUNet, OutputHead
from faithdiff_model.network.dct_codec import DCTCodec
from faithdiff_model.network.feature_reuse import SplitCore
from faithdiff_model.network.lq_encoder import LQEncoder
from faithdiff_model.network.prompt_attention import PromptKeys, set_prompt_attention

if TYPE_CHECKING:  # takes seconds to import, and nano has a UNet of its own
    from diffusers import UNet2DConditionModel


class FaithDiffUNet(nn.Module):
    """LQ encoder, alignment and UNet: what the paper trains (2.61 G parameters at SDXL size).

    Args:
        lq_encoder: image -> LQ features.
        alignment: noisy latent and LQ embedding -> aligned features.
        core: diffusers' UNet, whose `conv_in` is replaced by an identity here, or ours.
        head: what the decoded image goes through, if anything.
    """

    def __init__(
        self,
        *,
        lq_encoder: LQEncoder | CoefficientEncoder,
        alignment: Alignment,
        core: UNet2DConditionModel | ConvUNet,
        head: OutputHead | None = None,
    ) -> None:
        super().__init__()
        self.lq_encoder = lq_encoder
        self.alignment = alignment
        self.core = core
        self.head = head
        core.conv_in = nn.Identity()
        set_prompt_attention(core)

    def diffusers_core(self, what: str) -> UNet2DConditionModel:
        """The core as diffusers' UNet. Raises ValueError where it is our own, which does not offer `what`."""
        if isinstance(self.core, ConvUNet):
            raise ValueError(f"{what}: this preset's UNet does not offer it; leave it out, or choose preset sdxl")
        return self.core

    @cached_property
    def split(self) -> SplitCore:
        """The core in two ways, for feature reuse; the weights are its own. Raises ValueError: it cannot be split."""
        return SplitCore(self.diffusers_core("reusing features"))

    def predict(
        self,
        aligned_BChw: Tensor,
        timestep: Tensor | float,
        text_BLC: Tensor | PromptKeys | None,
        pooled_BC: Tensor | None,
        time_ids_B6: Tensor,
        *,
        core: nn.Module | None = None,
    ) -> Any:
        """Aligned features -> predicted noise, shaped like the latents [B, 4, h, w].

        Args:
            aligned_BChw: what `alignment` returned, a row for each text row.
            timestep: one for all rows, 0 to 999.
            text_BLC: both text encoders' hidden states, joined on channels, or their keys and values; None for a network
                without text input.
            pooled_BC: the second text encoder's pooled projection; None likewise, and then `time_ids_B6` is not looked at.
            time_ids_B6: original height and width, window row and column (latent pixels), window height and width.
            core: one of `split`, in the core's place; what it takes for the text, and what it gives, is said there.
        """
        return (self.core if core is None else core)(
            aligned_BChw,
            timestep,
            encoder_hidden_states=text_BLC,
            added_cond_kwargs=None if pooled_BC is None else {"text_embeds": pooled_BC, "time_ids": time_ids_B6},
            return_dict=False,
        )[0]

    def forward(
        self,
        latent_BChw: Tensor,
        lq_embedding_BChw: Tensor | None,
        timestep: Tensor | float,
        text_BLC: Tensor | None,
        pooled_BC: Tensor | None,
        time_ids_B6: Tensor,
        *,
        pair: int = 1,
    ) -> Tensor:
        """Noisy latents -> predicted noise, shaped like the latents [B, 4, h, w]. `pair` as in `Alignment.forward`."""
        aligned = self.alignment(latent_BChw, lq_embedding_BChw, pair=pair)
        return self.predict(aligned, timestep, text_BLC, pooled_BC, time_ids_B6)


def assemble_unet(config: NetworkConfig) -> FaithDiffUNet:
    """Build the network of `config` with fresh weights on the current default device (`torch.device("meta")` works)."""
    parts = config.coefficients
    core: UNet2DConditionModel | ConvUNet
    if parts is None:
        from diffusers import UNet2DConditionModel

        core = UNet2DConditionModel(**config.unet)
    else:
        core = ConvUNet(latent_channels=config.latent_channels, widths=parts.widths, blocks=parts.blocks)
    alignment = Alignment(
        latent_channels=config.latent_channels,
        channels=config.width,
        feature_channels=config.feature_channels,
        layers=config.alignment.layers,
        heads=config.alignment.heads,
        norm_groups=_embedding_groups(config),
        attention=config.alignment.attention,
        rectified=parts is not None,
    )
    if parts is not None:
        encoder = CoefficientEncoder(DCTCodec(parts.side, parts.deviations), parts.lq_channels, parts.lq_blocks)
        return FaithDiffUNet(lq_encoder=encoder, alignment=alignment, core=core, head=OutputHead(parts.head_channels))
    return FaithDiffUNet(lq_encoder=LQEncoder(config.lq_encoder), alignment=alignment, core=core)


def _embedding_groups(config: NetworkConfig) -> int:
    """The LQ encoder's groups; fewer where the features have fewer channels than that (last-layer ablation)."""
    groups = 0 if config.coefficients else config.lq_encoder.norm_num_groups
    return groups and math.gcd(groups, config.lq_encoder.feature_channels)
