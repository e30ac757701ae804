"""Training samples: a crop of a photograph, degraded. Sample `i` is a function of the seed and `i` alone.

So a run that goes on after an interruption, with any number of workers, sees what an uninterrupted one sees.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import cv2
import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from faithdiff_model.degradation.recipes import DEGRADATIONS
from faithdiff_model.image.resize import enlarge, from_unit_float
from faithdiff_model.training.config import DataConfig
from faithdiff_model.training.photographs import PhotographCache, list_photographs, without

_MARGIN = 16  # pixels around a crop that are degraded with it, so that its border is no image border


class TrainingSamples(Dataset[dict[str, Any]]):
    """Endless samples by number.

    A sample has `hq` and `lq` ([3, crop, crop] float32 in [-1, 1], the LQ image enlarged to the HQ size), `mask` ([1, crop,
    crop] float32, 1 where marks of damage were drawn that can be seen), `prompt`, and `time_ids` (original height and width,
    crop row and column, crop height and width in pixels).
    """

    def __init__(self, config: DataConfig, seed: int) -> None:
        self.config = config
        self.seed = seed
        side = config.crop + 2 * _MARGIN
        photographs = list_photographs(config.hq, config.captions)
        if config.leave_out:
            photographs = without(photographs, config.leave_out)
        self.cache = PhotographCache(photographs, smallest_side=side, limit_mib=config.cache_mib)

    def __getitem__(self, index: int) -> dict[str, Any]:
        rng = np.random.default_rng([self.seed, index])
        photograph, image = self.cache.image(int(rng.integers(len(self.cache.photographs))))
        region, row, column = self._region(image, rng)
        if self.config.degradations:
            names, weights = zip(*self.config.degradations.items(), strict=True)
            name = names[rng.choice(len(names), p=np.array(weights) / sum(weights))]
            degraded = DEGRADATIONS[name](region, rng)
            hq = degraded.hq
            lq = from_unit_float(degraded.lq, np.dtype(np.uint8))  # as a file would hold it
            lq = enlarge(lq, *hq.shape[:2])
            damage = degraded.damage_mask()
        else:
            hq = lq = region
            damage = np.zeros(region.shape[:2], bool)
        inside = slice(_MARGIN, _MARGIN + self.config.crop)
        marks = torch.from_numpy(damage[inside, inside].astype(np.float32))[None]
        return {
            "hq": _to_tensor(hq[inside, inside]),
            "lq": _to_tensor(lq[inside, inside]),
            "mask": marks,
            "damage": marks,
            "prompt": photograph.caption,
            "time_ids": torch.tensor([*image.shape[:2], row, column, self.config.crop, self.config.crop]).float(),
        }

    def _region(self, image: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, int, int]:
        """A crop with its margin, perhaps reduced, flipped and turned: float32 [side, side, 3] in [0, 1]."""
        side = self.config.crop + 2 * _MARGIN
        most = min(self.config.shrink, min(image.shape[:2]) / side)
        cut = min(round(side * float(rng.uniform(1, most))), *image.shape[:2])
        row, column = (int(rng.integers(length - cut + 1)) for length in image.shape[:2])
        region = image[row : row + cut, column : column + cut]
        if cut != side:
            region = cv2.resize(region, (side, side), interpolation=cv2.INTER_AREA)
        region = np.rot90(region, int(rng.integers(4))) if rng.random() < 0.5 else region
        region = region[:, ::-1] if rng.random() < 0.5 else region
        return np.ascontiguousarray(region, np.float32) / 255, row, column


def _to_tensor(image_HWC: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(image_HWC.transpose(2, 0, 1))) * 2 - 1


class SampleNumbers(Sampler[int]):
    """The sample numbers of one process, from a step on, without end."""

    def __init__(self, first: int, batch: int, rank: int, processes: int) -> None:
        self.first, self.batch, self.rank, self.processes = first, batch, rank, processes

    def __iter__(self) -> Iterator[int]:
        step = self.first
        while True:
            start = (step * self.processes + self.rank) * self.batch
            yield from range(start, start + self.batch)
            step += 1


def sample_loader(
    config: DataConfig, seed: int, *, batch: int, first: int = 0, rank: int = 0, processes: int = 1
) -> DataLoader[dict[str, Any]]:
    """Batches from the `first`-th on, for process `rank` of `processes`."""
    return DataLoader(
        TrainingSamples(config, seed),
        batch_size=batch,
        sampler=SampleNumbers(first, batch, rank, processes),
        num_workers=config.workers,
        worker_init_fn=use_one_thread,
        persistent_workers=config.workers > 0,
        multiprocessing_context="spawn" if config.workers else None,
    )


def use_one_thread(_worker: int) -> None:
    """OpenCV would otherwise start a thread a core in every worker."""
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
