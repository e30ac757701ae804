"""Measures by trained networks (NIQE: trained statistics) through pyiqa, the extra `metrics`, imported when one is named."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from faithdiff_model.evaluation.fidelity import check_pair

__all__ = ["MetricUnavailableError", "load_image_metric", "load_set_metric"]


class MetricUnavailableError(ValueError):
    """A measure cannot be had here: its package or its weights are missing. The message says what to do."""


def load_image_metric(name: str, device: str) -> Callable[[np.ndarray, np.ndarray], float]:
    """A measure of `labels.LEARNED`, ready: (result, reference), uint8 RGB [H, W, 3] of one size -> figure.

    Those without a reference (MUSIQ, CLIPIQA+, NIQE) look at the result alone.

    Args:
        name: pyiqa's.
        device: torch device.

    Raises:
        MetricUnavailableError: pyiqa or the weights are missing.
    """
    network = _create(name, device)

    def measure(result_HW3: np.ndarray, reference_HW3: np.ndarray) -> float:
        check_pair(result_HW3, reference_HW3)
        return float(network(_tensor(result_HW3), _tensor(reference_HW3)))

    return measure


def load_set_metric(name: str, device: str) -> Callable[[Path, Path], float]:
    """A measure of `labels.LEARNED_OF_SETS`, ready: (folder of results, folder of references) -> figure.

    Args:
        name: pyiqa's.
        device: torch device.

    Raises:
        MetricUnavailableError: pyiqa or the weights are missing.
    """
    network = _create(name, device)

    def measure(results: Path, references: Path) -> float:
        # No worker processes: a few hundred images are read in seconds, and a worker would load everything again.
        return float(network(str(results), str(references), verbose=False, num_workers=0))

    return measure


def _create(name: str, device: str) -> torch.nn.Module:
    try:
        import pyiqa
    except ImportError as error:
        missing = f"{name} needs pyiqa, which is not installed"
        if not (isinstance(error, ModuleNotFoundError) and error.name == "pyiqa"):
            missing = f"{name} needs pyiqa, which cannot be imported here ({_line(error)})"
        raise MetricUnavailableError(f'metric {missing}: pip install "faitharchive[metrics]"') from error
    except Exception as error:  # torchvision of another release than torch fails with what it likes
        raise MetricUnavailableError(
            f"metric {name}: pyiqa cannot be imported here ({_line(error)}); install torchvision of torch's own release"
        ) from error
    try:
        return pyiqa.create_metric(name, device=torch.device(device))
    except Exception as error:  # a download fails with any of a dozen exceptions
        raise MetricUnavailableError(
            f"metric {name}: pyiqa could not fetch or load its weights ({_line(error)}); "
            "connect this machine to the internet once, or copy pyiqa's cache from one that was"
        ) from error


def _tensor(image_HW3: np.ndarray) -> torch.Tensor:
    """[1, 3, H, W] float32 in [0, 1], as pyiqa takes it."""
    return torch.from_numpy(np.ascontiguousarray(image_HW3.transpose(2, 0, 1)))[None].float() / 255


def _line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0].strip()}" if lines else type(error).__name__
