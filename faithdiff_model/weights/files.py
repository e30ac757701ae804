"""The files that a network is loaded from, and the digest that names them without loading any."""

from __future__ import annotations

import json
from pathlib import Path

from faithdiff_model.presets.sdxl import FAITHDIFF_FILES, FIXED_VAE
from faithdiff_model.presets.tiny import SEED
from faithdiff_model.redaction import redact_url
from faithdiff_model.spec import ModelSpec
from faithdiff_model.weights.download import WeightsError, files_digest, resolve_file, resolve_folder

__all__ = [
    "TEXT_FOLDERS",
    "base_folder",
    "captioner_digest",
    "captioner_folder",
    "check_vae_dtype",
    "detail_file",
    "model_digest",
    "unet_folder",
    "vae_folder",
    "weights_file",
]

_SUFFIX, _DETAIL = ".safetensors", "-detail"
TEXT_FOLDERS = ("tokenizer", "tokenizer_2", "text_encoder", "text_encoder_2")
_BASE_PATTERNS = tuple(f"{folder}/*" for folder in TEXT_FOLDERS)

_CAPTIONER_PATTERNS = ("*.json", "*.safetensors", "*.model", "*.jinja")
_CAPTIONER_NEEDS = (
    ("config.json",),
    ("*.safetensors",),
    ("tokenizer.json", "tokenizer.model"),
    ("processor_config.json", "preprocessor_config.json"),
)


def model_digest(spec: ModelSpec) -> str:
    """Identifies the weights and the network, without loading them. Two equal digests restore alike.

    Raises:
        WeightsError: weights are missing.
    """
    config = spec.network()
    check_vae_dtype(spec, spec.dtype)
    if not spec.trained:
        return files_digest(f"{config.digest()} seed {SEED}", ())
    return files_digest(config.digest() + (f" detail {spec.detail}" if spec.detail else ""), _files(spec))


def base_folder(spec: ModelSpec) -> Path:
    """The SDXL base model's folder. Raises WeightsError: missing, or without tokenizers or text encoders."""
    base = resolve_folder(spec.origin.base, _BASE_PATTERNS)
    absent = [folder for folder in TEXT_FOLDERS if not (base / folder).is_dir()]
    if absent:
        raise WeightsError(
            f"base {redact_url(spec.origin.base)}: has no {', '.join(absent)}; give a whole SDXL model folder"
        )
    return base


def vae_folder(spec: ModelSpec) -> Path:
    """The VAE's folder. Raises WeightsError: missing."""
    folder = resolve_folder(spec.origin.vae, ("config.json", "vae/*", "diffusion_pytorch_model.safetensors"))
    for candidate in (folder, folder / "vae"):
        if (candidate / "config.json").is_file():
            return candidate
    raise WeightsError(
        f"VAE {redact_url(spec.origin.vae)}: no config.json in it or in its vae folder; give the VAE's own folder"
    )


def check_vae_dtype(spec: ModelSpec, dtype: str) -> None:
    """Refuse a VAE whose pictures become black in float16, before hours are spent on them.

    Its publisher says so by `force_upcast` in its config.json, which diffusers takes as true where it is not there: the
    activations of SDXL's own VAE go beyond 65504. The published fix has its weights scaled down, and says false.

    Args:
        spec: whose VAE.
        dtype: what is computed in, such as `float16`.

    Raises:
        WeightsError: it overflows in `dtype`, or is missing.
    """
    if dtype != "float16" or not spec.trained or spec.network().coefficients is not None:
        return
    try:
        config = json.loads((vae_folder(spec) / "config.json").read_text(encoding="utf-8"))
    except ValueError:
        return  # loading says what is wrong with it
    if config.get("force_upcast", True):
        raise WeightsError(
            f"VAE {redact_url(spec.origin.vae)}: overflows in float16, as its config.json says (force_upcast); give "
            f"{FIXED_VAE}, or choose dtype bfloat16 or float32"
        )


def unet_folder(spec: ModelSpec) -> Path:
    """The base model's own UNet, which training starts from. Raises WeightsError: missing."""
    base = resolve_folder(spec.origin.base, ("unet/*",))
    if not (base / "unet" / "config.json").is_file():
        raise WeightsError(f"base {redact_url(spec.origin.base)}: has no unet folder; give a whole SDXL model folder")
    return base / "unet"


def weights_file(spec: ModelSpec) -> Path:
    """The FaithDiff weights. Raises WeightsError: missing."""
    return resolve_file(spec.origin.faithdiff, FAITHDIFF_FILES)


def detail_file(spec: ModelSpec) -> Path:
    """The crisp end of the weights, beside them. Raises WeightsError: there is none."""
    location = spec.origin.faithdiff
    if location.endswith(_SUFFIX):
        location = location.removesuffix(_SUFFIX) + _DETAIL + _SUFFIX
    try:
        return resolve_file(location, (f"FaithDiff{_DETAIL}{_SUFFIX}",))
    except WeightsError as error:
        raise WeightsError(
            f"weights {redact_url(location)}: the crisp end is not there, and detail is {spec.detail}; train stage detail, or "
            "choose detail 0"
        ) from error


def captioner_folder(location: str) -> Path:
    """A LLaVA's folder. Raises WeightsError: missing or incomplete; safetensors alone are accepted."""
    folder = resolve_folder(location, _CAPTIONER_PATTERNS)
    # Without its config.json transformers would build its default LLaVA, of seven thousand million random parameters.
    for wanted in _CAPTIONER_NEEDS:
        if not any(next(folder.glob(pattern), None) for pattern in wanted):
            raise WeightsError(f"captioner {location}: has no {' or '.join(wanted)}; give a whole LLaVA folder")
    return folder


def captioner_digest(location: str) -> str:
    """Identifies a captioner by its files. Raises WeightsError as `captioner_folder`."""
    folder = captioner_folder(location)
    return files_digest("llava", [(path.name, path) for path in sorted(folder.iterdir()) if path.is_file()])


def _files(spec: ModelSpec) -> list[tuple[str, Path]]:
    """Every file that the weights come from: (name within the model, local path)."""
    files: list[tuple[str, Path]] = []
    if spec.network().text_input:
        base = base_folder(spec)
        texts = [path for folder in TEXT_FOLDERS for path in sorted((base / folder).glob("*")) if path.is_file()]
        files = [(f"base/{path.relative_to(base).as_posix()}", path) for path in texts]
    if spec.network().coefficients is None:
        vae = vae_folder(spec)
        files += [(f"vae/{path.name}", path) for path in (vae / "config.json", *sorted(vae.glob("*.safetensors")))]
    files.append(("faithdiff", weights_file(spec)))
    return [*files, ("detail", detail_file(spec))] if spec.detail else files
