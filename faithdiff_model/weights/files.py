"""The files that a network is loaded from, and the digest that names them without loading any."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path, PurePosixPath

from faithdiff_model.presets.sdxl import FAITHDIFF_FILES, FIXED_VAE
from faithdiff_model.presets.tiny import SEED
from faithdiff_model.redaction import redact_url
from faithdiff_model.spec import ModelSpec
from faithdiff_model.weights.digests import Part, config_part, file_part, parts_digest, tensors_part
from faithdiff_model.weights.download import WeightsError, resolve_file, resolve_folder
from faithdiff_model.weights.selection import (
    Picked,
    file_names,
    pick_captioner,
    pick_text,
    pick_unet,
    pick_vae,
)

__all__ = [
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


def model_digest(spec: ModelSpec) -> str:
    """Identifies the weights and the network, without loading them. Two equal digests restore alike (`weights.digests`).

    Raises:
        WeightsError: weights are missing, damaged or unsafe.
    """
    config = spec.network()
    check_vae_dtype(spec, spec.dtype)
    if not spec.trained:
        return parts_digest(f"{config.digest()} seed {SEED}", ())
    return parts_digest(config.digest() + (f" detail {spec.detail}" if spec.detail else ""), _parts(spec))


def base_folder(spec: ModelSpec) -> Path:
    """The SDXL base model's folder. Raises WeightsError: missing, or without tokenizers or text encoders."""
    return _text(spec)[0]


def vae_folder(spec: ModelSpec) -> Path:
    """The VAE's folder. Raises WeightsError: missing."""
    return _vae(spec)[0]


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
    pick = partial(pick_unet, half=_half(spec))
    base = resolve_folder(spec.origin.base, pick)
    _check_whole(f"base {redact_url(spec.origin.base)}", pick(file_names(base)), "give a whole SDXL model folder")
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
    folder = resolve_folder(location, pick_captioner)
    _check_whole(f"captioner {location}", pick_captioner(file_names(folder)), "give a whole LLaVA folder")
    return folder


def captioner_digest(location: str) -> str:
    """Identifies a captioner by the files that are read. Raises WeightsError as `captioner_folder`."""
    folder = captioner_folder(location)
    return parts_digest("llava", [file_part(name, folder / name) for name in pick_captioner(file_names(folder)).files])


def _text(spec: ModelSpec) -> tuple[Path, list[str]]:
    """The base model's folder, and the files of it that are read."""
    pick = partial(pick_text, half=_half(spec))
    base = resolve_folder(spec.origin.base, pick)
    files = pick(file_names(base))
    _check_whole(f"base {redact_url(spec.origin.base)}", files, "give a whole SDXL model folder")
    return base, files.files


def _vae(spec: ModelSpec) -> tuple[Path, list[str]]:
    """The VAE's folder, and the files of it that are read."""
    pick = partial(pick_vae, half=_half(spec))
    folder = resolve_folder(spec.origin.vae, pick)
    files = pick(file_names(folder))
    _check_whole(f"VAE {redact_url(spec.origin.vae)}", files, "give the VAE's own folder, or a whole SDXL model folder")
    inner = (folder / files.files[0]).parent
    return inner, [Path(name).name for name in files.files]


def _half(spec: ModelSpec) -> bool:
    return spec.weights_dtype == "float16"


def _check_whole(what: str, picked: Picked, remedy: str) -> None:
    if picked.lacking:
        raise WeightsError(f"{what}: has no {', '.join(picked.lacking)}; {remedy}")


def _parts(spec: ModelSpec) -> list[Part]:
    """Everything that the weights come from."""
    files = [("faithdiff", weights_file(spec))] + ([("detail", detail_file(spec))] if spec.detail else [])
    if spec.named_by_bytes:
        return [file_part(name, path) for name, path in files]
    parts = [tensors_part(name, [path], spec.weights_dtype) for name, path in files]
    if spec.network().text_input:
        parts += _model_parts("base", *_text(spec), spec.weights_dtype)
    if spec.network().coefficients is None:
        parts += _model_parts("vae", *_vae(spec), spec.weights_dtype)
    return parts


def _model_parts(prefix: str, folder: Path, files: list[str], dtype: str) -> list[Part]:
    """A folder's files: a model's tensors are one part, whatever files they are in; of tokenizers every byte counts."""
    parts: list[Part] = []
    tensors: dict[str, list[Path]] = {}
    for name in files:
        model = str(PurePosixPath(prefix, PurePosixPath(name).parent))
        if name.endswith(_SUFFIX):
            tensors.setdefault(model, []).append(folder / name)
        elif Path(name).name == "config.json":
            parts.append(config_part(f"{model} config", folder / name))
        elif not name.endswith(".json") or ".safetensors.index" not in name:
            parts.append(file_part(f"{prefix}/{name}", folder / name))
    return parts + [tensors_part(f"{model} tensors", paths, dtype) for model, paths in tensors.items()]
