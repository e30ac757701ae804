"""How consistent a result is with its scan: both at the scan's size, where what was there may be cleaned but not changed.

What `faithfulness` compares as one sum of squares is told apart here by structure, colour and region. It is measured on blocks
of 8 x 8 pixels of the scan, in strips, so that a photograph of any size takes little memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypedDict

import numpy as np

from pipelines.rows import Row
from pipelines.stages.faithfulness import psnr_db

__all__ = ["MEASURES", "Consistency", "Measures", "joined_measures", "measures_of"]

BLOCK = 8  # pixels of the scan a side
_CELLS = 8  # of the grid of regions, a side at most
_LEAST_CELL = 4  # blocks a side of a region, so that a small scan has fewer
_LEAST_COUNTED = 16  # pixels of a block that count, below which it does not
_LUMA = (0.299, 0.587, 0.114)
_C1, _C2 = 0.01**2, 0.03**2  # SSIM's constants for images in [0, 1] (Wang et al., 2004)


class Measures(TypedDict):
    """Columns of a row; each None where no pixel counts.

    Attributes:
        lq_psnr_db: peak signal-to-noise ratio, dB.
        consistency_ssim: structural similarity of luma in separate blocks, -1 to 1, 1 where both are equal.
        consistency_colour: mean difference of the blocks' mean colours, CIEDE2000, 0 or more; 1 is what an eye just sees.
        consistency_worst_db: PSNR of the region of an 8 x 8 grid where it is least, dB.
    """

    lq_psnr_db: float | None
    consistency_ssim: float | None
    consistency_colour: float | None
    consistency_worst_db: float | None


MEASURES = tuple(Measures.__annotations__)


def measures_of(row: Row) -> Measures:
    """What a row says of its measures."""
    return {
        "lq_psnr_db": row["lq_psnr_db"],
        "consistency_ssim": row["consistency_ssim"],
        "consistency_colour": row["consistency_colour"],
        "consistency_worst_db": row["consistency_worst_db"],
    }


def joined_measures(rows: Sequence[Row]) -> Measures:
    """Measures of several pages as of one picture: each page weighs as much as it has pixels, and the worst region is the worst
    of all.

    Args:
        rows: of the pages, with their own.
    """

    def mean(known: list[tuple[float | None, int]]) -> float | None:
        counted = [(value, weight) for value, weight in known if value is not None]
        return sum(v * w for v, w in counted) / sum(w for _, w in counted) if counted else None

    sizes = [row["width"] * row["height"] for row in rows]
    values = [size * (1 if row["channels"] < 3 else 3) for size, row in zip(sizes, rows, strict=True)]
    decibels = [row["lq_psnr_db"] for row in rows]
    errors = [None if each is None else 10 ** (-each / 10) for each in decibels]
    error = mean(list(zip(errors, values, strict=True)))
    worst = [row["consistency_worst_db"] for row in rows]
    return {
        "lq_psnr_db": None if error is None else psnr_db(error, 1),
        "consistency_ssim": mean([(row["consistency_ssim"], size) for row, size in zip(rows, sizes, strict=True)]),
        "consistency_colour": mean([(row["consistency_colour"], size) for row, size in zip(rows, sizes, strict=True)]),
        "consistency_worst_db": min((each for each in worst if each is not None), default=None),
    }


class Consistency:
    """The comparison of a photograph with its scan, strip by strip.

    Args:
        height, width: of the scan, in pixels.
        factor: the enlargement.
    """

    def __init__(self, height: int, width: int, factor: int) -> None:
        self._factor = factor
        self._rows, self._columns = -(-height // BLOCK), -(-width // BLOCK)
        self._cells = tuple(max(1, min(_CELLS, count // _LEAST_CELL)) for count in (self._rows, self._columns))
        self._errors, self._counts = np.zeros(self._cells), np.zeros(self._cells, np.int64)
        self._ssim = self._colour = 0.0
        self._weight = 0  # pixels of the blocks that count for these two
        self._done = 0  # rows of blocks
        self._channels = 0
        self._waiting: list[np.ndarray] = []  # strips [2 C + 1, h, W]: result, scan, whether a pixel counts

    def add(self, restored_HWC: np.ndarray, lq_HWC: np.ndarray, counted_HW: np.ndarray | None = None) -> None:
        """The next strip, from top to bottom.

        Args:
            restored_HWC, lq_HWC: the result and the enlarged scan, float32 in [0, 1], equal shapes with 1 or 3 channels, sides
                multiples of the enlargement.
            counted_HW: bool, a value a pixel of the scan: which of them count; None for all.
        """
        pair = [_reduced(image, self._factor) for image in (restored_HWC, lq_HWC)]
        counts = np.ones(pair[0].shape[1:], np.float32) if counted_HW is None else counted_HW.astype(np.float32)
        self._channels = len(pair[0])
        self._waiting.append(np.concatenate([*pair, counts[None]]))
        if sum(strip.shape[1] for strip in self._waiting) >= BLOCK:
            strip = np.concatenate(self._waiting, axis=1)
            whole = strip.shape[1] // BLOCK * BLOCK
            self._measure(strip[:, :whole])
            self._waiting = [strip[:, whole:]]

    def measures(self) -> Measures:
        """What was found; call once, after the last strip."""
        rest = np.concatenate(self._waiting, axis=1) if self._waiting else np.zeros((0, 0, 0))
        if rest.shape[1]:
            self._measure(rest)
        regions = [psnr_db(float(e), int(n)) for e, n in zip(self._errors.flat, self._counts.flat, strict=True) if n]
        return {
            "lq_psnr_db": psnr_db(float(self._errors.sum()), int(self._counts.sum())),
            "consistency_ssim": self._ssim / self._weight if self._weight else None,
            "consistency_colour": self._colour / self._weight if self._weight else None,
            "consistency_worst_db": min((value for value in regions if value is not None), default=None),
        }

    def _measure(self, strip: np.ndarray) -> None:
        """Whole rows of blocks, and the last one, which may be lower."""
        channels = self._channels
        padding = [(0, 0), *((0, -side % BLOCK) for side in strip.shape[1:])]
        padded = np.pad(strip, padding).astype(np.float64)
        planes, height, width = padded.shape
        blocks = padded.reshape(planes, height // BLOCK, BLOCK, width // BLOCK, BLOCK)
        restored, lq, counts = blocks[:channels], blocks[channels:-1], blocks[-1]
        errors = (((restored - lq) ** 2).sum(axis=0) * counts).sum(axis=(1, 3))
        pixels = counts.sum(axis=(1, 3)).astype(np.int64)
        self._add_to_cells(errors, pixels * channels)
        self._done += len(pixels)
        known = pixels >= _LEAST_COUNTED
        if known.any():
            weights = counts / np.maximum(pixels, 1)[:, None, :, None]
            weight = pixels[known]
            self._weight += int(weight.sum())
            self._ssim += float((_ssim(_luma(restored), _luma(lq), weights)[known] * weight).sum())
            means = [np.moveaxis((image * weights).sum(axis=(2, 4)), 0, -1)[known] for image in (restored, lq)]
            self._colour += float((_colour_differences(*means) * weight).sum())

    def _add_to_cells(self, errors: np.ndarray, counts: np.ndarray) -> None:
        down = (self._done + np.arange(len(errors))) * self._cells[0] // self._rows
        across = np.arange(errors.shape[1]) * self._cells[1] // self._columns
        places = down[:, None], across[None]
        np.add.at(self._errors, places, errors)
        np.add.at(self._counts, places, counts)


def _reduced(image_HWC: np.ndarray, factor: int) -> np.ndarray:
    """Means of blocks of `factor` x `factor` pixels, channels first: float32 [C, H / factor, W / factor]."""
    height, width, channels = image_HWC.shape
    blocks = image_HWC.reshape(height // factor, factor, width // factor, factor, channels)
    total = np.zeros((height // factor, width // factor, channels), np.float32)
    for row in range(factor):
        for column in range(factor):
            total += blocks[:, row, :, column]
    return np.ascontiguousarray((total / factor**2).transpose(2, 0, 1))


def _luma(image: np.ndarray) -> np.ndarray:
    return np.asarray(image[0] if len(image) == 1 else np.tensordot(_LUMA, image, 1))


def _ssim(first: np.ndarray, second: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Structural similarity of each block, [rows, columns], of planes [rows, BLOCK, columns, BLOCK] and what pixels weigh."""

    def mean(plane: np.ndarray) -> np.ndarray:
        return np.asarray((plane * weights).sum(axis=(1, 3)))

    ours, theirs = mean(first), mean(second)
    variances = mean(first**2) - ours**2 + mean(second**2) - theirs**2
    shared = mean(first * second) - ours * theirs
    lightness = (2 * ours * theirs + _C1) / (ours**2 + theirs**2 + _C1)
    return np.asarray(lightness * (2 * shared + _C2) / (variances + _C2))


def _colour_differences(first_NC: np.ndarray, second_NC: np.ndarray) -> np.ndarray:
    """CIEDE2000 of colours in sRGB, or of greys: [N]."""
    from skimage.color import deltaE_ciede2000, rgb2lab  # slow to import, and only photographs need it

    first, second = (
        rgb2lab(np.clip(np.broadcast_to(each, (len(each), 3)), 0, 1)[None])[0] for each in (first_NC, second_NC)
    )
    return np.asarray(deltaE_ciede2000(first, second))
