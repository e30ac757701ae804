"""Which files of a model are read, of all that lie in its folder or repository. The same files are fetched and digested."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import NamedTuple

__all__ = [
    "DIFFUSERS_STEM",
    "TEXT_FOLDERS",
    "TRANSFORMERS_STEM",
    "Pick",
    "Picked",
    "file_names",
    "pick_captioner",
    "pick_first",
    "pick_text",
    "pick_unet",
    "pick_vae",
    "tensor_files",
    "variant",
]


class Picked(NamedTuple):
    """What is read of a model.

    Attributes:
        files: their names, relative, with slashes.
        lacking: what is missing for the model to be whole, by names that a person can look for.
    """

    files: list[str]
    lacking: list[str]


# From the names of all files those that are read.
Pick = Callable[[Collection[str]], Picked]

TEXT_FOLDERS = ("tokenizer", "tokenizer_2", "text_encoder", "text_encoder_2")
DIFFUSERS_STEM, TRANSFORMERS_STEM = "diffusion_pytorch_model", "model"
_HALF = "fp16"
_CONFIG = "config.json"
_TOKENIZER = re.compile(
    r"tokenizer(_2)?/(vocab\.json|merges\.txt|tokenizer(_config)?\.json|special_tokens_map\.json|added_tokens\.json)"
)
_CAPTIONER_NEEDS = (
    ("config.json",),
    ("*.safetensors",),
    ("tokenizer.json", "tokenizer.model"),
    ("processor_config.json", "preprocessor_config.json"),
)
_CAPTIONER = re.compile(r"[^/]+\.(json|safetensors|model|jinja)")


def file_names(folder: Path) -> list[str]:
    """The files of a folder and of its folders, by their relative paths with slashes, sorted."""
    found = (path for pattern in ("*", "*/*") for path in folder.glob(pattern) if path.is_file())
    return sorted(path.relative_to(folder).as_posix() for path in found)


def tensor_files(names: Collection[str], stem: str, *, half: bool) -> list[str]:
    """The files of one copy of a model's tensors, of the copies that there are: float16 and full precision, whole or in shards.

    Args:
        names: of all files.
        stem: folder and name of the copy without what follows, such as `text_encoder/model`.
        half: float16 is enough, and wanted if there is a choice.

    Returns:
        One file, or an index and all its shards; none where there is no complete safetensors copy.
    """
    for dot in (f".{_HALF}", "") if half else ("", f".{_HALF}"):
        if f"{stem}{dot}.safetensors" in names:
            return [f"{stem}{dot}.safetensors"]
        index = f"{stem}.safetensors.index{dot}.json"
        # diffusers and transformers have written the variant before and after the shard's number.
        number, variant_name = r"-\d+-of-(\d+)", re.escape(dot)
        pattern = re.compile(rf"{re.escape(stem)}({variant_name}{number}|{number}{variant_name})\.safetensors")
        shards = {name: found for name in names if (found := pattern.fullmatch(name))}
        if (
            index in names
            and shards
            and len(shards) == int(max(g for g in next(iter(shards.values())).groups()[1:] if g))
        ):
            return [index, *sorted(shards)]
    return []


def variant(folder: Path, stem: str, *, half: bool) -> dict[str, str]:
    """The choice of `tensor_files` as `from_pretrained` of diffusers and transformers takes it."""
    chosen = tensor_files([path.name for path in folder.iterdir()], stem, half=half)
    return {"variant": _HALF} if chosen and f".{_HALF}" in chosen[0] else {}


def pick_text(names: Collection[str], *, half: bool) -> Picked:
    """Tokenizers and text encoders of an SDXL model."""
    files = sorted(name for name in names if _TOKENIZER.fullmatch(name))
    lacking = [folder for folder in TEXT_FOLDERS[:2] if not any(name.startswith(f"{folder}/") for name in files)]
    parts = [_model(names, f"{folder}/", TRANSFORMERS_STEM, half=half) for folder in TEXT_FOLDERS[2:]]
    return Picked(
        files + [name for part in parts for name in part.files],
        lacking + [name for part in parts for name in part.lacking],
    )


def pick_vae(names: Collection[str], *, half: bool) -> Picked:
    """A VAE, in the folder itself or, of a whole SDXL model, in its folder `vae`."""
    return _model(
        names, "vae/" if _CONFIG not in names and f"vae/{_CONFIG}" in names else "", DIFFUSERS_STEM, half=half
    )


def pick_unet(names: Collection[str], *, half: bool) -> Picked:
    """The UNet of a whole SDXL model."""
    return _model(names, "unet/", DIFFUSERS_STEM, half=half)


def pick_captioner(names: Collection[str]) -> Picked:
    """A LLaVA, in one folder."""
    files = sorted(name for name in names if _CAPTIONER.fullmatch(name))
    # Without its config.json transformers would build its default LLaVA, of seven thousand million random parameters.
    lacking = [" or ".join(either) for either in _CAPTIONER_NEEDS if not any(fnmatch.filter(files, n) for n in either)]
    return Picked(files, lacking)


def pick_first(wanted: Sequence[str]) -> Pick:
    """The first of some names that is there."""

    def pick(names: Collection[str]) -> Picked:
        files = [name for name in wanted if name in names][:1]
        return Picked(files, [] if files else [" or ".join(wanted)])

    return pick


def _model(names: Collection[str], folder: str, stem: str, *, half: bool) -> Picked:
    """`config.json` and one copy of the tensors."""
    config = [f"{folder}{_CONFIG}"]
    tensors = tensor_files(names, folder + stem, half=half)
    lacking = [name for name in config if name not in names]
    return Picked(
        [name for name in config if name in names] + tensors,
        lacking + ([] if tensors else [f"{folder}{stem}.safetensors"]),
    )
