"""`faitharchive train`: one stage of training, here, under `accelerate launch`, or on Ray."""

from __future__ import annotations

import os
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from jobs.console.terminal import OUT
from jobs.settings.flags import with_model
from jobs.settings.train import ENV_PREFIX, TrainSettings
from jobs.training import run_training

__all__ = ["show_plan", "train"]

_GIB = 1 << 30
_DRY_RUN_GPUS = (1, 4, 8)


def _train(
    settings: TrainSettings,
    dry_run: Annotated[bool, typer.Option(help="Only say what would be trained and what it takes.")] = False,
) -> None:
    """Train one stage on PHOTOGRAPHS (HQ), which are degraded on the fly; weights, log and checkpoints go to OUTPUT.

    Running again continues from the newest checkpoint, to the same losses. On several processes of one machine:
    accelerate launch --multi_gpu --num_processes N --no_python faitharchive train ...; on a Ray cluster: --ray-workers N.
    """
    if dry_run:
        show_plan(settings, OUT)
        return
    weights = run_training(settings, on_log=lambda line: OUT.print(line, highlight=False))
    if os.environ.get("RANK", "0") == "0":  # one process of a group speaks for all
        OUT.print(f"weights: {weights}", soft_wrap=True)


train = with_model(_train, TrainSettings, positional=("hq", "output"), prefix=ENV_PREFIX, named="train")


def show_plan(settings: TrainSettings, out: Console) -> None:
    """Print parameter groups, counts and the memory estimate."""
    from faithdiff_model.training.memory import plan_memory

    if settings.stage == "vae":
        raise ValueError("stage is vae, which has no plan: leave --dry-run out")
    job = settings.job()
    plan = plan_memory(job.network, job.stage, job.data.crop)
    extent = f"{job.stage.minutes:g} minutes" if job.stage.minutes else f"{job.stage.steps:,} steps"
    groups = Table(title=f"{settings.preset}, {job.stage.name}: {extent}")
    for heading in ("part", "parameters", "trained", "learning rate"):
        groups.add_column(heading, justify="left" if heading == "part" else "right")
    for name, count in plan.parameters.items():
        rate = job.stage.learning_rates.get(name)
        groups.add_row(name, f"{count:,}", f"{plan.trained[name]:,}", f"{rate:g}" if rate else "frozen")
    out.print(groups)
    memory = Table(
        title=f"GiB a GPU, {job.stage.batch} samples of {job.data.crop} pixels a call ({job.stage.precision})"
    )
    parts = ("weights", "gradients", "moments", "average", "activations", "update")
    for heading in ("GPUs", *parts, "total", "global batch"):
        memory.add_column(heading, justify="right")
    for gpus in _DRY_RUN_GPUS:
        values = [f"{getattr(plan, part) / _GIB:.1f}" for part in parts]
        memory.add_row(str(gpus), *values, f"{plan.total / _GIB:.1f}", str(plan.global_batch(job.stage, gpus)))
    out.print(memory)
    out.print(
        "Data-parallel: every GPU holds all of it; activations are gone when the optimizer's update comes. Activations fall "
        "with --batch and --gradient-checkpointing; --lora-rank trains fewer parameters."
    )
