"""The reference tensors of tests/data and a network filled as they were made (see tests/data/README.md)."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from faithdiff_model.build import build_vae
from faithdiff_model.network.config import AlignmentConfig, AttentionMode, NetworkConfig
from faithdiff_model.network.text import TextEmbedding
from faithdiff_model.network.unet import FaithDiffUNet, assemble_unet
from faithdiff_model.weights.checkpoint_keys import to_published

DATA = Path(__file__).parents[1] / "data"
SINGLE, LOOP = (
    2e-4,
    2e-3,
)  # largest absolute errors that tests/data/README.md allows: one forward; four steps of denoising


def tensors(name: str) -> dict[str, Tensor]:
    with np.load(DATA / f"{name}.npz") as archive:
        return {key: torch.from_numpy(archive[key]) for key in archive}


def configs() -> dict[str, Any]:
    return json.loads((DATA / "configs.json").read_text())


class ReferenceText:
    """The reference's own embeddings in place of text encoders, which it did not publish numbers for."""

    def __init__(self, found: dict[str, Tensor]) -> None:
        self.found = found

    def encode(self, prompt: str) -> TextEmbedding:
        return TextEmbedding(self.found["prompt"][0], self.found["pooled"][0])

    def encode_negative(self, prompt: str, empty: str = "") -> TextEmbedding:
        return TextEmbedding(self.found["negative_prompt"][0], self.found["negative_pooled"][0])


@lru_cache
def network_config(attention: AttentionMode = "guidance_pair") -> NetworkConfig:
    """The small network of the reference run: full-size LQ encoder, 16-pixel windows, the VAE whole."""
    found = configs()
    return NetworkConfig(
        name="golden",
        unet=found["core_unet"],
        vae=found["vae"],
        noise_schedule=found["noise_schedule"],
        alignment=AlignmentConfig(attention=attention),
        window=16,
        codec_window=32,
    )


def filled(name: str, shape: tuple[int, ...]) -> Tensor:
    """A parameter's values from its published name."""
    draw = np.random.RandomState(zlib.crc32(name.encode()) & 0xFFFFFFFF).standard_normal(shape).astype(np.float32)
    if len(shape) >= 2:
        draw = draw / np.sqrt(np.prod(shape[1:]))
    elif name.endswith("weight"):
        draw = 1 + 0.1 * draw
    else:
        draw = 0.02 * draw
    return torch.from_numpy(draw.astype(np.float32))


def published_state(unet: FaithDiffUNet) -> dict[str, Tensor]:
    """All tensors of a network under their published names, filled."""
    names = {to_published(name): tuple(value.shape) for name, value in unet.state_dict().items()}
    return {name: filled(name, shape) for name, shape in names.items()}


@lru_cache
def network(attention: AttentionMode = "guidance_pair") -> FaithDiffUNet:
    from faithdiff_model.weights.checkpoint import load_published

    unet = assemble_unet(network_config(attention))
    load_published(unet, published_state(unet), source="golden", dtype=torch.float32)
    return unet.eval().requires_grad_(False)


@lru_cache
def vae() -> Any:
    model = build_vae(network_config())
    state: Mapping[str, Tensor] = {name: filled(name, tuple(p.shape)) for name, p in model.state_dict().items()}
    model.load_state_dict(state)
    return model.eval().requires_grad_(False)
