"""Undamaged crops that a detector takes for damaged: rims, lamps, wires. Training goes on with them, to make it more careful.

A detector that is trained on scans of every kind sees few of those that mislead it. After a first training it looks at many
undamaged parts of the training photographs, and those that it marks most become crops without any damage.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from faithdiff_model.damage import crops
from faithdiff_model.damage.crops import SIDE, region
from faithdiff_model.damage.measure import UNDAMAGED
from faithdiff_model.damage.scenery import SCENERY
from faithdiff_model.degradation.archive.rescan import rescan
from faithdiff_model.training.photographs import read_photograph

__all__ = ["mine_hard_crops"]

_TRIES = 8  # parts that are looked at for one that is kept
# How often each treatment is drawn: more often what misleads more, and a halftone, which hardly does, seldom.
_OFTEN = {"as it is": 3, "grey": 2, "grain 0.04": 4, "noise 8": 3, "JPEG 40": 3, "halftone": 1, "scanned again": 4}
_SCENERY = 0.3  # of the parts, have lamps, wires or the like drawn into them
_TWICE = 0.35  # of the parts, are scanned once more after all, softer or sharper, with noise and JPEG of any strength


def mine_hard_crops(
    photographs: Sequence[str], folder: Path, count: int, judge: Callable[[np.ndarray], float], seed: int = 1
) -> None:
    """Write `count` crops without damage, the most misleading of eight times as many; go on where an earlier call was stopped.

    Args:
        photographs: paths or fsspec URLs of undamaged photographs, those that are trained on.
        folder: gets `.npy` files as `crops.Crops` reads them; their targets are 0 throughout.
        count: of crops, rounded up to whole files.
        judge: how much of a picture, uint8 [192, 192, 3], the detector marks; more is more misleading.
        seed: of the parts, and of what is done to them (`measure.UNDAMAGED`).

    Raises:
        PhotographError: a photograph cannot be read.
    """
    folder.mkdir(parents=True, exist_ok=True)
    images = [read_photograph(name) for name in photographs]
    for chunk in range(-(-count // crops.CHUNK)):
        path = folder / f"{chunk:05d}.npy"
        if path.exists():
            continue
        looks = (
            _undamaged(images, seed, chunk * crops.CHUNK * _TRIES + number) for number in range(crops.CHUNK * _TRIES)
        )
        kept: list[tuple[float, int, np.ndarray]] = []
        for number, picture in enumerate(looks):
            kept.append((judge(picture), -number, picture))
            if len(kept) >= 2 * crops.CHUNK:
                kept = sorted(kept, reverse=True, key=lambda one: one[:2])[: crops.CHUNK]
        kept = sorted(kept, reverse=True, key=lambda one: one[:2])[: crops.CHUNK]
        partial = path.with_suffix(".partial")
        with partial.open("wb") as file:
            np.save(file, np.stack([np.dstack([picture, np.zeros((SIDE, SIDE), np.uint8)]) for *_, picture in kept]))
        partial.rename(path)


def _undamaged(images: Sequence[np.ndarray], seed: int, index: int) -> np.ndarray:
    """Part number `index`: uint8 [192, 192, 3], treated in one of the ways that damage nothing."""
    rng = np.random.default_rng([seed, index])
    part = region(images[int(rng.integers(len(images)))], rng)
    if rng.random() < _SCENERY:
        part = np.clip(SCENERY[rng.choice(list(SCENERY))](part, rng), 0, 1).astype(np.float32)
    often = np.array([_OFTEN[name] for name in UNDAMAGED], float)
    treated = UNDAMAGED[rng.choice(list(UNDAMAGED), p=often / often.sum())](part, rng)
    if rng.random() < _TWICE:
        blur, noise, halo = rng.uniform(0.3, 1.3), rng.uniform(0.5, 5), rng.uniform(0, 0.8)
        treated = rescan(treated, rng, 1, int(rng.integers(50, 96)), blur=blur, noise=noise, halo=halo)
    edge = (treated.shape[0] - SIDE) // 2
    return np.rint(np.clip(treated[edge : edge + SIDE, edge : edge + SIDE], 0, 1) * 255).astype(np.uint8)
