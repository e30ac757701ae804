"""Small training runs: photographs, parts and stages that take a few seconds."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from archive_steps import picture, save_photo
from safetensors.torch import load_file
from torch import Tensor

from faithdiff_model.network.config import NetworkConfig
from faithdiff_model.presets.tiny import TINY
from faithdiff_model.spec import ModelSpec
from faithdiff_model.training.config import DataConfig, StageConfig
from faithdiff_model.training.initial import training_parts
from faithdiff_model.training.loop import LOG, TrainingParts, train_stage
from faithdiff_model.training.state import read_log
from faithdiff_model.weights.checkpoint_keys import to_ours

SPEC = ModelSpec(preset="tiny", device="cpu", dtype="float32")
JOINT = {"lq_encoder": 1e-4, "alignment": 1e-3, "unet": 1e-3}


def save_photographs(folder: Path, count: int = 3, height: int = 72, width: int = 80) -> Path:
    """A folder of photographs, large enough for crops of 32 pixels with their margin."""
    for number in range(count):
        save_photo(folder / f"{number}.png", picture(height, width, seed=number))
    return folder


def small_data(folder: Path | str, **changes: Any) -> DataConfig:
    """Samples of 32 pixels, read in the training process."""
    values = {"hq": (str(folder),), "crop": 32, "degradations": {"level-I": 1.0}, "workers": 0}
    return DataConfig(**{**values, **changes})


def short_stage(**changes: Any) -> StageConfig:
    """Four steps of two samples on all parts, every one logged."""
    values = {"name": "short", "steps": 4, "learning_rates": JOINT, "batch": 2, "warmup_steps": 2}
    return StageConfig(**{**values, "log_every": 1, "save_every": 2, **changes})


def tiny_parts(network: NetworkConfig = TINY, seed: int = 0) -> TrainingParts:
    """Parts of an untrained network."""
    return training_parts(SPEC, network, init=None, seed=seed)


def run_stage(
    stage: StageConfig,
    data: DataConfig,
    output: Path,
    *,
    network: NetworkConfig = TINY,
    parts: TrainingParts | None = None,
    on_log: Callable[[dict[str, Any]], None] | None = None,
) -> dict[str, Tensor]:
    """Train on the CPU; the written tensors by our names."""
    parts = parts or tiny_parts(network)
    path = train_stage(network, parts, stage, data, output, device="cpu", on_log=on_log)
    return {to_ours(name): tensor for name, tensor in load_file(path).items()}


def log_rows(output: Path) -> list[dict[str, Any]]:
    """A run's log without what differs from run to run."""
    return [{name: row[name] for name in row if name != "seconds_a_step"} for row in read_log(output / LOG)]


def snapshot(module: torch.nn.Module) -> dict[str, Tensor]:
    """Copies of all tensors of a module."""
    return {name: tensor.detach().clone() for name, tensor in module.state_dict().items()}


def moved(before: dict[str, Tensor], after: dict[str, Tensor]) -> set[str]:
    """Names of the tensors that are not the same bits."""
    assert before.keys() == after.keys()
    return {name for name in before if not torch.equal(before[name], after[name])}


def kill_at(step: int) -> Callable[[dict[str, Any]], None]:
    """A listener to a log that ends this process at a step, without a last word."""

    def listen(row: dict[str, Any]) -> None:
        if row["step"] == step:
            os.kill(os.getpid(), signal.SIGKILL)

    return listen


if (
    __name__ == "__main__"
):  # python tests/support/training_runs.py PHOTOGRAPHS OUTPUT: the run that test_training_resume kills
    torch.set_num_threads(1)
    run_stage(short_stage(steps=6), small_data(sys.argv[1]), Path(sys.argv[2]), on_log=kill_at(5))
