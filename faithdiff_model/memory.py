"""Where the parts of a network lie while it restores: all on the device, or there only while they compute.

Nothing here changes what is computed: a result has the same bits wherever the weights were before. What saves memory by storing
weights less exactly is a choice of its own (`spec.ModelSpec.float8_storage`).
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

import torch
from torch import nn

from faithdiff_model.network.config import NetworkConfig
from faithdiff_model.network.conv_unet import ConvUNet
from faithdiff_model.network.prompt_attention import MOST_ROWS
from faithdiff_model.network.unet import FaithDiffUNet

if TYPE_CHECKING:
    from faithdiff_model.network.text import PromptEncoder
    from faithdiff_model.spec import ModelSpec

__all__ = [
    "PLACEMENTS",
    "RESERVE",
    "PlacedParts",
    "Placement",
    "Weights",
    "available_memory",
    "choose_placement",
    "needed",
    "store_as_float8",
]

# From the fastest to the smallest. `model_offload`: text encoders and UNet are on the device only while they compute, each
# whole. `group_offload`: of the UNet one layer at a time is there, and on a GPU the next one on its way.
Placement = Literal["resident", "model_offload", "group_offload"]
PLACEMENTS: tuple[Placement, ...] = get_args(Placement)
_GIB = 1 << 30
# CUDA's own context, the libraries' workspaces, and what the allocator cannot use: an estimate, not measured on a GPU yet.
RESERVE = 3 * _GIB // 2
# Numbers that live at once beside weights: of the UNet a window with its guidance copy, of the codec a window of 1024 pixels.
# Counted by `tests/benchmarks/memory_modes.py`, which a test runs; the other networks' are nothing beside `RESERVE`.
_UNET_WINDOW = {"sdxl": 154_670_736}
_CODEC_WINDOW = {"sdxl": 805_371_904}
_PROMPT_ROW = {"sdxl": 12_812_800}  # keys and values that are kept, of which there are `MOST_ROWS`


@dataclass(frozen=True, kw_only=True)
class Weights:
    """Bytes of a network's weights.

    Attributes:
        core: the UNet.
        text: both text encoders.
        rest: LQ encoder, alignment, VAE.
    """

    core: int
    text: int
    rest: int

    @classmethod
    def of(cls, unet: FaithDiffUNet, vae: Any, prompts: PromptEncoder | None) -> Weights:
        """Of parts as they are stored."""
        core = _bytes([unet.core])
        return cls(core=core, text=_bytes(prompts.encoders if prompts else ()), rest=_bytes([unet, vae]) - core)


def needed(placement: Placement, weights: Weights, config: NetworkConfig, *, windows: int, width: int) -> int:
    """Bytes that a device must have to restore a photograph of one window; larger ones take some more (see the table in
    tests/benchmarks/README.md).

    Args:
        placement: of the parts.
        weights: their bytes.
        config: what the network is.
        windows: in one UNet call, each with its guidance copy.
        width: bytes of a number in the arithmetic.
    """
    denoising = windows * _UNET_WINDOW.get(config.name, 0) * width
    coding = _CODEC_WINDOW.get(config.name, 0) * width
    if placement == "resident":
        denoising += MOST_ROWS * _PROMPT_ROW.get(config.name, 0) * width
        return RESERVE + weights.rest + weights.core + weights.text + max(denoising, coding)
    at_work = weights.core if placement == "model_offload" else 0
    return RESERVE + weights.rest + max(at_work + denoising, weights.text + coding)


def choose_placement(
    weights: Weights, config: NetworkConfig, *, memory: float, windows: int, fewer: bool, width: int
) -> tuple[Placement, int]:
    """The fastest placement that fits, and the windows in a UNet call.

    Args:
        weights, config, width: as for `needed`.
        memory: of the device, bytes.
        windows: wanted in a call.
        fewer: half as many, and so on, are as good, if that keeps the network on the device.

    Returns:
        Where nothing fits, the smallest that there is.
    """
    if config.coefficients is not None:
        return "resident", windows  # small, and not diffusers' to offload
    tries = [windows >> bit for bit in range(windows.bit_length())] if fewer else [windows]
    for placement in PLACEMENTS:
        for tried in tries:
            if needed(placement, weights, config, windows=tried, width=width) <= memory:
                return placement, tried
    return PLACEMENTS[-1], tries[-1]


def available_memory(spec: ModelSpec, device: torch.device, *, movable: bool = True) -> float:
    """Bytes that a network may take: what was chosen, or what is free on a GPU, or without limit.

    A network that stays where it is, as a compiled one, does not look at what is free.
    """
    if spec.memory != "auto":
        return int(spec.memory) * _GIB
    return torch.cuda.mem_get_info(device)[0] if device.type == "cuda" and movable else math.inf


class PlacedParts:
    """The parts of a network, and where they are.

    Args:
        unet, vae, prompts: the parts, anywhere, in their number formats.
        device: where they compute.
        placement: where they are to be from now on.
        movable: False where they must stay so, as where compiled code holds them.

    Raises:
        ValueError: they are to move, and must stay.
    """

    def __init__(
        self,
        unet: FaithDiffUNet,
        vae: Any,
        prompts: PromptEncoder | None,
        device: torch.device,
        placement: Placement = "resident",
        *,
        movable: bool = True,
    ) -> None:
        if placement != "resident" and not movable:
            raise ValueError(
                "the memory chosen is too little for a network that has to stay on the device: leave compile, feature "
                "reuse and float8 arithmetic out, or give more"
            )
        self.unet, self.vae, self.device = unet, vae, device
        self.encoders: tuple[nn.Module, ...] = prompts.encoders if prompts else ()
        self.first = self.placement = placement
        self.movable = movable
        self._hooks: list[Any] = []
        self._grouped = False
        self._place()

    def fall_back(self) -> bool:
        """Take the next smaller placement; False where there is none."""
        if not self.movable or isinstance(self.unet.core, ConvUNet) or self.placement == PLACEMENTS[-1]:
            return False
        self.placement = PLACEMENTS[PLACEMENTS.index(self.placement) + 1]
        self._place()
        return True

    def reset(self) -> None:
        """Take the first placement again."""
        if self.placement != self.first:
            self.placement = self.first
            self._place()

    def denoised(self) -> None:
        """The UNet has done its work: the codec may have its place."""
        if self.placement == "model_offload":
            self._hooks[-1].offload()

    def _place(self) -> None:
        for hook in self._hooks:
            hook.remove()
        self._hooks = []
        if self._grouped:
            self._remove_groups()
        small = [part for part in self.unet.children() if part is not self.unet.core]
        resident: list[Any] = [*small, self.vae]
        if self.placement == "resident":
            resident += [self.unet.core, *self.encoders]
        for part in resident:
            nn.Module.to(part, device=self.device)
        if self.placement == "resident":
            return
        core = self.unet.diffusers_core("offloading")
        nn.Module.to(core, device="cpu")
        in_turn = [*self.encoders, core] if self.placement == "model_offload" else [*self.encoders]
        self._offload_in_turn(in_turn)
        if self.placement == "group_offload":
            from diffusers.hooks import apply_group_offloading

            self._grouped = True
            apply_group_offloading(
                core, self.device, offload_type="leaf_level", use_stream=self.device.type == "cuda", non_blocking=True
            )

    def _remove_groups(self) -> None:
        """As diffusers does it before it groups anew; it has no public name for it."""
        from diffusers.hooks import HookRegistry

        registry = HookRegistry.check_if_exists_or_initialize(self.unet.core)
        for name in ("group_offloading", "layer_execution_tracker", "lazy_prefetch_group_offloading"):
            registry.remove_hook(name, recurse=True)
        self._grouped = False

    def _offload_in_turn(self, parts: list[nn.Module]) -> None:
        """As diffusers' pipelines do it: whichever is called comes to the device, and the one before it leaves."""
        from accelerate import cpu_offload_with_hook

        for part in parts:
            before = self._hooks[-1] if self._hooks else None
            _, hook = cpu_offload_with_hook(part, self.device, before)
            self._hooks.append(hook)


def store_as_float8(unet: FaithDiffUNet, dtype: torch.dtype) -> None:
    """Keep the UNet's weights in float8 (e4m3), in place, but for normalisation; each layer computes in `dtype` as before.

    Raises:
        ValueError: the network has another UNet than diffusers'.
    """
    core = unet.diffusers_core("float8 storage")
    core.enable_layerwise_casting(storage_dtype=torch.float8_e4m3fn, compute_dtype=dtype)


def _bytes(modules: Iterable[nn.Module]) -> int:
    return sum(p.numel() * p.element_size() for module in modules for p in module.parameters())
