"""Where a stage's batches come from: degraded on the fly, or cached crops, in two sizes over a stage."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from accelerate import Accelerator

from faithdiff_model.training.config import DataConfig, StageConfig
from faithdiff_model.training.samples import sample_loader
from faithdiff_model.training.shards import ShardedCrops


class BatchFeed:
    """Where a stage's batches come from."""

    def __init__(self, accelerator: Accelerator, stage: StageConfig, data: DataConfig) -> None:
        self.stage, self.data = stage, data
        self.place = {"rank": accelerator.process_index, "processes": accelerator.num_processes}
        self.crops = ShardedCrops(data, stage.seed) if data.cache else None
        self._late: bool | None = None
        self._batches: Iterator[dict[str, Any]] = iter(())

    def batches(self, step: int, share: float) -> Iterator[dict[str, Any]]:
        """From a step on: the running iterator, or a new one where the samples' size changes."""
        late = share >= self.stage.late_from
        if late is not self._late:
            self._late = late
            batch = self.stage.late_batch if late else self.stage.batch
            first = step * self.stage.accumulation
            if self.crops is not None:
                side = self.stage.late_crop if late else self.data.part or self.data.crop
                self._batches = self.crops.batches(side, batch, first=first, **self.place)
            else:
                data = replace(self.data, crop=self.stage.late_crop) if late else self.data
                self._batches = iter(sample_loader(data, self.stage.seed, batch=batch, first=first, **self.place))
        return self._batches
