"""Degraded crops kept on disk as bytes: made once, by a process of their own, and used again and again.

Degrading costs as much as a small network's training step. A shard is a function of the data's configuration, the seed and its
number alone; the trainer waits for one that is not there yet, so what it sees does not depend on who was faster.
"""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import time
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from faithdiff_model.training.config import DataConfig
from faithdiff_model.training.masks import seen_mask

SHARD = 512  # crops
_CHANNELS = 7  # HQ, LQ, damage mask
_NICE = 5
_WAIT_SECONDS = 0.5


def shard_folder(config: DataConfig, seed: int) -> Path:
    """Where the shards of a configuration are; another one has another folder."""
    facts = {
        name: value for name, value in asdict(config).items() if name not in ("cache", "workers", "cache_mib", "pool")
    }
    text = json.dumps([facts, seed], sort_keys=True, default=dict)
    return Path(config.cache) / hashlib.sha256(text.encode()).hexdigest()[:16]


def make_shard(config: DataConfig, seed: int, number: int) -> np.ndarray:
    """Crops [SHARD, 7, crop, crop], uint8: HQ and LQ as levels, the damage mask as 0 or 1."""
    from faithdiff_model.training.samples import TrainingSamples

    samples = TrainingSamples(replace(config, cache="", workers=0), seed)
    return _fill(samples, config.crop, number)


def _fill(samples: Any, crop: int, number: int) -> np.ndarray:
    shard = np.empty((SHARD, _CHANNELS, crop, crop), np.uint8)
    for place in range(SHARD):
        shard[place] = packed(samples[number * SHARD + place])
    return shard


def packed(sample: dict[str, Any]) -> np.ndarray:
    """A sample's images as levels and its damage mask as 0 or 1, uint8 [7, crop, crop]."""
    pictures = torch.cat([sample["hq"], sample["lq"]]).add(1).mul(127.5).round().clamp(0, 255)
    return torch.cat([pictures, sample["mask"]]).to(torch.uint8).numpy()


def write_shards(config: DataConfig, seed: int) -> None:
    """Make every shard that is missing, in order. Runs in a process of its own, on any core, behind everything else."""
    from faithdiff_model.training.samples import TrainingSamples

    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, range(os.cpu_count() or 1))  # the trainer may be bound to one
    os.nice(_NICE)
    samples = TrainingSamples(replace(config, cache="", workers=0), seed)
    folder, parent = shard_folder(config, seed), os.getppid()
    for number in range(config.shards):
        path = folder / f"{number:05d}.npy"
        if path.exists():
            continue
        shard = _fill(samples, config.crop, number)
        partial = path.with_suffix(".partial")
        with partial.open("wb") as file:
            np.save(file, shard)
        partial.rename(path)
        if os.getppid() != parent:  # the trainer is gone
            return


class ShardedCrops:
    """Batches of crops, or of parts of them, from shards: pass after pass, in an order that the seed gives.

    Args:
        config: `cache` names the folder and `shards` how many; `crop` is the side of what is kept.
        seed: of samples and order.
    """

    def __init__(self, config: DataConfig, seed: int) -> None:
        self.config, self.seed = config, seed
        self.folder = shard_folder(config, seed)
        self.folder.mkdir(parents=True, exist_ok=True)
        self._shard: tuple[int, np.ndarray] | None = None
        self._writer: Any = None

    def batches(
        self, side: int, batch: int, *, first: int = 0, rank: int = 0, processes: int = 1
    ) -> Iterator[dict[str, Any]]:
        """Batches from the `first`-th on, of crops of `side` pixels (a part of the kept ones), for process `rank`.

        Each has `hq`, `lq` ([batch, 3, side, side] in [-1, 1]), `mask` ([batch, 1, side, side], see `masks.seen_mask`), and
        `prompt` and `time_ids`, which a network of coefficients does not look at.
        """
        if rank == 0:
            self._start_writer()
        step = first
        while True:
            start = (step * processes + rank) * batch
            pieces = [self._piece(number, side) for number in range(start, start + batch)]
            block = torch.from_numpy(np.stack([piece for piece, _ in pieces])).float()
            mask = torch.from_numpy(np.stack([mask for _, mask in pieces]))[:, None]
            damage = block[:, 6:]
            yield {
                "hq": block[:, :3] / 127.5 - 1,
                "lq": block[:, 3:6] / 127.5 - 1,
                "mask": mask,
                "damage": damage,
                "prompt": [""] * batch,
                "time_ids": torch.zeros(batch, 6),
            }
            step += 1

    def _piece(self, number: int, side: int) -> tuple[np.ndarray, np.ndarray]:
        """Sample `number`: [7, side, side] uint8 and its mask, turned and flipped."""
        parts = self.config.crop // side
        each = SHARD * parts * parts
        visit, inside = divmod(number, each)
        order = np.random.default_rng([self.seed, side, visit]).permutation(each) if inside == 0 else None
        if order is not None or getattr(self, "_order_of", None) != (side, visit):
            self._order = np.random.default_rng([self.seed, side, visit]).permutation(each)
            self._order_of = (side, visit)
        crop, part = divmod(int(self._order[inside]), parts * parts)
        row, column = (place * side for place in divmod(part, parts))
        piece = self._load(visit % self.config.shards)[crop, :, row : row + side, column : column + side]
        rng = np.random.default_rng([self.seed, number, side])
        piece = np.rot90(piece, int(rng.integers(4)), axes=(1, 2))
        piece = piece[:, :, ::-1] if rng.random() < 0.5 else piece
        return np.ascontiguousarray(piece), seen_mask(piece[6] > 0, rng)

    def _load(self, number: int) -> np.ndarray:
        if self._shard is None or self._shard[0] != number:
            path = self.folder / f"{number:05d}.npy"
            while not path.exists():
                if self._writer is not None and not self._writer.is_alive() and not path.exists():
                    raise RuntimeError(
                        f"{path}: the process that makes training crops ended with {self._writer.exitcode}"
                    )
                time.sleep(_WAIT_SECONDS)
            self._shard = (number, np.load(path, mmap_mode="r"))
        return self._shard[1]

    def _start_writer(self) -> None:
        if self._writer is None and not all(
            (self.folder / f"{number:05d}.npy").exists() for number in range(self.config.shards)
        ):
            context = multiprocessing.get_context("spawn")
            self._writer = context.Process(target=write_shards, args=(self.config, self.seed), daemon=True)
            self._writer.start()
