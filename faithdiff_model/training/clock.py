"""Learning rates by the clock: a stage that is given minutes instead of steps ends in time on whatever machine it finds."""

from __future__ import annotations

import math
import time
from typing import Any

from torch.optim import Optimizer

_WARMUP = 0.03  # of the minutes
_LEAST = 0.1  # of the minutes, however long the preparations took


def rate_at(share: float, warmup: float = _WARMUP) -> float:
    """Factor of the learning rates when a share (0 to 1) of the time is gone: a rise, then a cosine down to 0."""
    if share < warmup:
        return share / warmup
    return 0.5 * (1 + math.cos(math.pi * min(1.0, (share - warmup) / (1 - warmup))))


class ClockSchedule:
    """Stands where a scheduler of learning rates stands. Time while no process trains does not count.

    Args:
        optimizer: its groups keep the rates that they have now as their highest.
        minutes: of the whole stage, interruptions left out, but what comes before `begin` (a network is compiled, the first
            crops are made) is part of them.
    """

    def __init__(self, optimizer: Optimizer, minutes: float) -> None:
        self.optimizer = optimizer
        self.seconds = minutes * 60
        self.highest = [float(group["lr"]) for group in optimizer.param_groups]
        self._before = 0.0  # seconds of earlier processes
        self._started = time.monotonic()
        self.step()

    def begin(self) -> None:
        """Training begins: rates rise and fall over what the preparations left of the minutes, but at least over a tenth."""
        now = time.monotonic()
        self.seconds = max(_LEAST * self.seconds, self.seconds - (now - self._started))
        self._started = now
        self.step()

    @property
    def elapsed(self) -> float:
        """Seconds trained, earlier processes included."""
        return self._before + time.monotonic() - self._started

    @property
    def share(self) -> float:
        """Of the stage's time that is gone, 0 to 1."""
        return min(1.0, self.elapsed / self.seconds)

    def step(self, share: float | None = None) -> None:
        """Set the rates for now, or for another share of the time (what the first process of a group measured)."""
        factor = rate_at(self.share if share is None else share)
        for group, rate in zip(self.optimizer.param_groups, self.highest, strict=True):
            group["lr"] = rate * factor

    def state_dict(self) -> dict[str, Any]:
        """For a checkpoint."""
        return {"elapsed": self.elapsed}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a checkpoint."""
        self._before, self._started = float(state["elapsed"]), time.monotonic()
