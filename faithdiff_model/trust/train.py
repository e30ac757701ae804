"""Training of the error network: the restorer is frozen, and the likelihood of its errors is what counts.

The errors of a cell's pixels are taken to be Laplace distributed about zero: their likelihood depends on their mean alone, so a
crop is kept as results and means of errors, and training is as quick as the small network is.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from faithdiff_model.training.averages import follow_average, rise_and_fall
from faithdiff_model.trust.network import ErrorConfig, ErrorNetwork
from faithdiff_model.trust.pairs import Pairs
from faithdiff_model.trust.shipped import CELL

_FLOOR = 0.5 / 255  # of errors: below half a level nobody is told apart


@dataclass(frozen=True, kw_only=True)
class TrustStage:
    """How the error network is trained.

    Attributes:
        minutes: of training; the learning rate has fallen to nothing when they are over.
        batch: crops a step.
        crop: side of what is cut out of each in pixels, a multiple of the network's.
        learning_rate: of AdamW; it rises over the first 2% of the time and then falls along a cosine.
        weight_decay, clip: of AdamW; largest norm of the gradient.
        ema_decay: of the averaged weights.
        seed: of order and start.
    """

    minutes: float
    batch: int = 8
    crop: int = 128
    learning_rate: float = 2e-3
    weight_decay: float = 1e-2
    clip: float = 1.0
    ema_decay: float = 0.995
    seed: int = 0


def laplace_loss(logarithm_BHW: Tensor, error_BHW: Tensor) -> Tensor:
    """Negative logarithm of the likelihood of errors under Laplace distributions, without its constant: a scalar.

    Args:
        logarithm_BHW: of the distributions' scales.
        error_BHW: mean absolute errors of the cells, as shares of white.
    """
    return (logarithm_BHW + (error_BHW + _FLOOR) * torch.exp(-logarithm_BHW)).mean()


def train_trust(
    pairs: Pairs, config: ErrorConfig, stage: TrustStage, on_log: Callable[[str], None] = print
) -> ErrorNetwork:
    """Train by the clock.

    Args:
        pairs: see `pairs.make_pairs`.
        config, stage: the network and its training.
        on_log: gets a line with the loss every 200 steps.

    Returns:
        The network with its averaged weights, in evaluation mode.

    Raises:
        ValueError: the loss is not finite.
    """
    torch.manual_seed(stage.seed)
    network, average = ErrorNetwork(config), ErrorNetwork(config).requires_grad_(False)
    average.load_state_dict(network.state_dict())
    optimizer = torch.optim.AdamW(
        network.parameters(), stage.learning_rate, (0.9, 0.99), weight_decay=stage.weight_decay
    )
    # By this process's own time: what else the machine does takes nothing from the training.
    began, total, step, losses = time.process_time(), 60 * stage.minutes, 0, list[float]()
    while (passed := time.process_time() - began) < total:
        for group in optimizer.param_groups:
            group["lr"] = stage.learning_rate * rise_and_fall(passed / total)
        scans, results, errors = _batch(pairs, stage, step)
        loss = laplace_loss(network(scans, results), errors)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), stage.clip)
        optimizer.step()
        step += 1
        losses.append(float(loss.detach()))
        follow_average(average, network, stage.ema_decay, step)
        if step % 200 == 0:
            if not math.isfinite(losses[-1]):
                raise ValueError(f"the loss is {losses[-1]} at step {step}: lower the learning rate")
            on_log(f"step {step}, {passed:.0f} s: loss {np.mean(losses[-200:]):.4f}")
    return average.eval()


def _batch(pairs: Pairs, stage: TrustStage, step: int) -> tuple[Tensor, Tensor, Tensor]:
    """Batch number `step`: parts of crops, turned and mirrored, some with their channels in another order."""
    rng = np.random.default_rng([stage.seed, step])
    cells, side = stage.crop // CELL, pairs.errors.shape[1]
    drawn = []
    for number in rng.integers(len(pairs.errors), size=stage.batch):
        top, left = rng.integers(side - cells + 1, size=2)
        rows, columns = slice(top * CELL, (top + cells) * CELL), slice(left * CELL, (left + cells) * CELL)
        part = [
            pairs.scans[number, rows, columns],
            pairs.results[number, rows, columns],
            pairs.errors[number, top : top + cells, left : left + cells, None],
        ]
        turns, mirrored = int(rng.integers(4)), rng.random() < 0.5
        order = rng.permutation(3) if rng.random() < 0.2 else np.arange(3)
        part = [np.rot90(each, turns)[:, :: -1 if mirrored else 1] for each in part]
        drawn.append((part[0][..., order], part[1][..., order], part[2]))
    scans, results, errors = (
        torch.from_numpy(np.stack(each).transpose(0, 3, 1, 2).astype(np.float32)) for each in zip(*drawn, strict=True)
    )
    return scans / 255, results / 255, errors[:, 0]
