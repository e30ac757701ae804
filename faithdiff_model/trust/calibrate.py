"""Split-conformal calibration: by what predicted scales are multiplied so that the band holds as many pixels as it says.

The score of a pixel is its error in units of the predicted scale; the factor is a quantile of the scores of photographs that
nothing was trained on (Papadopoulos et al., 2002; Angelopoulos and Bates, 2023). It is taken apart by predicted scale, as
errors that are predicted to be small have longer tails than large ones. Pixels of one photograph depend on each other, so the
promise is one of experience and not of the theorem: `measure.py` says what it comes to on other photographs.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np

from faithdiff_model.trust.estimate import Calibration
from faithdiff_model.trust.pairs import pixel_errors
from faithdiff_model.trust.shipped import CELL


def calibrated(
    cases: Iterable[tuple[np.ndarray, np.ndarray, np.ndarray]], *, coverage: float = 0.9, bins: int = 8
) -> Calibration:
    """Choose factors.

    Args:
        cases: of each photograph the network's logarithms (`ErrorEstimator.scales`), the result and the reference, uint8
            [H, W, 3] with sides that are multiples of a cell's.
        coverage: share of the pixels that the band is to hold.
        bins: of the predicted scales, with as many cells each.

    Raises:
        ValueError: no cases.
    """
    scales, errors = list[np.ndarray](), list[np.ndarray]()
    for logarithm, result, reference in cases:
        error = pixel_errors(result, reference)
        rows, columns = logarithm.shape
        cells = error.reshape(rows, CELL, columns, CELL).transpose(0, 2, 1, 3).reshape(-1, CELL * CELL)
        scales.append(logarithm.ravel())
        errors.append(cells)
    if not scales:
        raise ValueError("no photographs to calibrate on: give one or more")
    scale, error = np.concatenate(scales), np.concatenate(errors)
    order = np.argsort(scale, kind="stable")
    centres, factors = list[float](), list[float]()
    for part in np.array_split(order, bins):
        scores = np.sort((error[part] * np.exp(-scale[part])[:, None]).ravel())
        place = min(len(scores), math.ceil((len(scores) + 1) * coverage)) - 1
        centres.append(float(np.median(scale[part])))
        factors.append(float(scores[place]))
    return Calibration(tuple(centres), tuple(factors), coverage)
