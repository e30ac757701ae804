"""A sheet of what no photograph is: one colour, noise, letters, lines, checks, a ramp, a pixel. Each beside its result.

    python tests/benchmarks/sheet.py sheet.png [--preset nano] [--upscale 2]

It is made to be looked at: rings, grids, tints and letters that bend are faults. Below each pair stands how far the result's
mean is from the scan's, and how far its darkest and lightest pixels lie outside the scan's, in levels of 255.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from faithdiff_model.build import build_restorer
from faithdiff_model.image.resize import enlarge, from_unit_float, to_unit_float
from faithdiff_model.presets import DEFAULTS, PRESETS
from faithdiff_model.restorer import Restorer
from faithdiff_model.spec import ModelSpec

SIDE = 96  # pixels of a scan
_GAP, _LABEL, _COLUMNS = 8, 30, 3
_BYTE = np.dtype(np.uint8)


def one_colour(level: int) -> np.ndarray:
    """A scan of one grey level, 0 to 255."""
    return np.full((SIDE, SIDE, 3), level, np.uint8)


def noise() -> np.ndarray:
    """Independent levels in every pixel and channel."""
    return np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3), np.uint8)


def letters(ink: int = 30, paper: int = 235) -> np.ndarray:
    """Small print."""
    page = Image.new("L", (SIDE, SIDE), paper)
    draw = ImageDraw.Draw(page)
    for number, line in enumerate(("Register 1897", "Folio 12 b", "Il. & Qg.", "0123456789", "Aa Ee ij")):
        draw.text((4, 3 + 18 * number), line, font=ImageFont.load_default(size=13), fill=ink)
    return _colour(np.asarray(page))


def lines() -> np.ndarray:
    """A technical drawing: hairlines at several angles."""
    page = Image.new("L", (SIDE, SIDE), 250)
    draw = ImageDraw.Draw(page)
    for number in range(0, SIDE, 8):
        draw.line([(0, number), (SIDE, SIDE - number)], fill=20)
    draw.ellipse([20, 20, 76, 76], outline=20)
    return _colour(np.asarray(page))


def one_bit() -> np.ndarray:
    """A fax: black and white alone."""
    return np.where(letters() < 128, 0, 255).astype(np.uint8)


def checks() -> np.ndarray:
    """The finest pattern that pixels can hold."""
    rows, columns = np.indices((SIDE, SIDE))
    return _colour(((rows + columns) % 2 * 255).astype(np.uint8))


def ramp() -> np.ndarray:
    """From black to white, in every level that fits."""
    return _colour(np.tile(np.linspace(0, 255, SIDE).astype(np.uint8), (SIDE, 1)))


def dot() -> np.ndarray:
    """One white pixel on black."""
    image = one_colour(0)
    image[SIDE // 2, SIDE // 2] = 255
    return image


SCANS: Mapping[str, Callable[[], np.ndarray]] = {
    "black": lambda: one_colour(0),
    "grey": lambda: one_colour(119),
    "white": lambda: one_colour(255),
    "noise": noise,
    "letters": letters,
    "lines": lines,
    "one bit": one_bit,
    "checks": checks,
    "ramp": ramp,
    "dot": dot,
    "16 pixels": lambda: letters()[20:36, 4:20],
    "one row": lambda: letters()[30:31],
}


def result_of(restorer: Restorer, scan: np.ndarray, upscale: int) -> tuple[np.ndarray, np.ndarray]:
    """The enlarged scan and its result, uint8 [H, W, 3], as the pipeline makes them."""
    height, width = (side * upscale for side in scan.shape[:2])
    enlarged = from_unit_float(enlarge(scan, height, width), _BYTE)
    return enlarged, restorer.restore([enlarged], [""], [0])[0]


def sheet(restorer: Restorer, upscale: int) -> Image.Image:
    """All of `SCANS`, each enlarged beside its result."""
    cell = SIDE * upscale
    across, down = 2 * (cell + _GAP) + _GAP, cell + _LABEL + _GAP
    page = Image.new("RGB", (_COLUMNS * across, -(-len(SCANS) // _COLUMNS) * down), "white")
    draw = ImageDraw.Draw(page)
    for number, (name, make) in enumerate(SCANS.items()):
        left, top = number % _COLUMNS * across, number // _COLUMNS * down
        scan, result = result_of(restorer, make(), upscale)
        page.paste(Image.fromarray(scan), (left + _GAP, top + _GAP))
        page.paste(Image.fromarray(result), (left + cell + 2 * _GAP, top + _GAP))
        shift, beyond = 255 * (to_unit_float(result).mean() - to_unit_float(scan).mean()), outside(scan, result)
        text = f"{name}: mean {shift:+.2f}, beyond {beyond}"
        draw.text((left + _GAP, top + cell + _GAP + 2), text, fill="black", font=ImageFont.load_default(size=12))
    return page


def outside(scan: np.ndarray, result: np.ndarray) -> int:
    """How far the result's levels go beyond the scan's darkest and lightest."""
    return max(0, int(scan.min()) - int(result.min()), int(result.max()) - int(scan.max()))


def main() -> None:
    """Restore and draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("output", type=Path)
    parser.add_argument("--preset", choices=sorted(PRESETS), default="nano")
    parser.add_argument("--upscale", type=int, default=2)
    options = parser.parse_args()
    restorer = build_restorer(ModelSpec(preset=options.preset, device="cpu"), DEFAULTS[options.preset])
    sheet(restorer, options.upscale).save(options.output)


def _colour(grey: np.ndarray) -> np.ndarray:
    return np.repeat(grey[..., None], 3, axis=2)


if __name__ == "__main__":
    main()
