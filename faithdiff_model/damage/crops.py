"""Training crops of the detector, made once and kept in files, so that training waits for nothing.

Crop number `i` is a function of the photographs, the settings, the seed and `i` alone.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

import cv2
import numpy as np

from faithdiff_model.damage.scans import ScanSettings, make_scan, target_of
from faithdiff_model.training.photographs import read_photograph

SIDE = 192  # pixels of a crop
_MARGIN = 16  # pixels around it that are marked with it, so that its border is no border of a photograph
CHUNK = 256  # crops a file
_SHRINK, _ENLARGE = 3.0, 2.5  # most by which a photograph is reduced, or enlarged as a soft one is


def make_crops(
    photographs: Sequence[str], folder: Path, count: int, settings: ScanSettings, seed: int = 0
) -> Iterator[int]:
    """Write crops until there are `count`; go on where an earlier call was stopped.

    Args:
        photographs: paths or fsspec URLs of undamaged photographs.
        folder: gets `crops.json` and `.npy` files of uint8 [256, 192, 192, 4]: red, green, blue and the target (`target_of`).
        count: of crops, rounded up to whole files.
        settings: see `make_scan`.
        seed: of everything.

    Yields:
        The number of crops that are there, after each file.

    Raises:
        ValueError: `folder` holds crops of other photographs or settings.
        PhotographError: a photograph cannot be read.
    """
    folder.mkdir(parents=True, exist_ok=True)
    record = folder / "crops.json"
    now = json.dumps(
        {"photographs": [Path(name).name for name in photographs], "settings": asdict(settings), "seed": seed}
    )
    if record.exists() and record.read_text() != now:
        raise ValueError(
            f"{folder}: holds crops of other photographs or settings: choose another folder, or delete this one"
        )
    record.write_text(now)
    images = [read_photograph(name) for name in photographs]
    for chunk in range(-(-count // CHUNK)):
        path = folder / f"{chunk:05d}.npy"
        if not path.exists():
            crops = np.stack([_crop(images, settings, seed, chunk * CHUNK + number) for number in range(CHUNK)])
            partial = path.with_suffix(".partial")
            with partial.open("wb") as file:
                np.save(file, crops)
            partial.rename(path)
        yield (chunk + 1) * CHUNK


class Crops:
    """The crops of one folder or several as a sequence of uint8 [192, 192, 4], mapped from their files.

    Raises:
        ValueError: a folder has none.
    """

    def __init__(self, *folders: Path) -> None:
        self._chunks: list[np.ndarray] = []
        for folder in folders:
            chunks = [np.load(path, mmap_mode="r") for path in sorted(folder.glob("*.npy"))]
            if not chunks:
                raise ValueError(f"{folder}: has no crops: make some with make_crops")
            self._chunks += chunks

    def __len__(self) -> int:
        return len(self._chunks) * CHUNK

    def __getitem__(self, index: int) -> np.ndarray:
        return np.asarray(self._chunks[index // CHUNK][index % CHUNK])


def _crop(images: Sequence[np.ndarray], settings: ScanSettings, seed: int, index: int) -> np.ndarray:
    """Crop number `index`: uint8 [192, 192, 4]."""
    rng = np.random.default_rng([seed, index])
    scan = make_scan(region(images[int(rng.integers(len(images)))], rng), settings, rng)
    inside = slice(_MARGIN, _MARGIN + SIDE)
    return np.dstack([scan.image, target_of(scan)])[inside, inside]


def region(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A square of a photograph, as it is, reduced or enlarged: float32 [side, side, 3] in 0 to 1."""
    side = SIDE + 2 * _MARGIN
    way = rng.random()
    factor = 1.0
    if way < 0.4:
        factor = float(np.exp(rng.uniform(0, np.log(_SHRINK))))
    elif way < 0.6:
        factor = 1 / float(rng.uniform(1, _ENLARGE))
    cut = min(round(side * factor), *image.shape[:2])
    row, column = (int(rng.integers(length - cut + 1)) for length in image.shape[:2])
    region = np.ascontiguousarray(image[row : row + cut, column : column + cut], np.float32) / 255
    if cut != side:
        region = cv2.resize(region, (side, side), interpolation=cv2.INTER_AREA if cut > side else cv2.INTER_CUBIC)
    return np.clip(region, 0, 1)
