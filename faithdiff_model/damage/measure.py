"""How well the detector finds damage, by kind, how often it errs on undamaged photographs, and the thresholds that suit."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from faithdiff_model.damage.detect import DamageDetector, Thresholds
from faithdiff_model.damage.marks import select_marks
from faithdiff_model.damage.scans import FAMILY_OF, UNSURE, Scan, mark, target_of
from faithdiff_model.degradation.archive.emulsion import grain, halftone
from faithdiff_model.degradation.archive.rescan import rescan
from faithdiff_model.degradation.archive.tone import grey
from faithdiff_model.degradation.codec import jpeg
from faithdiff_model.degradation.noise import gaussian_noise

# What happens to a photograph without damaging it. All of it must stay unmarked.
UNDAMAGED: Mapping[str, Callable[[np.ndarray, np.random.Generator], np.ndarray]] = {
    "as it is": lambda image, rng: image,
    "grey": lambda image, rng: grey(image),
    "grain 0.04": lambda image, rng: grain(image, rng, 0.04, 0.8),
    "noise 8": lambda image, rng: gaussian_noise(image, rng, 8),
    "JPEG 40": lambda image, rng: jpeg(image, 40),
    "halftone": lambda image, rng: halftone(image, 3.5, 30, colour=True),
    "scanned again": lambda image, rng: rescan(image, rng, 1, 75, blur=0.8, noise=2, halo=0.4),
}
_BLUR, _NOISE, _QUALITY = 0.6, 1.5, 85  # of the scan that kinds are measured on: pixels, of 255, of JPEG


@dataclass(frozen=True)
class Found:
    """How much of one kind was found.

    Attributes:
        recall: share of the damaged pixels that were marked.
        precision: share of the marked pixels that are damaged, or within a pixel of damage, or too faint to be sure of.
        damaged: share of all pixels that are damaged.
    """

    recall: float
    precision: float
    damaged: float


def damaged_scans(photos: Sequence[np.ndarray], seed: int = 0) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Every kind alone on every photograph, scanned softly (blur 0.6 pixels, noise 1.5 of 255, JPEG quality 85).

    Args:
        photos: float32 [H, W, 3] in 0 to 1, undamaged.
        seed: of the marks.

    Yields:
        The kind, the scan (uint8 [H, W, 3]) and its target (`scans.target_of`).
    """
    for number, kind in enumerate(FAMILY_OF):
        for index, photo in enumerate(photos):
            rng = np.random.default_rng([seed, number, index])
            marked, change = mark(photo, kind, rng)
            image = rescan(marked, rng, 1, _QUALITY, blur=_BLUR, noise=_NOISE, halo=0.2)
            change = cv2.GaussianBlur(change, (0, 0), _BLUR)
            scan = Scan(np.rint(image * 255).astype(np.uint8), {kind: change}, _NOISE / 255)
            yield kind, scan.image, target_of(scan)


def undamaged_scans(photos: Sequence[np.ndarray], seed: int = 0) -> Iterator[tuple[str, np.ndarray]]:
    """Every photograph (float32 [H, W, 3] in 0 to 1) after each of `UNDAMAGED`: the name and the scan, uint8 [H, W, 3]."""
    for number, (name, treat) in enumerate(UNDAMAGED.items()):
        for index, photo in enumerate(photos):
            image = treat(photo, np.random.default_rng([seed, number, index]))
            yield name, np.rint(image * 255).astype(np.uint8)


def measure_kinds(detector: DamageDetector, photos: Sequence[np.ndarray], seed: int = 0) -> dict[str, Found]:
    """How much of each kind is found, over all pixels of `damaged_scans`."""
    sums: dict[str, np.ndarray] = defaultdict(lambda: np.zeros(5))
    for kind, image, target in damaged_scans(photos, seed):
        sums[kind] += _counts(detector.detect(image).mask, target)
    return {kind: _found(counts) for kind, counts in sums.items()}


def measure_false(detector: DamageDetector, photos: Sequence[np.ndarray], seed: int = 0) -> dict[str, float]:
    """Share of the pixels of `undamaged_scans` that are marked, by what was done to them."""
    sums: dict[str, np.ndarray] = defaultdict(lambda: np.zeros(2))
    for name, image in undamaged_scans(photos, seed):
        mask = detector.detect(image).mask
        sums[name] += (mask.sum(), mask.size)
    return {name: float(marked / pixels) for name, (marked, pixels) in sums.items()}


def choose_thresholds(
    detector: DamageDetector,
    photos: Sequence[np.ndarray],
    candidates: Sequence[Thresholds],
    most_false: float,
    seed: int = 0,
) -> tuple[Thresholds, list[dict[str, float]]]:
    """The candidate that finds most (mean over the kinds of the F1 score) among those that rarely mark undamaged photographs.

    Args:
        detector: its own thresholds do not matter.
        photos: float32 [H, W, 3] in 0 to 1, undamaged, and not those that figures will be reported on.
        candidates: what to choose from.
        most_false: largest share of marked pixels after any one of `UNDAMAGED`.
        seed: of the marks.

    Returns:
        The choice, and a row for each candidate: sure, part, smallest, recall, precision, f1, false (after the treatment that
        misleads most).

    Raises:
        ValueError: every candidate marks more than `most_false`.
    """
    sums: list[dict[str, np.ndarray]] = [defaultdict(lambda: np.zeros(5)) for _ in candidates]
    false: dict[str, np.ndarray] = defaultdict(lambda: np.zeros(len(candidates)))
    pixels: dict[str, int] = defaultdict(int)
    for kind, image, target in damaged_scans(photos, seed):
        probability, _ = detector.probabilities(image)
        for number, limits in enumerate(candidates):
            mask, _ = select_marks(probability, limits.sure, limits.part, limits.smallest)
            sums[number][kind] += _counts(mask, target)
    for name, image in undamaged_scans(photos, seed):
        probability, _ = detector.probabilities(image)
        pixels[name] += probability.size
        for number, limits in enumerate(candidates):
            false[name][number] += select_marks(probability, limits.sure, limits.part, limits.smallest)[0].sum()
    worst = np.max([marked / pixels[name] for name, marked in false.items()], axis=0)
    rows = []
    for limits, by_kind, share in zip(candidates, sums, worst.tolist(), strict=True):
        found = [_found(counts) for counts in by_kind.values()]
        scores = [2 * one.recall * one.precision / max(one.recall + one.precision, 1e-9) for one in found]
        rows.append(
            {
                "sure": limits.sure,
                "part": limits.part,
                "smallest": limits.smallest,
                "recall": float(np.mean([one.recall for one in found])),
                "precision": float(np.mean([one.precision for one in found])),
                "f1": float(np.mean(scores)),
                "false": share,
            }
        )
    allowed = [number for number, row in enumerate(rows) if row["false"] <= most_false]
    if not allowed:
        raise ValueError(f"every candidate marks more than {most_false:.2%} of undamaged photographs: train longer")
    return candidates[max(allowed, key=lambda number: rows[number]["f1"])], rows


def _counts(mask: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Pixels: damaged, found of these, marked, rightly marked, all."""
    damaged = (target > 0) & (target != UNSURE)
    return np.array([damaged.sum(), (damaged & mask).sum(), mask.sum(), (mask & (target > 0)).sum(), mask.size])


def _found(counts: np.ndarray) -> Found:
    damaged, found, marked, right, pixels = counts.tolist()
    return Found(found / max(damaged, 1), right / marked if marked else 1.0, damaged / pixels)
