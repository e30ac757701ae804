"""What a degradation gives back."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Degraded:
    """A photograph and its scan. All float32 [., ., 3] in 0 to 1, RGB.

    Attributes:
        hq: [H, W, 3], what a restoration of `lq` should reach: the original, with the changes of tone that are evidence of the
            object and are not to be repainted (the archive recipe), or as it is (the levels).
        lq: [ceil(H / scale), ceil(W / scale), 3], the damaged, smaller image.
        original: [H, W, 3], what was put in.
    """

    hq: np.ndarray
    lq: np.ndarray
    original: np.ndarray
