"""What the error network is trained on: degraded crops, what the restorer makes of them, and how far off that is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from faithdiff_model.image.resize import from_unit_float
from faithdiff_model.restorer import Restorer
from faithdiff_model.training.config import DataConfig
from faithdiff_model.training.samples import TrainingSamples
from faithdiff_model.trust.network import MULTIPLE
from faithdiff_model.trust.shipped import CELL

# How often each degradation is taken: what the restorer meets, with more good scans than it was trained on.
MIX = {
    "level-I": 0.10,
    "level-II": 0.25,
    "level-III": 0.08,
    "archive": 0.22,
    "archive-heavy": 0.08,
    "archive-worn": 0.07,
    "undamaged": 0.20,
}
_TOGETHER = 8  # crops that are restored in one call


class Pairs(NamedTuple):
    """Crops: enlarged scans and results, uint8 [N, side, side, 3], and errors, float16 [N, side / CELL, side / CELL]."""

    scans: np.ndarray
    results: np.ndarray
    errors: np.ndarray


def cell_errors(result_HWC: np.ndarray, reference_HWC: np.ndarray) -> np.ndarray:
    """Mean absolute error of each whole cell as a share of white, float32 [H // CELL, W // CELL].

    Args:
        result_HWC, reference_HWC: uint8, equal shapes.
    """
    height, width = (side // CELL * CELL for side in result_HWC.shape[:2])
    error = pixel_errors(result_HWC, reference_HWC)[:height, :width]
    return error.reshape(height // CELL, CELL, width // CELL, CELL).mean(axis=(1, 3))


def pixel_errors(result_HWC: np.ndarray, reference_HWC: np.ndarray) -> np.ndarray:
    """Absolute error of each pixel, the mean of its channels, as a share of white: float32 [H, W].

    Args:
        result_HWC, reference_HWC: uint8, equal shapes.
    """
    difference = np.abs(result_HWC.astype(np.int16) - reference_HWC.astype(np.int16))
    return difference.mean(axis=2, dtype=np.float32) / np.float32(255)


def make_pairs(
    restorer: Restorer,
    photographs: DataConfig,
    count: int,
    folder: Path,
    *,
    seed: int = 0,
    on_log: Callable[[str], None] = print,
) -> Pairs:
    """Degrade and restore crops; what is in the folder is not made again.

    Args:
        restorer: whose errors are to be predicted.
        photographs: what crops are made of, and how.
        count: crops.
        folder: gets three files of numpy, and how many crops in them are made.
        seed: crop number `i` is a function of it and `i` alone.
        on_log: gets a line every 400 crops.

    Raises:
        ValueError: sides that are no multiple of the network's.
    """
    side = photographs.crop
    if side % MULTIPLE:
        raise ValueError(f"crops of {side} pixels: choose a multiple of {MULTIPLE}")
    folder.mkdir(parents=True, exist_ok=True)
    shapes = {
        "scans": ((count, side, side, 3), np.uint8),
        "results": ((count, side, side, 3), np.uint8),
        "errors": ((count, side // CELL, side // CELL), np.float16),
    }
    mode = "r+" if all((folder / f"{name}.npy").exists() for name in shapes) else "w+"
    pairs = Pairs(
        *(
            np.lib.format.open_memmap(folder / f"{name}.npy", mode, dtype, shape)
            for name, (shape, dtype) in shapes.items()
        )
    )
    made = folder / "made.txt"
    first = int(made.read_text()) if made.exists() and mode == "r+" else 0
    samples = TrainingSamples(photographs, seed)
    for start in range(first, count, _TOGETHER):
        numbers = range(start, min(start + _TOGETHER, count))
        drawn = [samples[number] for number in numbers]
        scans, wanted = (
            [from_unit_float((each[name].numpy().transpose(1, 2, 0) + 1) / 2, np.dtype(np.uint8)) for each in drawn]
            for name in ("lq", "hq")
        )
        results = restorer.restore(scans, [""] * len(scans), [0] * len(scans))
        for number, scan, result, reference in zip(numbers, scans, results, wanted, strict=True):
            pairs.scans[number], pairs.results[number] = scan, result
            pairs.errors[number] = cell_errors(result, reference)
        made.write_text(str(numbers.stop))
        if start // _TOGETHER % 50 == 0:
            on_log(f"{numbers.stop} of {count} crops")
    return pairs
