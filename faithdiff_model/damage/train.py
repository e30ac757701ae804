"""Training of the detector: a loop by the clock, which goes on from its last checkpoint and averages its weights.

The restorer's loop (`training/loop.py`) is built around latents, a noise schedule and the published names of a FaithDiff
network; nothing of that is here. This one classifies pixels.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from faithdiff_model.damage.crops import SIDE, Crops
from faithdiff_model.damage.network import FAMILIES, DamageNetwork, DetectorConfig, with_norms, without_norms
from faithdiff_model.damage.prominence import network_input
from faithdiff_model.damage.scans import UNSURE
from faithdiff_model.training.averages import follow_average, rise_and_fall

CHECKPOINT, LOG = "checkpoint.pt", "log.jsonl"


@dataclass(frozen=True, kw_only=True)
class DetectorStage:
    """How the detector is trained.

    Attributes:
        minutes: of training; the learning rate has fallen to nothing when they are over.
        batch: crops a step.
        crop: side of what is cut out of each in pixels, a multiple of the network's.
        learning_rate: of AdamW; it rises over the first 2% of the time and then falls along a cosine.
        weight_decay, clip: of AdamW; largest norm of the gradient.
        positive_weight: how much more a missed pixel of damage costs than a false one.
        family_weight: of telling the families apart, beside finding damage at all.
        overlap_weight: of the overlap (Dice) of the mask, beside the entropy of its pixels.
        area_weight: of a pixel of an area, such as a stain, beside one of a speck or line: there are many, and they are alike.
        hard_share: of the crops of a step, those that mislead an earlier detector, where there are any.
        ema_decay: of the averaged weights.
        seed: of order and start.
        save_seconds: between checkpoints.
    """

    minutes: float
    batch: int = 8
    crop: int = 80
    learning_rate: float = 3e-3
    weight_decay: float = 1e-2
    clip: float = 1.0
    positive_weight: float = 2.0
    family_weight: float = 0.3
    overlap_weight: float = 0.3
    area_weight: float = 0.3
    hard_share: float = 0.25
    ema_decay: float = 0.998
    seed: int = 0
    save_seconds: float = 60

    def __post_init__(self) -> None:
        if self.minutes <= 0 or self.batch < 1 or not 16 <= self.crop <= SIDE or not 0 <= self.ema_decay < 1:
            raise ValueError(
                f"minutes {self.minutes}, batch {self.batch}, crop {self.crop}, ema_decay {self.ema_decay}: "
                f"choose minutes above 0, a batch of 1 or more, a crop of 16 to {SIDE}, a decay in 0 to below 1"
            )


def damage_loss(logits_BFHW: Tensor, target_BHW: Tensor, stage: DetectorStage) -> Tensor:
    """How wrong the network is, a scalar.

    Args:
        logits_BFHW: of each family, float32.
        target_BHW: uint8, as `scans.target_of` gives it; what is unsure does not count.
        stage: weights of the parts.
    """
    counts = (target_BHW != UNSURE).float()
    bits = torch.stack([target_BHW >> number & 1 for number in range(len(FAMILIES))], dim=1).float()
    bits = bits * counts[:, None]
    counts = torch.where(target_BHW == 1 << FAMILIES.index("areas"), stage.area_weight, counts)
    pixels = counts.sum().clamp_min(1)
    weight = torch.tensor(stage.positive_weight)
    families = functional.binary_cross_entropy_with_logits(logits_BFHW, bits, pos_weight=weight, reduction="none")
    families = (families * counts[:, None]).sum() / pixels
    damaged = bits.amax(dim=1)
    # Undamaged is undamaged by every family: its logarithm is the sum of theirs.
    none = -functional.softplus(logits_BFHW).sum(dim=1)
    some = torch.log(-torch.expm1(none.clamp_max(-1e-6)))
    entropy = -(stage.positive_weight * damaged * some + (1 - damaged) * none)
    entropy = (entropy * counts).sum() / pixels
    probability = -torch.expm1(none) * counts
    damaged = damaged * counts
    overlap = (2 * (probability * damaged).sum() + 1) / (probability.sum() + damaged.sum() + 1)
    return entropy + stage.family_weight * families + stage.overlap_weight * (1 - overlap)


def train_detector(
    crops: Crops,
    config: DetectorConfig,
    stage: DetectorStage,
    output: Path,
    *,
    hard: Crops | None = None,
    start: Path | None = None,
    on_log: Callable[[dict[str, Any]], None] | None = None,
) -> DamageNetwork:
    """Train; go on from `output`'s checkpoint if there is one, for the minutes that are left.

    Args:
        crops: see `crops.Crops`.
        config, stage: the network and its training.
        output: gets `checkpoint.pt` and `log.jsonl`, a line every hundred steps.
        hard: crops without damage that mislead (`hard_crops.py`), `stage.hard_share` of what is drawn.
        start: `output` of an earlier training whose weights this one begins with.
        on_log: called with each line.

    Returns:
        The network with its averaged weights.
    """
    output.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(stage.seed)
    network = with_norms(DamageNetwork(config))
    average = with_norms(DamageNetwork(config)).requires_grad_(False).eval()
    average.load_state_dict(network.state_dict())
    optimizer = torch.optim.AdamW(
        network.parameters(), stage.learning_rate, (0.9, 0.99), weight_decay=stage.weight_decay
    )
    if start is not None:
        _resume(start / CHECKPOINT, network, average, None)
    step, spent = _resume(output / CHECKPOINT, network, average, optimizer)
    began = saved = time.monotonic()
    losses: list[float] = []
    total = 60 * stage.minutes
    while (passed := spent + time.monotonic() - began) < total:
        for group in optimizer.param_groups:
            group["lr"] = stage.learning_rate * rise_and_fall(passed / total)
        image, target = _batch(crops, hard, stage, step)
        loss = damage_loss(network(image), target, stage)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), stage.clip)
        optimizer.step()
        step += 1
        losses.append(float(loss.detach()))
        follow_average(average, network, stage.ema_decay, step)
        if step % 100 == 0:
            row = _log(output, step, passed, losses)
            losses = []
            if on_log is not None:
                on_log(row)
        if time.monotonic() - saved > stage.save_seconds:
            saved = time.monotonic()
            _save(output / CHECKPOINT, network, average, optimizer, step, spent + saved - began)
    _save(output / CHECKPOINT, network, average, optimizer, step, spent + time.monotonic() - began)
    return without_norms(average)


def _log(output: Path, step: int, passed: float, losses: list[float]) -> dict[str, Any]:
    """Add a line to the log, and return it."""
    row = {"step": step, "seconds": round(passed, 1), "loss": round(float(np.mean(losses)), 5)}
    if not math.isfinite(row["loss"]):
        raise ValueError(f"{output}: the loss is {row['loss']} at step {step}: lower the learning rate")
    with (output / LOG).open("a") as file:
        file.write(json.dumps(row) + "\n")
    return row


def _batch(crops: Crops, hard: Crops | None, stage: DetectorStage, step: int) -> tuple[Tensor, Tensor]:
    """Batch number `step`: inputs [B, CHANNELS, H, W] and targets [B, H, W], turned, mirrored, lighter and darker."""
    rng = np.random.default_rng([stage.seed, step])
    images, targets = [], []
    for index in rng.integers(len(crops), size=stage.batch):
        drawn = crops[int(index)]
        if hard is not None and rng.random() < stage.hard_share:
            drawn = hard[int(rng.integers(len(hard)))]
        crop = _window(drawn, stage.crop, rng)
        crop = np.rot90(crop, int(rng.choice([0, 0, 1, 2, 3])))
        crop = crop[:, ::-1] if rng.random() < 0.5 else crop
        image = crop[..., :3].astype(np.float32) / 255
        gain = np.float32(rng.uniform(0.75, 1.2))
        image = np.clip(image * gain + np.float32(rng.normal(0, 0.05)), 0, 1)
        images.append(network_input(image[..., rng.permutation(3)] if rng.random() < 0.2 else image))
        targets.append(crop[..., 3])
    return torch.from_numpy(np.stack(images)), torch.from_numpy(np.stack(targets))


def _window(crop: np.ndarray, side: int, rng: np.random.Generator) -> np.ndarray:
    """A part of a crop, every second time the one of three that has most specks and lines."""
    corners = rng.integers(SIDE - side + 1, size=(3, 2)).tolist()
    parts = [crop[row : row + side, column : column + side] for row, column in corners]
    if rng.random() < 0.5:
        return parts[0]
    return max(parts, key=lambda part: int(((part[..., 3] & 3) > 0).sum()))


def _save(path: Path, network: DamageNetwork, average: DamageNetwork, optimizer: Any, step: int, spent: float) -> None:
    """Write everything that a run needs to go on, whole or not at all."""
    state = {"network": network.state_dict(), "average": average.state_dict(), "optimizer": optimizer.state_dict()}
    partial = path.with_suffix(".partial")
    torch.save({**state, "step": step, "spent": spent}, partial)
    partial.rename(path)


def _resume(path: Path, network: DamageNetwork, average: DamageNetwork, optimizer: Any | None) -> tuple[int, float]:
    """Load a checkpoint, if there is one, without `optimizer` its weights alone: its step and the seconds that were spent."""
    if not path.exists():
        return 0, 0.0
    state = torch.load(path, map_location="cpu", weights_only=True)
    network.load_state_dict(state["network"])
    average.load_state_dict(state["average"])
    if optimizer is not None:
        optimizer.load_state_dict(state["optimizer"])
    return state["step"], state["spent"]
