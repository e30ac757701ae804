"""What training starts from: a published base model, an earlier stage's weights, or nothing."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from faithdiff_model.build import load_errors, load_prompts
from faithdiff_model.network.config import NetworkConfig
from faithdiff_model.network.text import PromptEncoder, random_prompt_encoder
from faithdiff_model.network.unet import FaithDiffUNet, assemble_unet
from faithdiff_model.network.vae import build_vae, load_vae
from faithdiff_model.spec import ModelSpec
from faithdiff_model.training.loop import TrainingParts
from faithdiff_model.weights.checkpoint import read_tensors
from faithdiff_model.weights.checkpoint_keys import to_ours
from faithdiff_model.weights.download import WeightsError
from faithdiff_model.weights.files import unet_folder, vae_folder
from faithdiff_model.weights.selection import DIFFUSERS_STEM, variant

logger = logging.getLogger(__name__)


def training_parts(
    spec: ModelSpec, network: NetworkConfig, *, init: Path | None, seed: int, fresh_alignment: bool = False
) -> TrainingParts:
    """The parts of a network as a stage begins with them, in float32 on the CPU.

    The LQ encoder begins as the VAE's encoder. The UNet begins as `init` if that is given; as the base model's where the
    preset has one; otherwise fresh.

    Args:
        spec: where the VAE and the text encoders are.
        network: the preset with its ablations.
        init: weights of an earlier stage, with published names. What an ablation took out of the network is left out, and
            what it put in starts fresh; the UNet itself must fit.
        seed: of what starts fresh.
        fresh_alignment: leave the alignment's weights in `init` alone, but for the UNet's first convolution (ablation).

    Raises:
        WeightsError: weights are missing or of another network.
    """
    spec = replace(spec, dtype="float32")  # the finest copy of what is published
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        unet = assemble_unet(network)
        vae = _vae(spec, network) if spec.trained and network.coefficients is None else build_vae(network)
        prompts = _prompts(spec, network)
    if network.coefficients is None:
        start_lq_encoder(unet, vae)
    if init is not None:
        load_stage(unet, read_tensors(init), source=str(init), fresh_alignment=fresh_alignment)
    elif spec.trained and network.text_input:
        _load_base(unet, spec)
    return TrainingParts(unet, vae, prompts)


def _vae(spec: ModelSpec, network: NetworkConfig) -> Any:
    folder = vae_folder(spec)
    with load_errors(f"VAE {folder}:"):
        return load_vae(folder, network, torch.float32)


def _prompts(spec: ModelSpec, network: NetworkConfig) -> PromptEncoder | None:
    if not network.text_input:
        return None
    return load_prompts(spec, torch.float32) if spec.trained else random_prompt_encoder(*network.text_encoders)


def start_lq_encoder(unet: FaithDiffUNet, vae: Any) -> None:
    """Begin the LQ encoder as the VAE's encoder (paper section 3.2)."""
    source = {name: tensor for name, tensor in vae.encoder.state_dict().items() if name in unet.lq_encoder.state_dict()}
    if unet.lq_encoder.last is not None:  # the ablation's last layer: the half of the VAE's that gives the mean
        channels = vae.config.latent_channels
        source |= {f"last.2.{name}": getattr(vae.encoder.conv_out, name)[:channels] for name in ("weight", "bias")}
        norm = vae.encoder.conv_norm_out.state_dict()
        source |= {f"last.0.{name}": tensor for name, tensor in norm.items()}
    unet.lq_encoder.load_state_dict(source, strict=True)


def load_stage(
    unet: FaithDiffUNet, tensors: Mapping[str, Tensor], *, source: str, fresh_alignment: bool = False
) -> None:
    """Put an earlier stage's tensors (published names) into `unet` as far as they fit; the UNet core must fit whole.

    Raises:
        WeightsError: the core does not fit.
    """
    expected = unet.state_dict()
    ours = {to_ours(name): tensor for name, tensor in tensors.items()}
    if fresh_alignment:
        kept = ("core.", "lq_encoder.", "alignment.conv_in.")
        ours = {name: tensor for name, tensor in ours.items() if name.startswith(kept)}
    fitting = {name: t for name, t in ours.items() if name in expected and expected[name].shape == t.shape}
    fresh = [name for name in expected if name not in fitting]
    if any(name.startswith("core.") for name in fresh):
        raise WeightsError(f"weights {source}: their UNet is of another network; give weights of the same preset")
    if fresh:
        logger.warning(
            "%s has no fitting weights for %d tensors (%s ...): they start fresh", source, len(fresh), fresh[0]
        )
    unet.load_state_dict({name: tensor.float() for name, tensor in fitting.items()}, strict=False)


def _load_base(unet: FaithDiffUNet, spec: ModelSpec) -> None:
    """SDXL's own UNet: its first convolution goes into the alignment, the rest is the core."""
    from diffusers import UNet2DConditionModel

    folder = unet_folder(spec)
    with load_errors(f"base {folder}: its UNet"):
        base = UNet2DConditionModel.from_pretrained(
            folder, use_safetensors=True, **variant(folder, DIFFUSERS_STEM, half=False)
        )
    state = base.state_dict()
    first = {name.removeprefix("conv_in."): state.pop(name) for name in list(state) if name.startswith("conv_in.")}
    try:
        unet.alignment.conv_in.load_state_dict(first, strict=True)
        unet.core.load_state_dict(state, strict=True)
    except RuntimeError as error:
        raise WeightsError(
            f"base {folder}: its UNet is of another network; give the base model of the preset"
        ) from error
