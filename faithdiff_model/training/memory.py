"""What a stage would take, worked out on the meta device: no weight is loaded and nothing is computed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_map_only

from faithdiff_model.network.config import NetworkConfig
from faithdiff_model.network.text import random_prompt_encoder
from faithdiff_model.network.unet import FaithDiffUNet, assemble_unet
from faithdiff_model.network.vae import build_vae
from faithdiff_model.training.config import GROUPS, Group, StageConfig
from faithdiff_model.training.groups import group_modules, parameter_groups
from faithdiff_model.training.loss import Noised, NoiseLoss
from faithdiff_model.training.restoration import RestorationLoss

_FLOAT32 = 4  # bytes
_DTYPES = {"no": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
_TEXT_TOKENS = 77
# SDXL's two text encoders (CLIP ViT-L and OpenCLIP bigG), which stand frozen beside the network.
SDXL_TEXT_PARAMETERS = 123_060_480 + 694_659_840

# Of autocast's lists for CUDA, what this network calls: in the compute precision, and in float32 whatever comes in.
_LOWER = frozenset({functional.linear, functional.conv2d, torch.bmm, torch.baddbmm, torch.matmul})
_EXACT = frozenset({functional.group_norm, functional.layer_norm, functional.interpolate, functional.l1_loss})


@dataclass(frozen=True)
class MemoryPlan:
    """Bytes that one process needs, and where they go. Data-parallel training copies all of it to each GPU.

    Attributes:
        parameters: of each part, all of them.
        trained: of each part, those that the stage trains.
        weights: of the network, the VAE and the text encoders, float32.
        gradients, moments, average: of what is trained, float32.
        activations: kept for the backward pass of one call, weights in the compute precision among them.
        update: what AdamW takes for a moment of each step, when activations are gone.
    """

    parameters: dict[Group, int]
    trained: dict[Group, int]
    weights: int
    gradients: int
    moments: int
    average: int
    activations: int
    update: int

    @property
    def total(self) -> int:
        """Bytes a GPU at the worst moment, without what the allocator and CUDA itself take (a few GiB)."""
        return self.weights + self.gradients + self.moments + self.average + max(self.activations, self.update)

    def global_batch(self, stage: StageConfig, processes: int) -> int:
        """Samples an optimizer step over all processes."""
        return stage.batch * stage.accumulation * processes


def plan_memory(network: NetworkConfig, stage: StageConfig, crop: int) -> MemoryPlan:
    """Work out parameter groups, counts and bytes of a stage.

    Args:
        network, stage: as for training.
        crop: side of a sample in pixels.
    """
    with torch.device("meta"):
        unet = assemble_unet(network)
        vae = build_vae(network)
    parameters = {name: _count(module.parameters()) for name, module in group_modules(unet).items()}
    groups = {group["name"]: _count(group["params"]) for group in parameter_groups(unet, stage)}
    trained = {name: groups.get(name, 0) for name in GROUPS}
    total = sum(trained.values())
    frozen = _count(vae.parameters()) + _text_parameters(network)
    return MemoryPlan(
        parameters=parameters,
        trained=trained,
        weights=(_count(unet.parameters()) + frozen) * _FLOAT32,
        gradients=total * _FLOAT32,
        moments=2 * total * _FLOAT32,
        average=total * _FLOAT32 if stage.ema_decay else 0,
        activations=_activations(unet, network, stage, crop),
        update=total * _FLOAT32,
    )


def _count(parameters: Iterable[Tensor]) -> int:
    return sum(parameter.numel() for parameter in parameters)


def _text_parameters(network: NetworkConfig) -> int:
    if not network.text_input:
        return 0
    if not network.text_encoders:  # they come with the base model
        return SDXL_TEXT_PARAMETERS
    with torch.device("meta"):
        encoders = random_prompt_encoder(*network.text_encoders).encoders
    return sum(_count(encoder.parameters()) for encoder in encoders)


def _activations(unet: FaithDiffUNet, network: NetworkConfig, stage: StageConfig, crop: int) -> int:
    """Bytes of all tensors that a forward pass keeps for the backward pass."""
    kept = _Kept(unet)
    autocast = _Autocast(_DTYPES[stage.precision])
    if stage.gradient_checkpointing:
        core = unet.diffusers_core("gradient checkpointing")
        core.enable_gradient_checkpointing(gradient_checkpointing_func=kept.checkpoint)
        unet.lq_encoder.checkpoint = kept.checkpoint
    loss: nn.Module
    if stage.objective == "restoration":
        codec = build_vae(network).to("meta")
        loss = RestorationLoss(unet.train().to("meta"), codec, gradient_weight=stage.gradient_weight)
        with torch.device("meta"):
            arguments: tuple[Any, ...] = tuple(torch.empty(stage.batch, planes, crop, crop) for planes in (3, 3, 1, 1))
    else:
        loss = NoiseLoss(unet.train(), conditioned=stage.conditioned)
        arguments = _noise_arguments(network, stage, crop)
    with kept.counting(), autocast:
        loss(*arguments)
    # Trained weights in the compute precision live to the end of the forward pass; a block that is computed again makes its
    # own in the backward pass, when those are gone.
    copies = sum(copy.untyped_storage().nbytes() for copy in autocast.copies.values() if not kept.holds(copy))
    return kept.bytes + max(kept.largest_block, copies)


def _noise_arguments(network: NetworkConfig, stage: StageConfig, crop: int) -> tuple[Any, ...]:
    """What `NoiseLoss` is called with, on the meta device."""
    side = crop // network.pixels_per_latent
    with torch.device("meta"):
        latent = torch.empty(stage.batch, network.latent_channels, side, side)
        timestep = torch.empty(stage.batch, dtype=torch.long)
        image = torch.empty(stage.batch, 3, crop, crop)
        time_ids = torch.empty(stage.batch, 6)
        text = None
        if network.text_input:
            pooled = network.unet["projection_class_embeddings_input_dim"] - 6 * network.unet["addition_time_embed_dim"]
            text = (
                torch.empty(stage.batch, _TEXT_TOKENS, network.unet["cross_attention_dim"]),
                torch.empty(stage.batch, pooled),
            )
    return Noised(latent, latent, timestep), image, text, time_ids


class _Autocast(TorchFunctionMode):
    """What autocast and the attention kernels do on CUDA; the meta device has neither."""

    def __init__(self, dtype: torch.dtype) -> None:
        super().__init__()
        self.dtype = dtype
        self.copies: dict[int, Tensor] = {}  # of trained weights: autocast makes each once

    def __torch_function__(
        self, function: Callable[..., Any], types: Any, arguments: Any = (), keywords: Any = None
    ) -> Any:
        keywords = keywords or {}
        if function is functional.scaled_dot_product_attention:
            query, key, value = map(self._lower, arguments[:3])
            # The flash kernels keep no weights between tokens. This one of them has a form for the meta device.
            return torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(query, key, value)[0]
        if function in _LOWER:
            arguments, keywords = tree_map_only(Tensor, self._lower, (arguments, keywords))
        elif function in _EXACT:
            arguments, keywords = tree_map_only(Tensor, Tensor.float, (arguments, keywords))
        return function(*arguments, **keywords)

    def _lower(self, tensor: Tensor) -> Tensor:
        if isinstance(tensor, nn.Parameter) and tensor.requires_grad and self.dtype is not tensor.dtype:
            return self.copies.setdefault(id(tensor), tensor.to(self.dtype))
        return tensor.to(self.dtype)


class _Kept:
    """Counts what autograd saves. A checkpointed block keeps its inputs; the largest one's inside is there once at a time."""

    def __init__(self, unet: FaithDiffUNet) -> None:
        self.unet = unet
        self.bytes = 0
        self.largest_block = 0
        # By storage. It holds the tensors, so that no address is used twice; the network's own weights count elsewhere.
        self._seen = {_storage(parameter): parameter.detach() for parameter in unet.parameters()}

    @contextmanager
    def counting(self) -> Iterator[None]:
        with torch.autograd.graph.saved_tensors_hooks(self._pack, lambda tensor: tensor):
            yield

    def holds(self, tensor: Tensor) -> bool:
        return _storage(tensor) in self._seen

    def _pack(self, tensor: Tensor) -> Tensor:
        if not self.holds(tensor):
            self._seen[_storage(tensor)] = tensor
            self.bytes += tensor.untyped_storage().nbytes()
        return tensor

    def checkpoint(self, block: Callable[..., Any], *arguments: Any) -> Any:
        tree_map_only(Tensor, self._pack, arguments)
        inside = _Kept(self.unet)
        with inside.counting():
            result = block(*arguments)
        self.largest_block = max(self.largest_block, inside.bytes)
        return result


def _storage(tensor: Tensor) -> int:
    return tensor.untyped_storage()._cdata
