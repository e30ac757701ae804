"""All degradations by name, as training and benchmarks ask for them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from faithdiff_model.degradation.archive.recipe import HEAVY, WORN, ArchiveSettings, degrade_archive, scan_undamaged
from faithdiff_model.degradation.result import Degraded
from faithdiff_model.degradation.settings import LEVELS
from faithdiff_model.degradation.two_pass import degrade_two_pass

__all__ = ["DEGRADATIONS", "Degraded", "degrade"]


def _level(image: np.ndarray, rng: np.random.Generator, level: str) -> Degraded:
    return Degraded(hq=image, lq=degrade_two_pass(image, LEVELS[level], rng), original=image)


DEGRADATIONS: dict[str, Callable[[np.ndarray, np.random.Generator], Degraded]] = {
    "level-I": lambda image, rng: _level(image, rng, "I"),
    "level-II": lambda image, rng: _level(image, rng, "II"),
    "level-III": lambda image, rng: _level(image, rng, "III"),
    "archive": lambda image, rng: degrade_archive(image, ArchiveSettings(), rng),
    "archive-heavy": lambda image, rng: degrade_archive(image, HEAVY, rng),
    "archive-worn": lambda image, rng: degrade_archive(image, WORN, rng),
    "undamaged": lambda image, rng: scan_undamaged(image, ArchiveSettings(), rng),
}


def degrade(name: str, image: np.ndarray, seed: int) -> Degraded:
    """Degrade one image by the recipe of a name.

    Args:
        name: one of `DEGRADATIONS`.
        image: float32 [H, W, 3] in 0 to 1, RGB, sides of 16 pixels or more.
        seed: 0 or more; the same seed gives the same result.

    Raises:
        ValueError: an unknown name, or an image of another kind.
    """
    if name not in DEGRADATIONS:
        raise ValueError(f"there is no degradation {name!r}: choose one of {', '.join(DEGRADATIONS)}")
    return DEGRADATIONS[name](image, np.random.default_rng(seed))
