"""Degraded crops in the trainer's own memory, as bytes, for a device that trains faster than processors degrade.

Workers go on making crops; each new one takes the place of the oldest. Batches are drawn at random from what is there, so the
device never waits and sees each crop a few times, in other parts and other company. What is drawn depends on who was faster:
such a run cannot be repeated bit for bit.
"""

from __future__ import annotations

import os
import tempfile
import uuid
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from threading import Condition, Thread
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from faithdiff_model.training.config import DataConfig
from faithdiff_model.training.masks import seen_mask
from faithdiff_model.training.samples import SampleNumbers, TrainingSamples, use_one_thread
from faithdiff_model.training.shards import packed

_BLOCK = 64  # crops that a worker hands over at once
_NICE = 5  # the trainer, and what compiles for it, go first
_CHANNELS = 8  # HQ, LQ, the damage mask as it is seen, the damage
_ENOUGH = 4  # batches that must be there before the first is drawn
_PATIENCE_SECONDS = 1.0


class PackedSamples(Dataset[np.ndarray]):
    """Endless samples by number, as bytes: uint8 [8, crop, crop], HQ and LQ as levels, seen and true damage as 0 or 1."""

    def __init__(self, config: DataConfig, seed: int) -> None:
        self.samples = TrainingSamples(config, seed)
        self.seed = seed

    def __getitem__(self, index: int) -> np.ndarray:
        sample = packed(self.samples[index])
        seen = seen_mask(sample[6] > 0, np.random.default_rng([self.seed, index, 1])).astype(np.uint8)
        return np.concatenate([sample[:6], seen[None], sample[6:]])


def write_block(folder: str, samples: list[np.ndarray]) -> str:
    """Put samples into a file and name it.

    Through a pipe they would come in a thousand pieces a second, for each of which the reading thread waits its turn at the
    interpreter behind the training one; and of shared memory a container may have little.
    """
    path = f"{folder}/{uuid.uuid4().hex}"
    np.stack(samples).tofile(path)
    return path


def _start_worker(worker: int) -> None:
    use_one_thread(worker)
    os.nice(_NICE)


class CropPool:
    """`config.pool` crops on a device, replaced all the time by a thread that takes what the workers make.

    Args:
        config: `crop` is the side of what is kept, `workers` how many processes make it (0: the thread itself does).
        seed: of the samples and of what is drawn.
        device: where the crops are: 8 * crop**2 bytes each.
        rank, processes: of a group that trains together; each has a pool of its own.
    """

    def __init__(
        self, config: DataConfig, seed: int, device: torch.device, *, rank: int = 0, processes: int = 1
    ) -> None:
        self.config = config
        self.crops = torch.zeros(config.pool, _CHANNELS, config.crop, config.crop, dtype=torch.uint8, device=device)
        self.added = self.drawn = 0
        self._folder = tempfile.TemporaryDirectory(prefix="crops-")
        self._change = Condition()
        self._closed = False
        self._fault: Exception | None = None
        self._places = torch.Generator(device).manual_seed(seed + rank)
        self._turns = np.random.default_rng([seed, rank])
        block = min(_BLOCK, config.pool)
        loader = DataLoader(
            PackedSamples(replace(config, pool=0), seed),
            batch_size=block,
            sampler=SampleNumbers(0, block, rank, processes),
            collate_fn=partial(write_block, self._folder.name),
            num_workers=config.workers,
            worker_init_fn=_start_worker,
            multiprocessing_context="spawn" if config.workers else None,
        )
        self._thread = Thread(target=self._take, args=(loader,), daemon=True)
        self._thread.start()

    def _take(self, loader: DataLoader[Any]) -> None:
        try:
            for path in loader:
                block = np.fromfile(path, np.uint8).reshape(-1, *self.crops.shape[1:])
                Path(path).unlink()
                self._add(torch.from_numpy(block))
                if self._closed:
                    return
        except Exception as error:  # for the trainer, who would wait for ever
            with self._change:
                self._fault = error
                self._change.notify_all()

    def _add(self, block: Tensor) -> None:
        on_gpu = self.crops.device.type == "cuda"
        block = block.pin_memory() if on_gpu else block
        count, capacity = len(block), len(self.crops)
        with self._change:  # what is drawn is never half of one crop and half of another
            start = self.added % capacity
            whole = min(count, capacity - start)
            self.crops[start : start + whole].copy_(block[:whole], non_blocking=on_gpu)
            self.crops[: count - whole].copy_(block[whole:], non_blocking=on_gpu)
            self.added += count
            self._change.notify_all()

    def batches(self, side: int, batch: int) -> Iterator[dict[str, Any]]:
        """Endless batches of parts of `side` pixels, each of another crop, all turned the same way, on the pool's device.

        Each has `hq`, `lq` ([batch, 3, side, side] in [-1, 1]), `mask` and `damage` ([batch, 1, side, side], 0 or 1: as
        `masks.seen_mask` has it, and the truth), and `prompt` and `time_ids`, which a network of coefficients does not look at.

        Raises:
            ValueError: `side` does not divide the crops.
            RuntimeError: no more crops come, since a worker failed (the cause says how).
        """
        if self.config.crop % side:
            raise ValueError(f"parts of {side} pixels from crops of {self.config.crop}: choose a divisor")
        parts = self.config.crop // side
        crops = self.crops.view(len(self.crops), _CHANNELS, parts, side, parts, side)
        while True:
            with self._change:
                self._wait(min(_ENOUGH * batch, len(crops)))
                rows, down, across = (
                    torch.randint(most, (batch,), generator=self._places, device=crops.device)
                    for most in (min(self.added, len(crops)), parts, parts)
                )
                drawn = crops[rows, :, down, :, across]
                self.drawn += batch
            drawn = torch.rot90(drawn, int(self._turns.integers(4)), (2, 3))
            drawn = drawn.flip(3) if self._turns.random() < 0.5 else drawn
            drawn = drawn.contiguous()  # one layout for all turns: a compiled network meets no new one
            yield {
                "hq": drawn[:, :3].float() / 127.5 - 1,
                "lq": drawn[:, 3:6].float() / 127.5 - 1,
                "mask": drawn[:, 6:7].float(),
                "damage": drawn[:, 7:].float(),
                "prompt": [""] * batch,
                "time_ids": torch.zeros(batch, 6),
            }

    def _wait(self, count: int) -> None:
        """Until so many crops are there. Call with the condition held."""
        while self.added < count and self._fault is None:
            self._change.wait(_PATIENCE_SECONDS)
        if self._fault is not None:
            raise RuntimeError("no more training crops: a process that makes them failed") from self._fault

    def close(self) -> None:
        """End the workers; what is there may still be drawn."""
        self._closed = True
        self._thread.join()
        self._folder.cleanup()
