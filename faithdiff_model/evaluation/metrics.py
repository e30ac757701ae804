"""Measures by name, ready to use: those of single images and those of whole sets."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from faithdiff_model.evaluation.fidelity import psnr_rgb, psnr_y, ssim_rgb, ssim_y
from faithdiff_model.evaluation.fsim import fsim
from faithdiff_model.evaluation.labels import LEARNED, LEARNED_OF_SETS, METRIC_NAMES, OWN, Label
from faithdiff_model.evaluation.learned import load_image_metric, load_set_metric
from faithdiff_model.evaluation.perceptual import gmsd, ms_ssim_y

__all__ = ["Metric", "SetMetric", "prepare_metrics"]

ImageMeasure = Callable[[np.ndarray, np.ndarray], float]

_OWN_MEASURES: dict[str, ImageMeasure] = {
    "psnr_y": psnr_y,
    "psnr_rgb": psnr_rgb,
    "ssim_y": ssim_y,
    "ssim_rgb": ssim_rgb,
    "ms_ssim_y": ms_ssim_y,
    "gmsd": gmsd,
    "fsim": fsim,
}


@dataclass(frozen=True)
class Metric:
    """A figure of every image; `measure` takes (result, reference), uint8 RGB [H, W, 3] of one size."""

    label: Label
    measure: ImageMeasure


@dataclass(frozen=True)
class SetMetric:
    """A figure of a whole set of images; `measure` takes the folders of (results, references)."""

    label: Label
    measure: Callable[[Path, Path], float]


def prepare_metrics(names: Sequence[str], device: str) -> tuple[list[Metric], list[SetMetric]]:
    """Measures ready for use, those of images and those of sets.

    Args:
        names: of `labels.METRIC_NAMES`, each once; none stands for all that need no download.
        device: torch device for those that are networks.

    Raises:
        ValueError: an unknown name, or one given twice.
        MetricUnavailableError: pyiqa or weights are missing.
    """
    names = list(names) or [label.name for label in OWN]
    for name in names:
        if name not in METRIC_NAMES:
            raise ValueError(f"there is no metric {name!r}: choose from {', '.join(METRIC_NAMES)}")
        if names.count(name) > 1:
            raise ValueError(f"metric {name} is given twice: name it once")
    images = [Metric(label, _OWN_MEASURES[label.name]) for label in OWN if label.name in names]
    images += [Metric(label, load_image_metric(label.name, device)) for label in LEARNED if label.name in names]
    sets = [SetMetric(label, load_set_metric(label.name, device)) for label in LEARNED_OF_SETS if label.name in names]
    return images, sets
