"""How right predicted errors are where the truth is known: coverage of the band, its width, and rank correlations."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from faithdiff_model.degradation.recipes import degrade
from faithdiff_model.evaluation.data import image_seed
from faithdiff_model.image.resize import enlarge, from_unit_float
from faithdiff_model.restorer import Restorer
from faithdiff_model.training.photographs import read_photograph

DEGRADATIONS = ("level-I", "level-II", "level-III", "archive", "undamaged")
BLOCK = 16  # pixels a side of the blocks whose errors are ranked
_UNIT = np.dtype(np.uint8)


class Case(NamedTuple):
    """A photograph whose restoration is compared with the truth.

    Attributes:
        name: of the photograph.
        degradation: what was done to it.
        factor: by how much its scan was smaller.
        scan: enlarged, uint8 [H, W, 3].
        result: uint8 [H, W, 3].
        reference: uint8 [H, W, 3].
    """

    name: str
    degradation: str
    factor: int
    scan: np.ndarray
    result: np.ndarray
    reference: np.ndarray


def cases(
    restorer: Restorer, photographs: Sequence[Path], degradations: Sequence[str] = DEGRADATIONS, side: int = 512
) -> Iterator[Case]:
    """Every photograph under every degradation, restored.

    Args:
        restorer: what is judged.
        photographs: files.
        degradations: names in `degradation.recipes.DEGRADATIONS`.
        side: of the middle that is taken of each, in pixels, at most; a multiple of 16.
    """
    for path in photographs:
        image = _middle(read_photograph(str(path)).astype(np.float32) / 255, side)
        for degradation in degradations:
            made = degrade(degradation, image, image_seed(0, path.stem, degradation))
            reference = from_unit_float(made.hq, _UNIT)
            factor = reference.shape[0] // made.lq.shape[0]
            scan = from_unit_float(enlarge(from_unit_float(made.lq, _UNIT), *reference.shape[:2]), _UNIT)
            (result,) = restorer.restore([scan], [""], [0])
            yield Case(path.stem, degradation, factor, scan, result, reference)


def _middle(image: np.ndarray, side: int) -> np.ndarray:
    height, width = (min(side, length // 16 * 16) for length in image.shape[:2])
    top, left = (image.shape[0] - height) // 2, (image.shape[1] - width) // 2
    return np.ascontiguousarray(image[top : top + height, left : left + width])


def rank_correlation(first: np.ndarray, second: np.ndarray) -> float:
    """Spearman's: Pearson's of the ranks, equal values sharing theirs; 0 where one is the same everywhere."""
    ranks = [_ranks(np.ravel(each)) for each in (first, second)]
    deviations = [each - each.mean() for each in ranks]
    scale = np.sqrt((deviations[0] ** 2).sum() * (deviations[1] ** 2).sum())
    return float((deviations[0] * deviations[1]).sum() / scale) if scale else 0.0


def _ranks(values: np.ndarray) -> np.ndarray:
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return (last - (counts - 1) / 2)[inverse]


def block_means(values_HW: np.ndarray, side: int) -> np.ndarray:
    """Means of whole blocks of `side` values a side: [H // side, W // side]."""
    height, width = (length // side for length in values_HW.shape)
    cut = values_HW[: height * side, : width * side]
    return np.asarray(cut.reshape(height, side, width, side).mean(axis=(1, 3)))
