"""Heavy wear: every kind of mark beyond the recipe's own dust, scratches and crease, by probability, each with its cover."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import NamedTuple

import numpy as np

from faithdiff_model.degradation.archive.breaks import cracks, film_scratches, tears, torn_corners
from faithdiff_model.degradation.archive.drawing import AREA, Marked
from faithdiff_model.degradation.archive.fibres import fibres, hairs, specks
from faithdiff_model.degradation.archive.growth import fingerprints, mould, stains
from faithdiff_model.degradation.ranges import require, require_range

Range = tuple[float, float]
Mark = Callable[[np.ndarray, np.random.Generator, float, float], Marked]


class Kind(NamedTuple):
    """One kind of mark.

    Attributes:
        draw: of an image, a generator, an amount and a size.
        amount: from and to, as `draw` takes it: a density, an opacity or a length.
        limits: of the amount.
        whole: happens to a photograph and not to its area: crops meet fewer.
    """

    draw: Mark
    amount: Range
    limits: Range
    whole: bool = False


# In the order in which it happens: to the object first, to the glass last.
KINDS: Mapping[str, Kind] = MappingProxyType(
    {
        "stains": Kind(stains, (0.5, 4), (0, 100)),
        "mould": Kind(mould, (0.5, 5), (0, 100)),
        "cracks": Kind(cracks, (0.4, 1), (0, 1), whole=True),
        "tears": Kind(tears, (0.5, 2.5), (0, 100)),
        "torn_corners": Kind(
            lambda image, rng, amount, _size: torn_corners(image, rng, amount), (0.03, 0.25), (0.01, 0.5), True
        ),
        "fingerprints": Kind(fingerprints, (0.5, 3), (0, 100)),
        "film_scratches": Kind(film_scratches, (0.5, 5), (0, 20)),
        "fibres": Kind(fibres, (1, 12), (0, 200)),
        "hairs": Kind(hairs, (0.4, 3), (0, 60)),
        "specks": Kind(specks, (5, 60), (0, 400)),
    }
)
# About what a box of neglected prints shows; a fifth of them with none of it but dust.
_OFTEN = {
    "stains": 0.2,
    "mould": 0.15,
    "cracks": 0.12,
    "tears": 0.15,
    "torn_corners": 0.08,
    "fingerprints": 0.15,
    "film_scratches": 0.2,
    "fibres": 0.35,
    "hairs": 0.3,
    "specks": 0.6,
}


@dataclass(frozen=True, kw_only=True)
class WearSettings:
    """How often each kind of mark happens, how much of it there is, and how large it is.

    Attributes:
        often: probability of each of `KINDS`; those that are not named do not happen. Kinds that happen to a photograph as a
            whole happen to smaller images in proportion to their area, up to 512 x 512 pixels.
        amounts: (from, to) of a kind, instead of the ones in `KINDS`.
        size: (from, to) of the marks' size, 0.5 to 4, drawn once an image; 1 suits photographs of 500 to 1000 pixels.
    """

    often: Mapping[str, float] = field(default_factory=lambda: dict(_OFTEN))
    amounts: Mapping[str, Range] = field(default_factory=dict)
    size: Range = (0.7, 1.6)

    def __post_init__(self) -> None:
        unknown = [name for name in (*self.often, *self.amounts) if name not in KINDS]
        if unknown:
            raise ValueError(f"there is no kind of wear {unknown[0]!r}: choose some of {', '.join(KINDS)}")
        for name, probability in self.often.items():
            require(f"often[{name!r}]", probability, 0, 1)
        for name, amount in self.amounts.items():
            require_range(f"amounts[{name!r}]", amount, *KINDS[name].limits)
        require_range("size", self.size, 0.5, 4)


def wear(
    image: np.ndarray, settings: WearSettings, rng: np.random.Generator
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Wear on a photograph.

    Args:
        image: float32 [H, W, 3] in 0 to 1, RGB.
        settings: what may happen.
        rng: the same state gives the same result.

    Returns:
        The marked image, and of each kind that happened, by its name in `KINDS`, how far it changed the picture there: float32
        [H, W], the largest difference in any channel, 0 to 1.
    """
    share = min(1.0, image.shape[0] * image.shape[1] / AREA)
    size = float(rng.uniform(*settings.size))
    changes: dict[str, np.ndarray] = {}
    for name, kind in KINDS.items():
        # Three draws a kind, whether or not it happens, so that one kind's settings leave the others where they are.
        chance, part, seed = rng.random(), rng.random(), int(rng.integers(2**63))
        if chance < settings.often.get(name, 0.0) * (share if kind.whole else 1.0):
            low, high = settings.amounts.get(name, kind.amount)
            before = image
            image = kind.draw(before, np.random.default_rng(seed), low + part * (high - low), size).image
            changes[name] = np.abs(image - before).max(axis=2)
    return image, changes
