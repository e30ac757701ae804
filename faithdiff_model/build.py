"""The one place that wires a `Restorer` out of its parts."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from faithdiff_model.memory import PlacedParts, Weights, available_memory, choose_placement, store_as_float8
from faithdiff_model.network.compiled import compile_parts
from faithdiff_model.network.config import NetworkConfig
from faithdiff_model.network.float8 import check_float8, compute_in_float8
from faithdiff_model.network.text import PromptEncoder, random_prompt_encoder
from faithdiff_model.network.unet import FaithDiffUNet, assemble_unet
from faithdiff_model.network.vae import build_vae, load_vae
from faithdiff_model.options import RestoreOptions
from faithdiff_model.presets.tiny import SEED
from faithdiff_model.redaction import redact_url
from faithdiff_model.restorer import Restorer
from faithdiff_model.spec import ModelSpec
from faithdiff_model.weights.blend import blend
from faithdiff_model.weights.checkpoint import load_published, read_tensors
from faithdiff_model.weights.download import WeightsError
from faithdiff_model.weights.files import (
    base_folder,
    check_vae_dtype,
    detail_file,
    model_digest,
    vae_folder,
    weights_file,
)
from faithdiff_model.weights.revisions import pin_model
from faithdiff_model.weights.selection import TEXT_FOLDERS, TRANSFORMERS_STEM, variant
from faithdiff_model.weights.wrappings import check_loaded


def build_restorer(spec: ModelSpec, options: RestoreOptions, *, fewer_windows: bool = False) -> Restorer:
    """Load or make all parts on the spec's device, or, where that has not the memory, ready to come there in turn.

    Args:
        spec: which network, from what, on what.
        options: how to sample.
        fewer_windows: a call may hold fewer windows than `options` say, so that the network stays on the device.

    Raises:
        WeightsError: weights are missing, incomplete, misshapen or unsafe.
        ValueError: an unusable device; less memory than the network takes, where it has to stay on the device; features to
            reuse, or float8 arithmetic, where there is none.
    """
    spec, _ = pin_model(spec)  # all parts of one commit, and the hub is asked once
    config, device, dtype = spec.network(), spec.torch_device(), spec.torch_dtype()
    check_vae_dtype(spec, str(dtype).removeprefix("torch."))
    if spec.float8_arithmetic:
        check_float8(device)  # before gigabytes are loaded
    unet, vae, prompts = _from_files(spec, config) if spec.trained else random_parts(config, SEED)
    unet = unet.to(dtype=dtype).eval().requires_grad_(False)
    vae = torch.nn.Module.to(vae, dtype=dtype).eval().requires_grad_(False)
    if prompts is not None:
        prompts = prompts.to(torch.device("cpu"), dtype)
    if spec.float8_storage:
        store_as_float8(unet, dtype)
    placement, windows = choose_placement(
        Weights.of(unet, vae, prompts),
        config,
        memory=available_memory(spec, device, movable=movable(spec, options)),
        windows=options.window_batch,
        fewer=fewer_windows,
        width=dtype.itemsize,
    )
    if options.feature_reuse > 1:
        _ = unet.split  # says so where there are no features to reuse
    parts = PlacedParts(unet, vae, prompts, device, placement, movable=movable(spec, options))
    if spec.compile:
        compile_parts(unet, vae, config)
    if spec.float8_arithmetic:
        compute_in_float8(unet.diffusers_core("float8 arithmetic"))  # compiled when it is first called
    return Restorer(
        config=config,
        unet=unet,
        vae=vae,
        prompt_encoder=prompts,
        options=replace(options, window_batch=windows),
        device=device,
        digest=model_digest(spec),
        trained=spec.trained,
        parts=parts,
    )


def movable(spec: ModelSpec, options: RestoreOptions) -> bool:
    """Whether the UNet may leave the device while it does not compute: compiled code holds its weights, a split core is two
    modules, and float8 tensors are not moved."""
    return not spec.compile and not spec.float8_arithmetic and options.feature_reuse == 1


def load_restorer(
    base: str, vae: str, faithdiff: str, *, options: RestoreOptions | None = None, **choices: Any
) -> Restorer:
    """Load the published network.

    Args:
        base: SDXL base model: local folder, fsspec URL or hub id.
        vae: its VAE, likewise.
        faithdiff: `FaithDiff.bin` or safetensors: local file, URL or hub id.
        options: how to sample.
        choices: other fields of `spec.ModelSpec`, such as `device` and `dtype`.

    Raises:
        WeightsError: weights are missing, incomplete, misshapen or unsafe.
        ValueError: an unusable device.
    """
    spec = ModelSpec(base=base, vae=vae, faithdiff=faithdiff, **choices)
    return build_restorer(spec, options or RestoreOptions())


def random_parts(config: NetworkConfig, seed: int) -> tuple[FaithDiffUNet, Any, PromptEncoder | None]:
    """All parts with weights from a seed; the caller's random state is left as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        unet, vae = assemble_unet(config), build_vae(config)
        return unet, vae, random_prompt_encoder(*config.text_encoders) if config.text_input else None


def _from_files(spec: ModelSpec, config: NetworkConfig) -> tuple[FaithDiffUNet, Any, PromptEncoder | None]:
    """The parts with the weights that their digest is of: of a published network rounded, of ours as they are."""
    dtype = spec.torch_dtype() if spec.named_by_bytes else getattr(torch, spec.weights_dtype)
    if config.text_input:
        base_folder(spec)
    # What is missing is said before anything is loaded.
    vae_at, weights = vae_folder(spec) if config.coefficients is None else None, weights_file(spec)
    crisp = detail_file(spec) if spec.detail else None
    prompts = load_prompts(spec, dtype) if config.text_input else None
    vae = build_vae(config)
    if vae_at is not None:
        with load_errors(f"VAE {redact_url(spec.origin.vae)}:"):
            vae = load_vae(vae_at, config, dtype, half=spec.weights_dtype == "float16")
    with torch.device("meta"):
        unet = assemble_unet(config)
    tensors = read_tensors(weights)
    if crisp is not None:
        tensors = blend(tensors, read_tensors(crisp), spec.detail, source=str(crisp))
    load_published(unet, tensors, source=str(weights), dtype=dtype)
    return unet, vae, prompts


def load_prompts(spec: ModelSpec, dtype: torch.dtype) -> PromptEncoder:
    """The text encoders of a base model. Raises WeightsError: missing or unreadable."""
    from transformers import CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

    base, half = base_folder(spec), spec.weights_dtype == "float16"
    with load_errors(f"base {redact_url(spec.origin.base)}:"):
        tokenizers = tuple(CLIPTokenizer.from_pretrained(base / name) for name in TEXT_FOLDERS[:2])
        encoders = (
            _text_encoder(CLIPTextModel, base / "text_encoder", dtype, half),
            _text_encoder(CLIPTextModelWithProjection, base / "text_encoder_2", dtype, half),
        )
    return PromptEncoder((tokenizers[0], tokenizers[1]), encoders)


def _text_encoder(kind: type[Any], folder: Path, dtype: torch.dtype, half: bool) -> Any:
    """A text encoder, complete. Raises OSError, ValueError, RuntimeError: it is not."""
    # Sizes that differ are let through here and stopped below, where they can be named.
    encoder, told = kind.from_pretrained(
        folder,
        dtype=dtype,
        use_safetensors=True,
        output_loading_info=True,
        ignore_mismatched_sizes=True,
        **variant(folder, TRANSFORMERS_STEM, half=half),
    )
    check_loaded(told, str(folder))
    return encoder.eval()


@contextmanager
def load_errors(what: str) -> Iterator[None]:
    """A library's many-line complaint as our one line, a WeightsError that begins with `what`."""
    try:
        yield
    except (OSError, ValueError, RuntimeError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise WeightsError(f"{what} could not be loaded ({reason})") from error
