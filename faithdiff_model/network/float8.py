"""Float8 arithmetic in the UNet's transformer layers, by torchao: an approximation for GPUs that multiply faster in float8."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

if TYPE_CHECKING:  # takes seconds to import
    from diffusers import UNet2DConditionModel

__all__ = ["check_float8", "compute_in_float8"]

_LEAST_CAPABILITY = (8, 9)  # Ada; Hopper is 9.0
_MULTIPLE = 16  # of both sides of a weight: what cuBLAS multiplies in float8


def check_float8(device: torch.device) -> None:
    """Raises ValueError: torchao is missing, or the device does not multiply in float8."""
    if device.type != "cuda" or torch.cuda.get_device_capability(device) < _LEAST_CAPABILITY:
        name = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
        raise ValueError(
            f"float8 arithmetic: {name} does not multiply in float8, which NVIDIA's GPUs do from Ada and Hopper on (capability "
            "8.9); leave --float8-arithmetic out"
        )
    try:
        import torchao  # noqa: F401
    except ImportError as error:
        raise ValueError(
            'float8 arithmetic needs torchao: pip install "faitharchive[float8]", or leave it out'
        ) from error


def compute_in_float8(core: UNet2DConditionModel) -> None:
    """Let linear layers of the core's transformers multiply in float8 (e4m3), in place: weights and inputs with a scale a row.

    Convolutions, normalisation, embeddings and attention itself stay as they are.

    Args:
        core: on the device that it computes on, in bfloat16.
    """
    from torchao.quantization import Float8DynamicActivationFloat8WeightConfig, PerRow, quantize_

    quantize_(core, Float8DynamicActivationFloat8WeightConfig(granularity=PerRow()), filter_fn=_takes_part)


def _takes_part(layer: nn.Module, name: str) -> bool:
    if not isinstance(layer, nn.Linear) or ".attentions." not in f".{name}":
        return False
    return layer.in_features % _MULTIPLE == 0 and layer.out_features % _MULTIPLE == 0
