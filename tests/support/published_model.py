"""A small model in the layout in which SDXL, its VAE and FaithDiff are published, and changes to its files."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

import faithdiff_model.presets
from faithdiff_model.build import random_parts
from faithdiff_model.presets.tiny import TINY
from faithdiff_model.spec import ModelSpec
from faithdiff_model.weights.checkpoint import save_published

VAE = "vae/diffusion_pytorch_model.safetensors"
TEXT = "base/text_encoder_2/model.safetensors"
WEIGHTS = "FaithDiff.safetensors"


def add_preset(monkeypatch: pytest.MonkeyPatch) -> None:
    """The preset `small`: of the size of `tiny`, and it wants files."""
    monkeypatch.setitem(faithdiff_model.presets.PRESETS, "small", dataclasses.replace(TINY, name="small"))


def publish(folder: Path, seed: int = 5) -> Path:
    """base/, vae/ and FaithDiff.safetensors, of random float32 weights; the folder."""
    unet, vae, prompts = random_parts(TINY, seed)
    assert prompts is not None
    for number, name in enumerate(("", "_2")):
        prompts.tokenizers[number].save_pretrained(folder / "base" / f"tokenizer{name}")
        prompts.encoders[number].save_pretrained(folder / "base" / f"text_encoder{name}")
    vae.save_pretrained(folder / "vae")
    save_published(unet, folder / WEIGHTS)
    return folder


def spec(at: Path, **choices: str) -> ModelSpec:
    """The model in a folder, on the CPU."""
    places = {"base": str(at / "base"), "vae": str(at / "vae"), "faithdiff": str(at / WEIGHTS)}
    return ModelSpec(**{"preset": "small", "device": "cpu", **places, **choices})  # type: ignore[arg-type]


def change_config(file: Path, **values: object) -> None:
    """Other values in a JSON file; None takes one away."""
    config = {name: value for name, value in json.loads(file.read_text()).items() if name not in values}
    file.write_text(json.dumps(config | {name: value for name, value in values.items() if value is not None}))


def change_tensors(file: Path, change: Callable[[dict[str, torch.Tensor]], object]) -> None:
    """Other tensors in a safetensors file."""
    tensors = load_file(file)
    change(tensors)
    save_file(tensors, file, metadata={"format": "pt"})


def round_tensors(file: Path, target: Path, dtype: torch.dtype = torch.float16) -> None:
    """A copy of a safetensors file in another format of numbers."""
    save_file({name: tensor.to(dtype) for name, tensor in load_file(file).items()}, target, metadata={"format": "pt"})
