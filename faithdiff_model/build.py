"""The one place that wires a `Restorer` out of its parts."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL
from transformers import CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

from faithdiff_model.checkpoint import load_published, read_tensors
from faithdiff_model.config import AttentionMode, NetworkConfig
from faithdiff_model.options import RestoreOptions
from faithdiff_model.presets import PRESETS, UNTRAINED
from faithdiff_model.presets.sdxl import DEFAULT_BASE, DEFAULT_FAITHDIFF, DEFAULT_VAE, FAITHDIFF_FILES
from faithdiff_model.presets.tiny import SEED
from faithdiff_model.restorer import Restorer
from faithdiff_model.text import PromptEncoder
from faithdiff_model.tiny_text import random_prompt_encoder
from faithdiff_model.unet import FaithDiffUNet, assemble_unet
from faithdiff_model.weights import WeightsError, files_digest, resolve_file, resolve_folder

_TEXT_FOLDERS = ("tokenizer", "tokenizer_2", "text_encoder", "text_encoder_2")
_BASE_PATTERNS = ("model_index.json", *(f"{folder}/*" for folder in _TEXT_FOLDERS))
_DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}


@dataclass(frozen=True, kw_only=True)
class ModelSpec:
    """Which network to build and from what.

    Attributes:
        preset: a name in `PRESETS`.
        base: SDXL base model with tokenizers and text encoders: local folder, fsspec URL or hub id.
        vae: likewise, the VAE (a folder with its config.json, or one whose `vae` subfolder has it).
        faithdiff: the weights file (or a folder or hub id that holds it).
        attention: alignment attention; None takes the preset's, which is what its weights were trained with.
        device: `auto`, `cpu`, `cuda`, `cuda:1`, `mps`.
        dtype: `auto` (float16 on a GPU as in the reference, float32 elsewhere), `float32`, `float16` or `bfloat16`.
        compile: compile the UNet with torch.compile (minutes at start, faster windows).
    """

    preset: str = "sdxl"
    base: str = DEFAULT_BASE
    vae: str = DEFAULT_VAE
    faithdiff: str = DEFAULT_FAITHDIFF
    attention: AttentionMode | None = None
    device: str = "auto"
    dtype: str = "auto"
    compile: bool = False

    def __post_init__(self) -> None:
        if self.preset not in PRESETS:
            raise ValueError(f"preset is {self.preset!r}: choose one of {', '.join(PRESETS)}")
        if self.dtype != "auto" and self.dtype not in _DTYPES:
            raise ValueError(f"dtype is {self.dtype!r}: choose auto, {', '.join(_DTYPES)}")

    @property
    def trained(self) -> bool:
        """False where the weights are random."""
        return self.preset not in UNTRAINED

    def network(self) -> NetworkConfig:
        """The preset with this spec's choices."""
        config = PRESETS[self.preset]
        if self.attention is None:
            return config
        return replace(config, alignment=replace(config.alignment, attention=self.attention))

    def torch_device(self) -> torch.device:
        """The device, `auto` resolved on this machine.

        Raises:
            ValueError: CUDA is asked for and there is none.
        """
        if self.device == "auto":
            return torch.device("cuda" if torch.cuda.is_available() else "cpu")
        device = torch.device(self.device)
        if device.type == "cuda" and not torch.cuda.is_available():
            raise ValueError(f"device is {self.device!r} but this machine has no usable GPU: choose auto or cpu")
        return device

    def torch_dtype(self) -> torch.dtype:
        """The dtype, `auto` resolved on this machine."""
        if self.dtype == "auto":
            return torch.float16 if self.torch_device().type == "cuda" else torch.float32
        return _DTYPES[self.dtype]


def model_digest(spec: ModelSpec) -> str:
    """Identifies the weights and the network, without loading them. Two equal digests restore alike.

    Raises:
        WeightsError: weights are missing.
    """
    config = spec.network()
    if not spec.trained:
        return files_digest(f"{config.digest()} seed {SEED}", ())
    return files_digest(config.digest(), _files(spec))


def build_restorer(spec: ModelSpec, options: RestoreOptions) -> Restorer:
    """Load or make all parts on the spec's device.

    Raises:
        WeightsError: weights are missing, incomplete, misshapen or unsafe.
        ValueError: an unusable device.
    """
    config, device, dtype = spec.network(), spec.torch_device(), spec.torch_dtype()
    unet, vae, prompts = _from_files(spec, config, dtype) if spec.trained else random_parts(config, SEED)
    unet = unet.to(device=device, dtype=dtype).eval().requires_grad_(False)
    if spec.compile:
        unet.core.compile()
    return Restorer(
        config=config,
        unet=unet,
        vae=torch.nn.Module.to(vae, device=device, dtype=dtype).eval().requires_grad_(False),
        prompt_encoder=prompts.to(device, dtype),
        options=options,
        device=device,
        digest=model_digest(spec),
        trained=spec.trained,
    )


def build_vae(config: NetworkConfig) -> Any:
    """The VAE of a network with fresh weights."""
    blocks = len(config.vae["block_out_channels"])
    return AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * blocks, up_block_types=("UpDecoderBlock2D",) * blocks, **config.vae
    )


def random_parts(config: NetworkConfig, seed: int) -> tuple[FaithDiffUNet, Any, PromptEncoder]:
    """All parts with weights from a seed; the caller's random state is left as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return assemble_unet(config), build_vae(config), random_prompt_encoder(*config.text_encoders)


def _files(spec: ModelSpec) -> list[tuple[str, Path]]:
    """Every file that the weights come from: (name within the model, local path)."""
    base = resolve_folder(spec.base, _BASE_PATTERNS)
    files = [
        (f"base/{path.relative_to(base).as_posix()}", path)
        for folder in _TEXT_FOLDERS
        for path in sorted((base / folder).glob("*"))
        if path.is_file()
    ]
    vae = _vae_folder(spec)
    files += [(f"vae/{path.name}", path) for path in (vae / "config.json", *sorted(vae.glob("*.safetensors")))]
    return [*files, ("faithdiff", resolve_file(spec.faithdiff, FAITHDIFF_FILES))]


def _vae_folder(spec: ModelSpec) -> Path:
    folder = resolve_folder(spec.vae, ("config.json", "vae/*", "diffusion_pytorch_model.safetensors"))
    for candidate in (folder, folder / "vae"):
        if (candidate / "config.json").is_file():
            return candidate
    raise WeightsError(f"VAE {spec.vae}: no config.json in it or in its vae folder; give the VAE's own folder")


def _from_files(spec: ModelSpec, config: NetworkConfig, dtype: torch.dtype) -> tuple[FaithDiffUNet, Any, PromptEncoder]:
    base = resolve_folder(spec.base, _BASE_PATTERNS)
    absent = [folder for folder in _TEXT_FOLDERS if not (base / folder).is_dir()]
    if absent:
        raise WeightsError(f"base {spec.base}: has no {', '.join(absent)}; give a whole SDXL model folder")
    vae_folder = _vae_folder(spec)
    try:
        tokenizers = tuple(CLIPTokenizer.from_pretrained(base / name) for name in _TEXT_FOLDERS[:2])
        encoders = (
            CLIPTextModel.from_pretrained(base / "text_encoder", dtype=dtype, **_variant(base / "text_encoder")).eval(),
            CLIPTextModelWithProjection.from_pretrained(
                base / "text_encoder_2", dtype=dtype, **_variant(base / "text_encoder_2")
            ).eval(),
        )
        vae = AutoencoderKL.from_pretrained(vae_folder, torch_dtype=dtype, use_safetensors=True)
    except (OSError, ValueError, RuntimeError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise WeightsError(f"base {spec.base} or VAE {spec.vae}: could not be loaded ({reason})") from error
    with torch.device("meta"):
        unet = assemble_unet(config)
    weights = resolve_file(spec.faithdiff, FAITHDIFF_FILES)
    load_published(unet, read_tensors(weights), source=str(weights), dtype=dtype)
    prompts = PromptEncoder((tokenizers[0], tokenizers[1]), encoders, zero_empty_negative=_zero_empty(base))
    return unet, vae, prompts


def _variant(folder: Path) -> dict[str, str]:
    """Which files of a text encoder to read: some SDXL repositories carry half-precision files alone."""
    half_only = (folder / "model.fp16.safetensors").is_file() and not (folder / "model.safetensors").is_file()
    return {"variant": "fp16"} if half_only else {}


def _zero_empty(base: Path) -> bool:
    """SDXL's own setting for the empty negative prompt; its default where the folder does not say."""
    import json

    index = base / "model_index.json"
    if not index.is_file():
        return True
    return bool(json.loads(index.read_text()).get("force_zeros_for_empty_prompt", True))
