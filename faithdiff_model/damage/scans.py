"""Scans whose damage is known, for training and measuring the detector: a photograph, what became of it, its masks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import cv2
import numpy as np

from faithdiff_model.damage.network import FAMILIES
from faithdiff_model.damage.scenery import SCENERY
from faithdiff_model.degradation.archive.emulsion import grain, halftone
from faithdiff_model.degradation.archive.rescan import rescan
from faithdiff_model.degradation.archive.surface import crease, dust, scratches
from faithdiff_model.degradation.archive.tone import DYE_LOSS, colour_cast, fade, grey, sepia
from faithdiff_model.degradation.archive.wear import WearSettings, wear
from faithdiff_model.degradation.ranges import require, require_image

# Kinds of `degradation.archive` by what they look like, which is what the network tells apart.
FAMILY_OF: Mapping[str, str] = {
    "dust": "specks",
    "specks": "specks",
    "scratches": "lines",
    "crease": "lines",
    "film_scratches": "lines",
    "hairs": "lines",
    "fibres": "lines",
    "cracks": "lines",
    "tears": "lines",
    "torn_corners": "areas",
    "fingerprints": "areas",
    "mould": "areas",
    "stains": "areas",
}
# The archive recipe's own marks, in more amounts than it has them.
_SURFACE: Mapping[str, Callable[[np.ndarray, np.random.Generator], np.ndarray]] = {
    "crease": lambda image, rng: crease(image, rng, rng.uniform(0.3, 1)),
    "scratches": lambda image, rng: scratches(image, rng, rng.uniform(1, 16)),
    "dust": lambda image, rng: dust(image, rng, rng.uniform(5, 160)),
}
UNSURE = 128  # bit of a target: too faint, or too near a mark's edge, to count for or against
_VISIBLE, _INVISIBLE = 0.045, 0.012  # change of the picture, of white


@dataclass(frozen=True, kw_only=True)
class ScanSettings:
    """How a training scan is made. Probabilities in 0 to 1, ranges (from, to).

    Attributes:
        damaged: of any damage at all.
        scenery: of something in the scene that looks like damage.
        closer: of a scan of more pixels, up to three times as many a side: picture and marks are larger and softer.
        dust, scratches, crease: of the archive recipe's own marks; amounts are wider than there.
        wear: the other kinds.
    """

    damaged: float = 0.8
    scenery: float = 0.4
    closer: float = 0.25
    dust: float = 0.5
    scratches: float = 0.4
    crease: float = 0.35
    wear: WearSettings = field(
        default_factory=lambda: WearSettings(
            often={
                "stains": 0.18,
                "mould": 0.18,
                "cracks": 0.5,
                "tears": 0.3,
                "torn_corners": 0.6,
                "fingerprints": 0.2,
                "film_scratches": 0.2,
                "fibres": 0.3,
                "hairs": 0.3,
                "specks": 0.5,
            },
            size=(0.7, 2.5),
        )
    )

    def __post_init__(self) -> None:
        for name in ("damaged", "scenery", "closer", "dust", "scratches", "crease"):
            require(name, getattr(self, name), 0, 1)


class Scan(NamedTuple):
    """A scan and where it is damaged.

    Attributes:
        image: uint8 [H, W, 3], RGB.
        changes: kind -> float32 [H, W], how far marks of that kind changed the picture, 0 to 1, as sharp as the scan.
        noise: standard deviation of what hides faint marks (grain and sensor), of white.
    """

    image: np.ndarray
    changes: dict[str, np.ndarray]
    noise: float


def make_scan(photo: np.ndarray, settings: ScanSettings, rng: np.random.Generator) -> Scan:
    """Age, mark and scan a photograph without changing its size.

    Args:
        photo: float32 [H, W, 3] in 0 to 1, RGB, sides of 16 pixels or more.
        settings: what may happen.
        rng: the same state gives the same scan.
    """
    require_image(photo)
    scene = photo
    if rng.random() < settings.scenery:
        scene = soft_scene(list(SCENERY.values())[rng.integers(len(SCENERY))](photo, rng), rng)
    picture, noise = _print(scene, rng)
    changes: dict[str, np.ndarray] = {}
    if rng.random() < settings.damaged:
        picture, changes = _damage(picture, settings, rng)
    if rng.random() < settings.closer:
        picture, changes = _closer(picture, changes, float(rng.uniform(1.2, 3)))
    blur, sensor = float(rng.uniform(0.1, 1.2)), float(rng.choice([0.0, 1.0]) * rng.uniform(0, 6))
    quality = int(rng.integers(35, 99)) if rng.random() < 0.6 else 100
    scan = rescan(
        picture, rng, 1, quality, blur=blur, noise=sensor, halo=float(rng.choice([0, 1]) * rng.uniform(0, 0.8))
    )
    softened = {kind: cv2.GaussianBlur(change, (0, 0), blur) for kind, change in changes.items()}
    return Scan(np.rint(scan * 255).astype(np.uint8), softened, float(np.hypot(noise, sensor / 255)))


def soft_scene(scene: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A scene [H, W, 3] through the camera's lens, clipped: marks of damage came later and did not go through it."""
    return np.clip(cv2.GaussianBlur(scene, (0, 0), rng.uniform(0.3, 0.9)), 0, 1)


def target_of(scan: Scan) -> np.ndarray:
    """What the network should say of a scan: uint8 [H, W], bit n for `FAMILIES[n]`, and `UNSURE` where nothing counts."""
    visible = max(_VISIBLE, 1.5 * scan.noise)
    target = np.zeros(scan.image.shape[:2], np.uint8)
    largest = np.zeros(target.shape, np.float32)
    for kind, change in scan.changes.items():
        target |= (change > visible).astype(np.uint8) << FAMILIES.index(FAMILY_OF[kind])
        largest = np.maximum(largest, change)
    target[(target > 0) & ~stands_out(scan.image, target > 0)] = 0
    edge = cv2.dilate((target > 0).astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    target[(target == 0) & ((largest > _INVISIBLE) | edge)] = UNSURE
    return target


def stands_out(image: np.ndarray, damaged: np.ndarray) -> np.ndarray:
    """Where a picture differs from the undamaged picture nearby by more than that varies itself: bool [H, W].

    A grey smudge on a lattice or a pale line in foliage is no mark that anyone sees, and asking for it teaches a network to see
    marks in every lattice.

    Args:
        image: uint8 [H, W, 3].
        damaged: bool [H, W], what does not count as the picture.
    """
    whole = (~damaged).astype(np.float32)[..., None]
    pixels = image.astype(np.float32) / 255

    def near(values: np.ndarray) -> np.ndarray:
        """Sums over squares of 31 pixels, and a little of those of 91 where all of that is damaged."""
        return cv2.blur(values, (31, 31)) + np.float32(0.02) * cv2.blur(values, (91, 91))

    weight = near(np.repeat(whole, 3, axis=2)) + np.float32(1e-6)
    mean = near(pixels * whole) / weight
    spread = np.sqrt(np.maximum(near(pixels**2 * whole) / weight - mean**2, 0))
    return np.asarray((np.abs(pixels - mean) > _VISIBLE + spread).any(axis=2))


def _print(scene: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, float]:
    """Tone and emulsion of an old picture, and the strength of its grain."""
    kind = rng.random()
    if kind < 0.35:
        scene = grey(scene)
    elif kind < 0.55:
        scene = sepia(scene, rng.uniform(0.4, 1))
    elif kind < 0.7:
        scene = colour_cast(scene, rng.uniform(0.1, 0.4), tuple(DYE_LOSS)[rng.integers(len(DYE_LOSS))])
    if rng.random() < 0.4:
        scene = fade(scene, rng.uniform(0, 0.2), rng.uniform(0.8, 1))
    medium = rng.random()
    if medium < 0.08:
        return halftone(scene, rng.uniform(2.5, 5), rng.uniform(0, 90), colour=kind > 0.55), 0.02
    if medium < 0.6:
        amount = rng.uniform(0.005, 0.06)
        return grain(scene, rng, amount, rng.uniform(0.4, 1.4), colour=kind > 0.55), 0.5 * float(amount)
    return scene, 0.0


def _closer(
    picture: np.ndarray, changes: dict[str, np.ndarray], factor: float
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """The middle of a picture [H, W, 3] and of what changed in it, enlarged to its size."""
    height, width = picture.shape[:2]
    rows, columns = max(1, round(height / factor)), max(1, round(width / factor))
    top, left = (height - rows) // 2, (width - columns) // 2

    def enlarge(plane: np.ndarray, interpolation: int) -> np.ndarray:
        part = plane[top : top + rows, left : left + columns]
        return np.clip(cv2.resize(part, (width, height), interpolation=interpolation), 0, 1)

    linear = {kind: enlarge(change, cv2.INTER_LINEAR) for kind, change in changes.items()}
    return enlarge(picture, cv2.INTER_CUBIC), linear


def mark(
    picture: np.ndarray, kind: str, rng: np.random.Generator, size: tuple[float, float] = (0.7, 2.5)
) -> tuple[np.ndarray, np.ndarray]:
    """Marks of one kind, a key of `FAMILY_OF`, on a picture [H, W, 3]: the marked picture, and how far it changed [H, W]."""
    if kind in _SURFACE:
        marked = _SURFACE[kind](picture, rng)
        return marked, np.abs(marked - picture).max(axis=2)
    marked, changes = wear(picture, WearSettings(often={kind: 1.0}, size=size), rng)
    return marked, changes.get(kind, np.zeros(picture.shape[:2], np.float32))


def _damage(
    picture: np.ndarray, settings: ScanSettings, rng: np.random.Generator
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Marks of several kinds, in a quarter of the pictures of one alone, as a lone mark is the hardest to be sure of."""
    if rng.random() < 0.25:
        kind = list(FAMILY_OF)[rng.integers(len(FAMILY_OF))]
        marked, change = mark(picture, kind, rng, settings.wear.size)
        return marked, {kind: change}
    changes: dict[str, np.ndarray] = {}
    for kind, probability in (("crease", settings.crease), ("scratches", settings.scratches), ("dust", settings.dust)):
        if rng.random() < probability:
            picture, changes[kind] = mark(picture, kind, rng)
    picture, worn = wear(picture, settings.wear, rng)
    return picture, changes | worn
