"""What a degradation gives back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

DAMAGE_VISIBLE = 0.04  # ten of 255 levels: a change that is smaller is no mark that anyone sees


@dataclass(frozen=True)
class Degraded:
    """A photograph and its scan. All float32 [., ., 3] in 0 to 1, RGB.

    Attributes:
        hq: [H, W, 3], what a restoration of `lq` should reach: the original, with the changes of tone that are evidence of the
            object and are not to be repainted (the archive recipe), or as it is (the levels).
        lq: [ceil(H / scale), ceil(W / scale), 3], the damaged, smaller image.
        original: [H, W, 3], what was put in.
        damage: by kind (`dust`, `scratches`, `crease`, and those in `archive.wear.KINDS`), float32 [H, W] in 0 to 1: how far
            its marks changed the picture there, in the channel that changed most, before the scan. Kinds that drew nothing may
            be absent.
    """

    hq: np.ndarray
    lq: np.ndarray
    original: np.ndarray
    damage: Mapping[str, np.ndarray] = field(default_factory=dict)

    def damage_mask(self) -> np.ndarray:
        """Where marks of any kind can be seen: bool [H, W]."""
        mask = np.zeros(self.hq.shape[:2], bool)
        for change in self.damage.values():
            mask |= change > DAMAGE_VISIBLE
        return mask
