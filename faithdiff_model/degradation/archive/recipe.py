"""A photograph as an archive holds it: tone, which a restoration keeps, apart from damage, which it removes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import cv2
import numpy as np

from faithdiff_model.degradation.archive.emulsion import grain, halftone
from faithdiff_model.degradation.archive.rescan import rescan
from faithdiff_model.degradation.archive.surface import AREA, crease, dust, scratches
from faithdiff_model.degradation.archive.tone import DYE_LOSS, colour_cast, fade, grey, sepia, silver_mirroring
from faithdiff_model.degradation.archive.wear import WearSettings, wear
from faithdiff_model.degradation.codec import jpeg
from faithdiff_model.degradation.ranges import require, require_image, require_range
from faithdiff_model.degradation.result import Degraded
from faithdiff_model.degradation.two_pass import small_size

Range = tuple[float, float]


@dataclass(frozen=True, kw_only=True)
class ArchiveSettings:
    """How often and how strongly each thing happens to a photograph of 500 to 1000 pixels. Ranges are (from, to).

    Attributes:
        grey, sepia, cast: probabilities of a silver print, a toned one, a colour print whose dyes faded; what is left keeps its
            colour. They exclude each other, so their sum is at most 1.
        cast_amount: see `tone.colour_cast`.
        fade: probability; `fade_black`, `fade_white`: see `tone.fade`.
        mirroring: probability, of grey photographic prints alone; `mirroring_amount`: see `tone.silver_mirroring`.
        halftone: probability of a printed picture; `halftone_pitch` in pixels. A printed picture has no grain.
        grain: probability; `grain_amount`, `grain_size`: see `emulsion.grain`.
        dust: probability; `dust_density` in 512 x 512 pixels.
        scratches: probability; `scratches_density` in 512 x 512 pixels.
        crease: probability in 512 x 512 pixels: smaller images meet fewer; `crease_amount`: see `surface.crease`.
        wear: further kinds of marks, upon these; None has none.
        scale: by how much the scan is smaller, 1, 2 or 4; one number, so that batches have one size.
        scan_blur, scan_noise, scan_halo, scan_quality: see `rescan.rescan`.
    """

    grey: float = 0.3
    sepia: float = 0.25
    cast: float = 0.25
    cast_amount: Range = (0.1, 0.4)
    fade: float = 0.6
    fade_black: Range = (0.0, 0.2)
    fade_white: Range = (0.8, 1.0)
    mirroring: float = 0.25
    mirroring_amount: Range = (0.2, 0.7)
    halftone: float = 0.15
    halftone_pitch: Range = (2.5, 4.5)
    grain: float = 0.8
    grain_amount: Range = (0.01, 0.05)
    grain_size: Range = (0.4, 1.0)
    dust: float = 0.8
    dust_density: Range = (5, 40)
    scratches: float = 0.5
    scratches_density: Range = (1, 6)
    crease: float = 0.12
    crease_amount: Range = (0.3, 0.8)
    wear: WearSettings | None = None
    scale: int = 2
    scan_blur: Range = (0.3, 1.5)
    scan_noise: Range = (0.5, 4.0)
    scan_halo: Range = (0.0, 0.6)
    scan_quality: Range = (50, 90)

    def __post_init__(self) -> None:
        for name in ("grey", "sepia", "cast", "fade", "mirroring", "halftone", "grain", "dust", "scratches", "crease"):
            require(name, getattr(self, name), 0, 1)
        require("grey + sepia + cast", self.grey + self.sepia + self.cast, 0, 1)
        for name, low, high in (
            ("cast_amount", 0, 1),
            ("fade_black", 0, 0.5),
            ("fade_white", 0.5, 1),
            ("mirroring_amount", 0, 1),
            ("halftone_pitch", 2, 16),
            ("grain_amount", 0, 0.3),
            ("grain_size", 0.3, 3),
            ("dust_density", 0, 400),
            ("scratches_density", 0, 100),
            ("crease_amount", 0, 1),
            ("scan_blur", 0.1, 5),
            ("scan_noise", 0, 20),
            ("scan_halo", 0, 2),
            ("scan_quality", 1, 100),
        ):
            require_range(name, getattr(self, name), low, high)
        if self.scale not in (1, 2, 4):
            raise ValueError(f"scale is {self.scale}: choose 1, 2 or 4")


# Handled without care: what a network meets that is to learn to remove marks.
HEAVY = ArchiveSettings(
    dust=1.0, dust_density=(20, 160), scratches=0.8, scratches_density=(3, 20), crease=0.35, crease_amount=(0.3, 0.9)
)
# Neglected: marks of every kind, a few of each.
WORN = ArchiveSettings(wear=WearSettings())
_UNDAMAGED_SCALES = (1, 1, 1, 2, 2, 2, 4)  # each as likely


def degrade_archive(image: np.ndarray, settings: ArchiveSettings, rng: np.random.Generator) -> Degraded:
    """Age a photograph and scan it badly.

    Args:
        image: float32 [H, W, 3] in 0 to 1, RGB, sides of 16 pixels or more.
        settings: what may happen.
        rng: the same state gives the same result.

    Returns:
        `hq` with the changes of tone alone; `lq` with tone and damage; `damage` by kind.
    """
    require_image(image)
    printed = bool(rng.random() < settings.halftone)
    colour, tone = _draw_tone(settings, rng, printed)
    # The order in which it happened: first the emulsion or the press, then decades, then hands, then the scanner.
    picture = _emulsion(image, printed, colour, settings, rng)
    marked, damage = _marks(tone(picture), settings, rng)
    scan = rescan(
        marked,
        rng,
        settings.scale,
        round(rng.uniform(*settings.scan_quality)),
        blur=rng.uniform(*settings.scan_blur),
        noise=rng.uniform(*settings.scan_noise),
        halo=rng.uniform(*settings.scan_halo),
    )
    return Degraded(hq=tone(image), lq=scan, original=image, damage=damage)


def scan_undamaged(image: np.ndarray, settings: ArchiveSettings, rng: np.random.Generator) -> Degraded:
    """A good scan of a photograph in good order: perhaps with its tone of old, perhaps smaller, perhaps a JPEG of high quality.

    Args:
        image: as for `degrade_archive`.
        settings: of its tone.
        rng: the same state gives the same result.
    """
    require_image(image)
    hq = _draw_tone(settings, rng, False)[1](image) if rng.random() < 0.4 else image
    height, width = small_size(image.shape[0], image.shape[1], _UNDAMAGED_SCALES[rng.integers(len(_UNDAMAGED_SCALES))])
    lq = hq
    if (height, width) != image.shape[:2]:
        lq = np.clip(cv2.resize(hq, (width, height), interpolation=cv2.INTER_AREA), 0, 1)
    if rng.random() < 0.4:
        lq = jpeg(lq, round(rng.uniform(90, 100)))
    return Degraded(hq=hq, lq=lq, original=image)


def _draw_tone(
    settings: ArchiveSettings, rng: np.random.Generator, printed: bool
) -> tuple[bool, Callable[[np.ndarray], np.ndarray]]:
    """Whether it is in colour, and what decades make of it: the same for the undamaged and for the damaged picture."""
    steps: list[Callable[[np.ndarray], np.ndarray]] = []
    kind = rng.random()
    colour = kind >= settings.grey + settings.sepia
    if kind < settings.grey:
        steps.append(grey)
    elif not colour:
        steps.append(partial(sepia, amount=rng.uniform(0.4, 1)))
    elif kind < settings.grey + settings.sepia + settings.cast:
        dye = tuple(DYE_LOSS)[rng.integers(len(DYE_LOSS))]
        steps.append(partial(colour_cast, amount=rng.uniform(*settings.cast_amount), dye=dye))
    if rng.random() < settings.fade:
        steps.append(partial(fade, black=rng.uniform(*settings.fade_black), white=rng.uniform(*settings.fade_white)))
    if kind < settings.grey and not printed and rng.random() < settings.mirroring:
        seed, amount = int(rng.integers(2**63)), rng.uniform(*settings.mirroring_amount)
        steps.append(lambda image: silver_mirroring(image, np.random.default_rng(seed), amount))

    def tone(image: np.ndarray) -> np.ndarray:
        for step in steps:
            image = step(image)
        return image

    return colour, tone


def _emulsion(
    image: np.ndarray, printed: bool, colour: bool, settings: ArchiveSettings, rng: np.random.Generator
) -> np.ndarray:
    """Dots of ink, or grain."""
    if printed:
        return halftone(image, rng.uniform(*settings.halftone_pitch), rng.uniform(0, 90), colour=colour)
    if rng.random() < settings.grain:
        amount, size = rng.uniform(*settings.grain_amount), rng.uniform(*settings.grain_size)
        return grain(image, rng, amount, size, colour=colour)
    return image


def _marks(
    image: np.ndarray, settings: ArchiveSettings, rng: np.random.Generator
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """What lies on the surface or broke it: the marked image, and what each kind changed (`Degraded.damage`)."""
    damage: dict[str, np.ndarray] = {}
    if rng.random() < settings.crease * min(1.0, image.shape[0] * image.shape[1] / AREA):
        image = _record(damage, "crease", image, crease(image, rng, rng.uniform(*settings.crease_amount)))
    if rng.random() < settings.scratches:
        image = _record(damage, "scratches", image, scratches(image, rng, rng.uniform(*settings.scratches_density)))
    if rng.random() < settings.dust:
        image = _record(damage, "dust", image, dust(image, rng, rng.uniform(*settings.dust_density)))
    if settings.wear is not None:
        image, worn = wear(image, settings.wear, rng)
        damage.update(worn)
    return image, damage


def _record(damage: dict[str, np.ndarray], kind: str, before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Write down what changed between two images [H, W, 3], beside earlier marks of the kind; gives `after` back."""
    change = np.abs(after - before).max(axis=2)
    damage[kind] = np.maximum(damage[kind], change) if kind in damage else change
    return after
