"""How far a model's results disagree that differ in nothing but their noise: what it makes up, on a share of the windows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from faithdiff_model.image.resize import to_unit_float
from faithdiff_model.image.windows import Rect

if TYPE_CHECKING:
    from faithdiff_model.restorer import Restorer

__all__ = ["chosen_windows", "disagreement"]

_NINE_OF_TEN = 1.645  # standard deviations of a normal distribution to either side


def disagreement(restorer: Restorer, lq_HWC: np.ndarray, prompt: str, seed: int, seeds: int, share: float) -> float:
    """The mean half width of the band that holds nine of ten results of other seeds, a share of white.

    Each chosen window is restored by itself, from further seeds; the band is 1.645 standard deviations of a pixel's results. It
    says how much is made up, and not how far that is from the truth: results may agree on what is wrong.

    Args:
        restorer: the model.
        lq_HWC: the enlarged scan; alpha is ignored.
        prompt, seed: of the photograph; the further seeds follow from the latter.
        seeds: further results of a window, 2 or more.
        share: of the windows, above 0 to 1.
    """
    bands, areas = list[float](), list[int]()
    colour = lq_HWC[..., :1] if lq_HWC.shape[2] < 3 else lq_HWC[..., :3]
    side = restorer.config.window * restorer.config.pixels_per_latent
    more = np.random.default_rng([seed, seeds]).integers(0, 2**63, seeds)
    height, width = colour.shape[:2]
    for window in chosen_windows(height, width, side, share, seed):
        part = np.ascontiguousarray(colour[window.slices])
        results = restorer.restore([part] * seeds, [prompt] * seeds, [int(each) for each in more])
        spread = np.stack([to_unit_float(each) for each in results]).std(axis=0, ddof=1)
        bands.append(_NINE_OF_TEN * float(spread.mean()))
        areas.append(window.height * window.width)
    return float(np.average(bands, weights=areas))


def chosen_windows(height: int, width: int, side: int, share: float, seed: int) -> list[Rect]:
    """A share of the windows beside each other that cover a picture, at least one, drawn from a seed."""
    rows, columns = (max(1, length // side) for length in (height, width))
    edges = [np.linspace(0, length, count + 1).astype(int) for length, count in ((height, rows), (width, columns))]
    count = max(1, round(share * rows * columns))
    drawn = np.sort(np.random.default_rng(seed).permutation(rows * columns)[:count])
    found = []
    for number in drawn.tolist():
        row, column = divmod(number, columns)
        (top, bottom), (left, right) = edges[0][row : row + 2].tolist(), edges[1][column : column + 2].tolist()
        found.append(Rect(top, left, bottom - top, right - left))
    return found
