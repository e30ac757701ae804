"""One stage of training, on this machine or on Ray: what the command and the flow `train-stage` share."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from jobs.settings.train import TrainSettings

__all__ = ["run_training"]


def run_training(settings: TrainSettings, *, on_log: Callable[[str], None] | None = None) -> Path:
    """Train the stage; the weights file.

    Args:
        settings: what to train.
        on_log: called with each logged step as a line, where training runs in this process.
    """
    if settings.stage == "vae":
        return _train_vae(settings, on_log)
    job = settings.job()
    if settings.ray_workers:
        from pipelines.run.cluster import connected
        from pipelines.run.training import train_on_ray
        from pipelines.settings import Settings

        # A local Ray gets a logical CPU for each worker, whatever the machine has.
        cpus = max(os.cpu_count() or 1, settings.ray_workers)
        with connected(Settings(ray_address=settings.ray_address, cpus=cpus)):
            return train_on_ray(job, workers=settings.ray_workers)
    return job.run(on_log=(lambda row: on_log(_line(row))) if on_log else None)


def _train_vae(settings: TrainSettings, on_log: Callable[[str], None] | None) -> Path:
    from faithdiff_model.presets import PRESETS
    from faithdiff_model.training.autoencoder import AutoencoderConfig, train_autoencoder

    output = Path(settings.output)
    config = AutoencoderConfig(steps=settings.steps or 2000, batch=settings.batch or 8, seed=settings.seed)
    train_autoencoder(
        PRESETS[settings.preset],
        settings.data(),
        config,
        output,
        init=Path(settings.init) if settings.init else None,
        on_log=(lambda row: on_log(f"step {row['step']:>6}  PSNR {row['psnr']:.2f} dB")) if on_log else None,
    )
    return output / "vae"


def _line(row: dict[str, float]) -> str:
    return (
        f"step {row['step']:>6}  loss {row['loss']:.4f}  gradient {row['gradient_norm']:.3f}  "
        f"{row['seconds_a_step']:.2f} s a step"
    )
