"""Compiling what runs often: UNet, alignment, LQ encoder and VAE, each for the one shape that full windows have.

A compiled function that meets a second shape is compiled anew, by default for shapes of any size, and after some shapes not at
all: what a photograph became would depend on what was restored before it. So shapes are fixed, and only windows of the
network's full size go through what was compiled; a smaller photograph's run as they are, whatever came before.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from faithdiff_model.network.config import NetworkConfig
from faithdiff_model.network.prompt_attention import set_prompt_attention
from faithdiff_model.network.unet import FaithDiffUNet

if TYPE_CHECKING:
    from diffusers.models.attention_processor import Attention

# Every size of a call (`sampling.denoise.call_sizes`), with and without guidance, is compiled once: beyond PyTorch's limit of 8
# it would quietly run as it is.
_MOST_SHAPES = 64


def compile_parts(
    unet: FaithDiffUNet, vae: Any, config: NetworkConfig, backend: str | Callable[..., Any] = "inductor"
) -> None:
    """Make a network ready to run fast, in place: its parts compiled, channels last in convolutions, queries, keys
    and values by one product. Minutes at their first calls; numbers equal those of the parts as they were but for rounding.

    Args:
        unet, vae: on their device, in their number format, in evaluation mode.
        config: what the network is.
        backend: of torch.compile.
    """
    torch._dynamo.config.recompile_limit = max(torch._dynamo.config.recompile_limit, _MOST_SHAPES)
    window, pixels = config.window, config.window * config.pixels_per_latent
    parts: list[tuple[nn.Module, int]] = [
        (unet.core, window), (unet.alignment, window), (unet.alignment.lq_embedding, window), (unet.lq_encoder, pixels),
    ]  # fmt: skip
    if unet.head is not None:
        parts.append((unet.head, pixels))
    if config.coefficients is None:
        fuse_projections(unet.core)
        # Compiled at their first calls, as everything: nothing is lost where features are not reused.
        parts += [
            (vae.encoder, pixels),
            (vae.decoder, window),
            (unet.split.whole, window),
            (unet.split.shallow, window),
        ]
    for part, side in parts:
        nn.Module.to(part, memory_format=torch.channels_last)  # type: ignore[call-overload]  # not in torch's stubs
        compile_at(part, side, backend)


def compile_at(module: nn.Module, side: int, backend: str | Callable[..., Any] = "inductor") -> None:
    """Compile a module, in place, for a first argument [B, C, side, side] of any B; others run as they did.

    Args:
        module: takes a tensor [B, C, h, w] first.
        side: h and w.
        backend: of torch.compile.
    """
    as_it_is = module.forward
    compiled = torch.compile(as_it_is, dynamic=False, fullgraph=True, backend=backend)

    def forward(sample_BChw: Tensor, *others: Any, **named: Any) -> Any:
        call = compiled if sample_BChw.shape[-2:] == (side, side) else as_it_is
        return call(sample_BChw, *others, **named)

    module.forward = forward


def fuse_projections(core: Any) -> None:
    """Let diffusers' UNet make queries, keys and values by one product, in place; no weight is kept twice."""
    from diffusers.models.attention_processor import Attention

    core.fuse_qkv_projections()
    set_prompt_attention(core)
    for layer in core.modules():
        if isinstance(layer, Attention):
            _share_weights(layer)


def _share_weights(layer: Attention) -> None:
    """Let the single projections, which attention maps ask, be views of the joint one."""
    single = (layer.to_k, layer.to_v) if layer.is_cross_attention else (layer.to_q, layer.to_k, layer.to_v)
    joint = (layer.to_kv if layer.is_cross_attention else layer.to_qkv).requires_grad_(False)
    for name in ("weight", "bias"):
        whole = getattr(joint, name)
        if whole is None:
            continue
        pieces = whole.data.split([getattr(part, name).shape[0] for part in single])
        for part, piece in zip(single, pieces, strict=True):
            getattr(part, name).data = piece
