"""Where a stage's batches come from: degraded on the fly, or cached crops, in two sizes over a stage."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from accelerate import Accelerator

from faithdiff_model.training.config import DataConfig, StageConfig
from faithdiff_model.training.pool import CropPool
from faithdiff_model.training.samples import sample_loader
from faithdiff_model.training.shards import ShardedCrops


class BatchFeed:
    """Where a stage's batches come from."""

    def __init__(self, accelerator: Accelerator, stage: StageConfig, data: DataConfig) -> None:
        self.stage, self.data = stage, data
        self.place = {"rank": accelerator.process_index, "processes": accelerator.num_processes}
        self.crops = ShardedCrops(data, stage.seed) if data.cache else None
        self.pool = CropPool(data, stage.seed, accelerator.device, **self.place) if data.pool else None
        self._late: bool | None = None
        self._batches: Iterator[dict[str, Any]] = iter(())

    def batches(self, step: int, share: float) -> Iterator[dict[str, Any]]:
        """From a step on: the running iterator, or a new one where the samples' size changes."""
        late = share >= self.stage.late_from
        if late is not self._late:
            self._late = late
            batch = self.stage.late_batch if late else self.stage.batch
            first = step * self.stage.accumulation
            side = self.stage.late_crop if late else self.data.part or self.data.crop
            if self.pool is not None:
                self._batches = self.pool.batches(side, batch)
            elif self.crops is not None:
                self._batches = self.crops.batches(side, batch, first=first, **self.place)
            else:
                data = replace(self.data, crop=self.stage.late_crop) if late else self.data
                self._batches = iter(sample_loader(data, self.stage.seed, batch=batch, first=first, **self.place))
        return self._batches

    def one_of_each_size(self) -> list[dict[str, Any]]:
        """A batch of each size that the stage will meet, where drawing one takes none away: from a pool."""
        if self.pool is None:
            return []
        late = [1.0] if self.stage.late_from < 1 else []
        return [next(self.batches(0, share)) for share in (*late, 0.0)]

    @property
    def counts(self) -> dict[str, int]:
        """What the log says of a pool: how many crops have come into it, and how many samples have been drawn."""
        return {"crops": self.pool.added, "samples": self.pool.drawn} if self.pool is not None else {}

    def close(self) -> None:
        """End the processes that make crops for the pool."""
        if self.pool is not None:
            self.pool.close()
