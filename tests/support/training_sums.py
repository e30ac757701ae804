"""The losses of a run worked out again from the public parts, to hold the loop against."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

from faithdiff_model.presets.tiny import TINY
from faithdiff_model.training.config import DataConfig, StageConfig
from faithdiff_model.training.loop import TrainingParts, _mix
from faithdiff_model.training.loss import NoiseLoss, add_noise, forward_process
from faithdiff_model.training.samples import sample_loader


def losses_by_hand(
    parts: TrainingParts,
    stage: StageConfig,
    data: DataConfig,
    *,
    calls: Iterable[int],
    rank: int = 0,
    processes: int = 1,
    on_batch: Callable[[dict[str, Any]], None] | None = None,
) -> list[Tensor]:
    """The loss of each call of an untrained tiny network, with its graph."""
    assert parts.prompts is not None
    losses = []
    for number in calls:
        loader = sample_loader(data, stage.seed, batch=stage.batch, first=number, rank=rank, processes=processes)
        batch = next(iter(loader))
        if on_batch is not None:
            on_batch(batch)
        generator = torch.Generator().manual_seed(_mix(stage.seed, number, rank))
        with torch.no_grad():
            hq, lq = (parts.vae.encode(batch[name]).latent_dist.mode() * TINY.scaling_factor for name in ("hq", "lq"))
        noised = add_noise(
            hq,
            forward_process(TINY),
            stage.noise_offset,
            generator,
            start_BChw=lq if stage.start_from_lq else None,
            first_timestep=stage.first_timestep,
        )
        dropped = torch.rand(stage.batch, generator=generator) < stage.prompt_dropout
        prompts = ["" if drop else prompt for prompt, drop in zip(batch["prompt"], dropped, strict=True)]
        texts = [parts.prompts.encode(prompt) for prompt in prompts]
        text = torch.stack([text.text for text in texts]), torch.stack([text.pooled for text in texts])
        loss = NoiseLoss(parts.unet, conditioned=stage.conditioned)
        losses.append(loss(noised, batch["lq"], text, batch["time_ids"]))
    return losses
