"""What `gpu.py` does with PyTorch, in a process of its own: the recipe scaled to a GPU, and the figures of its weights."""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from facts import machine_facts
from gpu import add, training_minutes
from gpu_network import WIDTHS, load_restorer, network_of, save_half

from faithdiff_model.degradation.recipes import degrade
from faithdiff_model.evaluation.data import Pair, as_rgb
from faithdiff_model.evaluation.fidelity import psnr_y
from faithdiff_model.evaluation.methods import Method, network_method, plain_methods
from faithdiff_model.evaluation.perceptual import gmsd
from faithdiff_model.network.config import NetworkConfig
from faithdiff_model.presets import ORIGINS
from faithdiff_model.spec import ModelSpec
from faithdiff_model.training.config import DataConfig, StageConfig
from faithdiff_model.training.initial import training_parts
from faithdiff_model.training.loop import LOG, WEIGHTS, train_stage
from faithdiff_model.training.photographs import read_photograph
from faithdiff_model.training.recipes import JOINT_DEGRADATIONS, joint_stage

STAGE = "joint"  # the folder that `ship_nano.py` looks into
DEGRADATIONS = ("level-II", "archive")
_LOG_EVERY = 50
_NEVER = 10**9  # steps: a checkpoint would cost more than it saves
_EACH = 5  # photographs between lines of the results


def train(options: argparse.Namespace) -> None:
    """Train by the clock; weights and log are copied to the results as they come."""
    started = time.monotonic()
    on_gpu = options.device == "auto" and torch.cuda.is_available()
    torch.backends.cudnn.benchmark = True  # all batches are of two sizes
    if on_gpu:
        torch._dynamo.config.suppress_errors = True  # what cannot be compiled runs as it is
    network = network_of(WIDTHS[options.width])
    parts = training_parts(ModelSpec(preset="nano"), network, init=options.init, seed=options.seed)
    stage, data = scaled_stage(options, on_gpu), scaled_data(options)
    about = {
        "parameters": sum(parameter.numel() for parameter in parts.unet.parameters()),
        "width": options.width,
        "compiled": stage.compile,
        "precision": stage.precision,
        "minutes": stage.minutes,
        "workers": data.workers,
        "machine": machine_facts(),
    }
    add(options.out, {"what": "training begins", **about})
    with tempfile.TemporaryDirectory() as scratch, _copied(Path(scratch), network, options.out) as copy:
        rows: list[dict[str, Any]] = []

        def listen(row: dict[str, Any]) -> None:
            rows.append({**row, "at_s": time.monotonic() - started})
            copy()

        train_stage(network, parts, stage, data, Path(scratch), device=options.device, on_log=listen)
    add(options.out, {"what": "train", **_told(rows, started), "machine": machine_facts()})


def scaled_stage(options: argparse.Namespace, on_gpu: bool) -> StageConfig:
    """nano's recipe with larger batches; late ones have as many pixels, so that a step costs the same."""
    recipe = joint_stage(training_minutes(options))
    return replace(
        recipe,
        learning_rates=dict.fromkeys(recipe.learning_rates, options.rate),
        batch=options.batch,
        late_crop=options.crop,
        late_batch=max(1, options.batch // 4),
        precision="bf16" if on_gpu else "no",
        compile=on_gpu and not options.no_compile,
        seed=options.seed,
        log_every=_LOG_EVERY if on_gpu else 1,
        save_every=_NEVER * _LOG_EVERY,
        write_minutes=options.write_minutes,
    )


def scaled_data(options: argparse.Namespace) -> DataConfig:
    """Every core but one degrades; the device keeps what they make."""
    packed = options.photos / "train"
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return DataConfig(
        hq=(str(packed if packed.is_dir() else options.photos),),
        crop=options.crop,
        part=options.crop // 2,
        degradations=JOINT_DEGRADATIONS,
        shrink=2.0,
        workers=max(1, cores - 1) if options.workers is None else options.workers,
        pool=options.pool,
    )


@contextmanager
def _copied(scratch: Path, network: NetworkConfig, out: Path) -> Iterator[Any]:
    """What is called to copy weights and log out of a training's folder, if there are new ones; once more at the end."""
    copied = 0

    def copy() -> None:
        nonlocal copied
        weights = scratch / WEIGHTS
        made = weights.stat().st_mtime_ns if weights.exists() else 0
        if made == copied:
            return
        copied = made
        save_half(weights, network, out / STAGE / WEIGHTS)
        for name in (LOG, "stage.json"):
            shutil.copyfile(scratch / name, out / STAGE / name)

    try:
        yield copy
    finally:
        copy()


def _told(rows: list[dict[str, Any]], started: float) -> dict[str, Any]:
    """A training's own figures; `crops` is how many were degraded, `samples` how many parts of them were trained on."""
    last = rows[-1]
    return {
        "minutes": round((time.monotonic() - started) / 60, 2),
        "first_log_line_s": round(rows[0]["at_s"], 1),
        "steps": last["step"],
        **{name: last[name] for name in ("samples", "crops", "seconds_a_step", "loss")},
        "peak_gib": torch.cuda.max_memory_allocated() / 2**30 if torch.cuda.is_available() else None,
    }


def measure(options: argparse.Namespace) -> None:
    """Means over the pack's held-out photographs: PSNR-Y and GMSD of bicubic, the shipped nano and the new weights."""
    files = sorted((options.photos / "held-out").glob("*.png"))
    weights = options.out / STAGE / WEIGHTS
    if not files or not weights.exists():
        add(options.out, {"what": "measure", "left_out": f"{len(files)} photographs, weights {weights.exists()}"})
        return
    device = "cuda" if options.device == "auto" and torch.cuda.is_available() else "cpu"
    methods = {
        "bicubic": plain_methods()[0],
        "shipped": network_method("shipped", load_restorer(Path(ORIGINS["nano"].faithdiff), device)),
        "new": network_method("new", load_restorer(weights, device)),
    }
    found: dict[str, list[dict[str, float]]] = {}
    for number, file in enumerate(files, 1):
        hq = read_photograph(str(file)).astype(np.float32) / 255
        for degradation in DEGRADATIONS:
            for name, method in methods.items():
                found.setdefault(f"{degradation} {name}", []).append(_one(method, degradation, hq, file, number))
        if number % _EACH == 0 or number == len(files):  # the last of these lines is of all
            means = {key: {m: float(np.mean([row[m] for row in rows])) for m in rows[0]} for key, rows in found.items()}
            add(options.out, {"what": "measure", "photographs": number, "means": means, "machine": machine_facts()})


def _one(method: Method, degradation: str, hq_HWC: np.ndarray, file: Path, seed: int) -> dict[str, float]:
    degraded = degrade(degradation, hq_HWC, seed)
    lq, reference = as_rgb(degraded.lq), as_rgb(degraded.hq)
    pair = Pair(name=file.stem, degradation=degradation, seed=seed, hq=file)
    result = method.run(lq, *reference.shape[:2], pair)
    return {"PSNR-Y": psnr_y(result, reference), "GMSD": gmsd(result, reference)}
