"""Files of small networks that ship with the code: numbers as float16, and what else there is to know in the header."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from faithdiff_model.weights.download import WeightsError

__all__ = ["read_half_file", "unfit", "write_half_file"]


def read_half_file(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors by name, as float32, and the texts of the header.

    Raises:
        WeightsError: missing or damaged.
    """
    try:
        with safe_open(path, "pt") as file:
            return {name: file.get_tensor(name).float() for name in file.keys()}, file.metadata() or {}  # noqa: SIM118
    except FileNotFoundError as error:
        raise WeightsError(f"weights {path}: no such file") from error
    except (OSError, SafetensorError) as error:
        raise WeightsError(f"weights {path}: damaged or not safetensors; install the package again") from error


def write_half_file(path: Path, tensors: Mapping[str, Tensor], facts: Mapping[str, str]) -> None:
    """Write tensors as float16, with `facts` in the header."""
    save_file({name: value.half().contiguous().cpu() for name, value in tensors.items()}, path, metadata=dict(facts))


def unfit(path: Path, whose: str, error: Exception) -> WeightsError:
    """The error of a file that holds something else.

    Args:
        path: of the file.
        whose: weights they should be, with what to do.
        error: what building the network of them raised.
    """
    reason = str(error).splitlines()[-1].strip() if str(error) else type(error).__name__
    return WeightsError(f"weights {path}: not {whose} ({reason})")
