"""The VAE: diffusers' own, published or ours, with or without normalisation."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from faithdiff_model.network.config import NetworkConfig
from faithdiff_model.network.dct_codec import DCTCodec
from faithdiff_model.network.norms import remove_norms
from faithdiff_model.weights.selection import DIFFUSERS_STEM, variant
from faithdiff_model.weights.wrappings import check_loaded

VAE_FILE = "diffusion_pytorch_model.safetensors"


def build_vae(config: NetworkConfig) -> Any:
    """The VAE of a network with fresh weights, or its codec, which has none."""
    if config.coefficients is not None:
        return DCTCodec(config.coefficients.side, config.coefficients.deviations)
    from diffusers import AutoencoderKL

    blocks = len(config.vae["block_out_channels"])
    groups = config.vae["norm_num_groups"]
    vae = AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * blocks,
        up_block_types=("UpDecoderBlock2D",) * blocks,
        **{**config.vae, "norm_num_groups": groups or 1},
    )
    if not groups:
        remove_norms(vae)
    return vae


def load_vae(folder: Path, config: NetworkConfig, dtype: torch.dtype, *, half: bool = False) -> Any:
    """The VAE in a folder with `config.json` and safetensors, as diffusers saves it.

    Args:
        folder: where it is.
        config: of the network.
        dtype: what the weights become.
        half: the float16 copy will do, where there are two.

    Raises:
        OSError, ValueError, RuntimeError: missing or unreadable files, tensors that do not fit.
    """
    if config.vae["norm_num_groups"]:
        from diffusers import AutoencoderKL

        vae, told = AutoencoderKL.from_pretrained(
            folder,
            torch_dtype=dtype,
            use_safetensors=True,
            output_loading_info=True,
            **variant(folder, DIFFUSERS_STEM, half=half),
        )
        check_loaded(told, str(folder))
        own, expected = vae.config.scaling_factor, config.vae["scaling_factor"]
        if own != expected:
            raise ValueError(
                f"its scaling_factor is {own} and the network's {expected}: it is of another family of models"
            )
        return vae
    vae = torch.nn.Module.to(build_vae(config), dtype=dtype)
    vae.load_state_dict(load_file(folder / VAE_FILE), strict=True)
    return vae


def save_vae(vae: Any, folder: Path, config: NetworkConfig, dtype: torch.dtype) -> None:
    """Write `config.json` and safetensors of `dtype` for `load_vae`."""
    folder.mkdir(parents=True, exist_ok=True)
    state = {name: tensor.detach().to(dtype).contiguous().cpu() for name, tensor in vae.state_dict().items()}
    save_file(state, folder / VAE_FILE)
    (folder / "config.json").write_text(json.dumps({"_class_name": "AutoencoderKL", **config.vae}, indent=2) + "\n")
