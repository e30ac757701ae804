"""Draw the pictures of `faithdiff_model/degradation/README.md`: run this file with Python after a change.

Their originals are the free photographs inside scikit-image (see `jobs/samples/archive.py`).
"""

from __future__ import annotations

import sys
from dataclasses import replace
from math import pi
from pathlib import Path

import cv2
import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2]))

from faithdiff_model.degradation.archive.emulsion import grain, halftone
from faithdiff_model.degradation.archive.film import flicker, gate_weave
from faithdiff_model.degradation.archive.recipe import ArchiveSettings, degrade_archive
from faithdiff_model.degradation.archive.rescan import rescan
from faithdiff_model.degradation.archive.surface import crease, dust, scratches
from faithdiff_model.degradation.archive.tone import colour_cast, fade, grey, sepia, silver_mirroring
from faithdiff_model.degradation.archive.wear import KINDS
from faithdiff_model.degradation.blur import (
    blur,
    gaussian_kernel,
    generalised_kernel,
    plateau_kernel,
    sinc_kernel,
    soften,
)
from faithdiff_model.degradation.codec import jpeg
from faithdiff_model.degradation.noise import gaussian_noise, poisson_noise
from faithdiff_model.degradation.settings import LEVELS
from faithdiff_model.degradation.two_pass import degrade_two_pass
from jobs.samples.archive import original

FOLDER = Path(__file__).parents[2] / "faithdiff_model" / "degradation" / "pictures"
TILE = 208  # pixels a side


def cut(name: str, row: int, column: int, side: int = TILE) -> np.ndarray:
    """A square of a photograph at TILE x TILE pixels."""
    square = original(name)[row : row + side, column : column + side]
    return np.ascontiguousarray(cv2.resize(square, (TILE, TILE), interpolation=cv2.INTER_AREA))


def enlarged(image: np.ndarray, side: int = TILE) -> np.ndarray:
    """An image with every pixel as a square."""
    return cv2.resize(image, (side, side), interpolation=cv2.INTER_NEAREST)


def save(name: str, *rows: list[np.ndarray]) -> None:
    """Tiles in rows, with white between them."""
    framed = [np.hstack([np.pad(tile, ((2, 2), (2, 2), (0, 0)), constant_values=1) for tile in row]) for row in rows]
    levels = np.rint(np.vstack(framed).clip(0, 1) * 255).astype(np.uint8)
    cv2.imwrite(str(FOLDER / f"{name}.jpg"), levels[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 80])


def rng(seed: int = 0) -> np.random.Generator:
    """A generator of its own for every tile."""
    return np.random.default_rng(seed)


def draw_general(face: np.ndarray, cat: np.ndarray) -> None:
    """Pictures of blur.py, noise.py, codec.py and two_pass.py."""
    kernels = [
        gaussian_kernel(21, 2.5, 2.5),
        gaussian_kernel(21, 4, 1.5, pi / 5),
        generalised_kernel(21, 2.5, 2.5, 0.6),
        generalised_kernel(21, 4, 2, 3.0, pi / 5),
        plateau_kernel(21, 3, 3, 1.2),
        plateau_kernel(21, 5, 2, 2.0, -pi / 5),
        sinc_kernel(21, pi / 3),
    ]
    shown = [enlarged(np.repeat(0.3 + 0.7 * (kernel / kernel.max())[..., None], 3, axis=2), 118) for kernel in kernels]
    small = [cv2.resize(blur(face, kernel)[40:158, 45:163], (118, 118)) for kernel in kernels]
    save("kernels", shown, small)
    save("soften", [face, *(soften(face, sigma) for sigma in (0.5, 1.5, 3.0))])
    noise = [gaussian_noise(cat, rng(), 8), gaussian_noise(cat, rng(), 25), gaussian_noise(cat, rng(), 25, grey=True)]
    shot = [poisson_noise(cat, rng(), 1), poisson_noise(cat, rng(), 3), poisson_noise(cat, rng(), 3, grey=True)]
    save("noise", noise, shot)
    save("jpeg", [cat, *(jpeg(cat, quality) for quality in (90, 50, 15))])
    save(
        "levels",
        *([enlarged(degrade_two_pass(face, LEVELS[level], rng(seed))) for seed in range(4)] for level in LEVELS),
    )


def draw_archive(face: np.ndarray, cat: np.ndarray, cup: np.ndarray) -> None:
    """Pictures of the modules in archive/."""
    save("fade", [cup, fade(cup, 0.1, 0.95), fade(cup, 0.2, 0.8), fade(cup, 0.35, 0.75)])
    save("colour_cast", [cup, *(colour_cast(cup, 0.35, dye) for dye in ("cyan", "magenta", "yellow"))])
    save("sepia", [cat, grey(cat), sepia(cat, 0.4), sepia(cat)])
    dark = grey(cut("coffee.png", 0, 0, 400))
    save("silver_mirroring", [dark, *(silver_mirroring(dark, rng(4), amount) for amount in (0.3, 0.6, 1.0))])
    save("dust", [dust(grey(face), rng(), density) for density in (5, 40, 120, 400)])
    save("scratches", [scratches(grey(face), rng(3), density) for density in (2, 6, 20, 60)])
    tan, amounts = sepia(cat, 0.6), {"specks": 120, "fibres": 60, "hairs": 12, "film_scratches": 8, "cracks": 0.9}
    amounts |= {"tears": 12, "torn_corners": 0.3, "fingerprints": 12, "mould": 12, "stains": 12}
    worn = [KINDS[kind].draw(tan, rng(3), amount, 1.0).image for kind, amount in amounts.items()]
    save("wear", worn[:5], worn[5:])
    save("crease", [crease(sepia(cat), rng(seed), amount) for seed, amount in ((0, 0.3), (3, 0.6), (4, 0.9), (6, 0.6))])
    plain = grey(face)
    coloured = grain(face, rng(), 0.06, 1.0, colour=True)
    save("grain", [grain(plain, rng(), 0.02), grain(plain, rng(), 0.05), grain(plain, rng(), 0.05, 1.0), coloured])
    pressed = [halftone(plain, 2.5), halftone(plain, 4), halftone(plain, 7), halftone(face, 5, colour=True)]
    save("halftone", pressed)
    save("gate_weave", [frame[60:130, 50:120] for frame in gate_weave([face] * 10, rng(2), 3.0)])
    save("flicker", [frame[60:130, 50:120] for frame in flicker([face] * 10, rng(), 0.15)])
    scans = [rescan(face, rng(), 1, 90), rescan(face, rng(), 2, 70), rescan(face, rng(), 2, 50, blur=1.5, noise=6)]
    save("rescan", [*map(enlarged, scans), enlarged(rescan(face, rng(), 2, 60, blur=0.5, halo=1.5))])


def draw_recipe() -> None:
    """References above, scans below."""
    photographs = (
        ("astronaut.png", 0, 60, 360),
        ("chelsea.png", 0, 90, 300),
        ("coffee.png", 0, 150, 400),
        ("camera.png", 50, 100, 360),
        ("rocket.jpg", 20, 200, 400),
        ("astronaut.png", 200, 20, 300),
    )
    pairs = []
    for seed, (name, row, column, side) in enumerate(photographs):
        square = np.ascontiguousarray(original(name)[row : row + side, column : column + side])
        pairs.append(degrade_archive(square, replace(ArchiveSettings(), crease=0.3), rng(seed + 40)))
    save("archive", [cut_down(pair.hq) for pair in pairs], [cut_down(pair.lq) for pair in pairs])


def cut_down(image: np.ndarray) -> np.ndarray:
    """The middle of a picture, with scans enlarged to the size of their references."""
    side = image.shape[0]
    middle = image[side // 4 : side // 4 + side // 2, side // 4 : side // 4 + side // 2]
    return cv2.resize(middle, (TILE, TILE), interpolation=cv2.INTER_CUBIC)


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    portrait = cut("astronaut.png", 10, 120)
    whiskers, coffee = cut("chelsea.png", 20, 110), cut("coffee.png", 20, 180, 360)
    draw_general(portrait, whiskers)
    draw_archive(portrait, whiskers, coffee)
    draw_recipe()
    print(f"{sum(path.stat().st_size for path in FOLDER.glob('*.jpg')) // 1024} KiB in {FOLDER}")
