"""Weights of another size than the preset's: a file that says itself which network it is of."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from faithdiff_model.network.config import CoefficientConfig, NetworkConfig
from faithdiff_model.network.unet import assemble_unet
from faithdiff_model.network.vae import build_vae
from faithdiff_model.presets import DEFAULTS
from faithdiff_model.presets.nano import NANO
from faithdiff_model.restorer import Restorer
from faithdiff_model.weights.checkpoint import load_published, read_tensors

_KEY = "coefficients"  # of the file's metadata: the fields of `CoefficientConfig`, as JSON
LIMIT = 16 << 20  # bytes that one file may have: what the package carries, and what comes back from a lent machine

assert NANO.coefficients is not None
# Parameters: nano 3.8 M, large 7.8 M, tiny for trying the script out.
WIDTHS: dict[str, CoefficientConfig] = {
    "nano": NANO.coefficients,
    "large": replace(NANO.coefficients, widths=(128, 160, 192), blocks=(5, 2, 2)),
    "tiny": replace(NANO.coefficients, lq_channels=8, lq_blocks=1, widths=(8, 12), blocks=(1, 1), head_channels=4),
}


def network_of(coefficients: CoefficientConfig) -> NetworkConfig:
    """nano with other widths."""
    return replace(NANO, coefficients=coefficients)


def save_half(weights: Path, network: NetworkConfig, path: Path) -> int:
    """Write the tensors of a weights file in float16 beside the network that they are of; its bytes.

    The file appears whole or not at all: who kills this process finds the one before.

    Raises:
        ValueError: it would be larger than `LIMIT`.
    """
    assert network.coefficients is not None
    halves = {name: tensor.to(torch.float16) for name, tensor in load_file(weights).items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    save_file(halves, partial, metadata={_KEY: json.dumps(asdict(network.coefficients))})
    size = partial.stat().st_size
    if size > LIMIT:
        partial.unlink()
        raise ValueError(f"{path}: {size} bytes in float16, at most {LIMIT} may be: choose a smaller width")
    partial.rename(path)
    return size


def saved_network(path: Path) -> NetworkConfig:
    """The network that a file's weights are of; nano where it does not say."""
    with safe_open(path, "pt") as file:
        told = (file.metadata() or {}).get(_KEY)
    if told is None:
        return NANO
    fields = {name: tuple(value) if isinstance(value, list) else value for name, value in json.loads(told).items()}
    return network_of(CoefficientConfig(**fields))


def load_restorer(path: Path, device: str = "cpu") -> Restorer:
    """A replica in float32 of the network that a file says it is of.

    Raises:
        WeightsError: the tensors do not fit that network.
    """
    network = saved_network(path)
    with torch.device("meta"):
        unet = assemble_unet(network)
    load_published(unet, read_tensors(path), source=str(path), dtype=torch.float32)
    return Restorer(
        config=network,
        unet=unet.to(device).eval().requires_grad_(False),
        vae=build_vae(network).to(device),
        prompt_encoder=None,
        options=DEFAULTS["nano"],
        device=torch.device(device),
        digest="",
        trained=True,
    )
