"""Reading and writing FaithDiff weights files: safe formats only, strict about every tensor."""

from __future__ import annotations

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

__all__ = ["load_published", "read_tensors", "save_published"]

_SHOWN = 3  # names in an error message


def read_tensors(path: Path) -> dict[str, Tensor]:
    """All tensors of a `.safetensors` file or a torch file, on the CPU.

    Raises:
        WeightsError: missing, damaged, or a pickle that wants to run code.
    """
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        loaded = torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    except pickle.UnpicklingError as error:
        raise WeightsError(
            f"weights {path}: holds more than tensors and would run code when loaded; convert it to safetensors"
        ) from error
    except FileNotFoundError as error:
        raise WeightsError(f"weights {path}: no such file") from error
    except (OSError, RuntimeError, SafetensorError, ValueError, EOFError) as error:
        raise WeightsError(f"weights {path}: damaged or not a weights file; fetch it again") from error
    if isinstance(loaded, Mapping) and isinstance(loaded.get("state_dict"), Mapping):
        loaded = loaded["state_dict"]
    if not isinstance(loaded, Mapping) or not all(isinstance(v, Tensor) for v in loaded.values()):
        raise WeightsError(
            f"weights {path}: not a table of tensors; expected the published FaithDiff.bin or safetensors"
        )
    return dict(loaded)


def load_published(unet: FaithDiffUNet, tensors: Mapping[str, Tensor], *, source: str, dtype: torch.dtype) -> None:
    """Put tensors with published names into the network, which may be on the meta device.

    Args:
        unet: the network; its parameters are replaced.
        tensors: by published name.
        source: named in errors.
        dtype: what the parameters become.

    Raises:
        WeightsError: missing, unknown or misshapen tensors, with how many and which.
    """
    ours = {to_ours(name): (name, tensor) for name, tensor in tensors.items()}
    expected = unet.state_dict()
    missing = [to_published(name) for name in expected if name not in ours]
    extra = [published for name, (published, _) in ours.items() if name not in expected]
    misshapen = [
        f"{ours[name][0]} is {list(ours[name][1].shape)}, expected {list(tensor.shape)}"
        for name, tensor in expected.items()
        if name in ours and ours[name][1].shape != tensor.shape
    ]
    faults = [
        f"{len(names)} {what} ({'; '.join(names[:_SHOWN])}{' ...' if len(names) > _SHOWN else ''})"
        for what, names in (("missing", missing), ("unknown", extra), ("misshapen", misshapen))
        if names
    ]
    if faults:
        raise WeightsError(f"weights {source}: {', '.join(faults)}; they belong to another network")
    state = {name: ours[name][1].to(dtype) for name in expected}
    unet.load_state_dict(state, strict=True, assign=True)


def save_published(unet: FaithDiffUNet, path: Path) -> None:
    """Write the network's tensors as safetensors under their published names."""
    state = {to_published(name): tensor.detach().contiguous().cpu() for name, tensor in unet.state_dict().items()}
    save_file(state, path)
