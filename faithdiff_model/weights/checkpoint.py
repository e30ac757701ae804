"""Reading and writing FaithDiff weights files: safe formats only, strict about every tensor."""

from __future__ import annotations

import logging
import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from faithdiff_model.network.unet import FaithDiffUNet
from faithdiff_model.weights.checkpoint_keys import to_ours, to_published
from faithdiff_model.weights.download import WeightsError
from faithdiff_model.weights.wrappings import inner_names, is_spare, name_some, unpack, warn_spare

__all__ = ["load_published", "read_tensors", "save_published"]

logger = logging.getLogger(__name__)


def read_tensors(path: Path) -> dict[str, Tensor]:
    """All tensors of a `.safetensors` file or a torch file, on the CPU.

    Levels (`state_dict`) and prefixes (`module.`, `unet.`) around a network's own names are taken off, with a warning.

    Raises:
        WeightsError: missing, damaged, or a pickle that wants to run code.
    """
    try:
        if path.suffix == ".safetensors":
            return _bare(load_file(path), path, [])
        loaded = torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    except pickle.UnpicklingError as error:
        raise WeightsError(
            f"weights {path}: holds more than tensors and would run code when loaded; convert it to safetensors"
        ) from error
    except FileNotFoundError as error:
        raise WeightsError(f"weights {path}: no such file") from error
    except (OSError, RuntimeError, SafetensorError, ValueError, EOFError) as error:
        raise WeightsError(f"weights {path}: damaged or not a weights file; fetch it again") from error
    loaded, left = unpack(loaded) if isinstance(loaded, Mapping) else (loaded, [])
    if not isinstance(loaded, Mapping) or not all(isinstance(v, Tensor) for v in loaded.values()):
        raise WeightsError(
            f"weights {path}: not a table of tensors; expected the published FaithDiff.bin or safetensors"
        )
    return _bare(loaded, path, left)


def _bare(tensors: Mapping[str, Tensor], path: Path, left: list[str]) -> dict[str, Tensor]:
    """The tensors by a network's own names; says what was around them."""
    inner = inner_names(tensors)
    name, bare = next(((o, i) for o, i in inner.items() if o != i and not is_spare(i)), ("", ""))
    left = left + ([f"prefix {name.removesuffix(bare)}"] if name else [])
    if left:
        logger.warning("weights %s: taken out of what is around them, and left aside: %s", path, ", ".join(left))
    return {inner[outer]: tensor for outer, tensor in tensors.items()}


def load_published(unet: FaithDiffUNet, tensors: Mapping[str, Tensor], *, source: str, dtype: torch.dtype) -> None:
    """Put tensors with published names into the network, which may be on the meta device.

    Args:
        unet: the network; its parameters are replaced.
        tensors: by published name.
        source: named in errors, and in the warning of tensors that cannot matter.
        dtype: what the parameters become.

    Raises:
        WeightsError: missing, unknown or misshapen tensors, with how many and which.
    """
    ours = {to_ours(name): (name, tensor) for name, tensor in tensors.items()}
    expected = unet.state_dict()
    missing = [to_published(name) for name in expected if name not in ours]
    extra = [published for name, (published, _) in ours.items() if name not in expected]
    unknown = [name for name in extra if not is_spare(name)]
    misshapen = [
        f"{ours[name][0]} is {list(ours[name][1].shape)}, expected {list(tensor.shape)}"
        for name, tensor in expected.items()
        if name in ours and ours[name][1].shape != tensor.shape
    ]
    faults = [
        f"{len(names)} {what} ({name_some(names)})"
        for what, names in (("missing", missing), ("unknown", unknown), ("misshapen", misshapen))
        if names
    ]
    if faults:
        raise WeightsError(f"weights {source}: {', '.join(faults)}; they belong to another network")
    warn_spare(source, extra)
    state = {name: ours[name][1].to(dtype) for name in expected}
    unet.load_state_dict(state, strict=True, assign=True)


def save_published(unet: FaithDiffUNet, path: Path) -> None:
    """Write the network's tensors as safetensors under their published names."""
    state = {to_published(name): tensor.detach().contiguous().cpu() for name, tensor in unet.state_dict().items()}
    save_file(state, path)
