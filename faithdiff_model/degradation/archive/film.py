"""What a projector or a telecine adds to moving pictures: frames that sit unsteadily and lamps that flicker."""

from __future__ import annotations

import cv2
import numpy as np

from faithdiff_model.degradation.ranges import require

_MEMORY = 0.8  # how much of one frame's state the next keeps: both walks return within about five frames


def gate_weave(frames: list[np.ndarray], rng: np.random.Generator, amount: float) -> list[np.ndarray]:
    """Frames [H, W, 3] in 0 to 1 shifted as a worn gate lets them wander; each as a whole, borders repeated.

    Args:
        rng: of the walk.
        amount: standard deviation of the shift along each axis in pixels, 0 to 10.
    """
    require("amount", amount, 0, 10)
    return [_shift(frame, *place) for frame, place in zip(frames, _walk(len(frames), 2, rng) * amount, strict=True)]


def flicker(frames: list[np.ndarray], rng: np.random.Generator, amount: float) -> list[np.ndarray]:
    """Frames [H, W, 3] in 0 to 1, each multiplied by an exposure of its own, clipped.

    Args:
        rng: of the walk.
        amount: standard deviation of the exposure's logarithm, 0 to 0.5.
    """
    require("amount", amount, 0, 0.5)
    gains = np.exp(_walk(len(frames), 1, rng)[:, 0] * amount).astype(np.float32)
    return [np.clip(frame * gain, 0, 1) for frame, gain in zip(frames, gains, strict=True)]


def _shift(frame: np.ndarray, across: float, down: float) -> np.ndarray:
    """The frame moved by a fraction of pixels, cubic between them."""
    matrix = np.array([[1, 0, across], [0, 1, down]], np.float64)
    size = frame.shape[1], frame.shape[0]
    return np.clip(cv2.warpAffine(frame, matrix, size, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE), 0, 1)


def _walk(steps: int, axes: int, rng: np.random.Generator) -> np.ndarray:
    """A random walk [steps, axes] that is drawn back to 0, with a standard deviation of 1 at every step."""
    pushes = rng.standard_normal((steps, axes))
    places = pushes.copy()
    for step in range(1, steps):
        places[step] = _MEMORY * places[step - 1] + (1 - _MEMORY**2) ** 0.5 * pushes[step]
    return places
