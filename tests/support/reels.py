"""Reels of real photographs that move, with grain, flicker and weave, and what is true of them."""

from __future__ import annotations

from importlib.resources import files

import cv2
import numpy as np

NAMES = ("astronaut.png", "coffee.png", "chelsea.png", "rocket.jpg", "motorcycle_left.png")


def photograph(name: str) -> np.ndarray:
    """One of scikit-image's own: float32 RGB, 0 to 1."""
    data = np.frombuffer((files("skimage") / "data" / name).read_bytes(), np.uint8)
    return cv2.imdecode(data, cv2.IMREAD_COLOR)[..., ::-1].astype(np.float32) / 255


def shot(
    name: str, path: np.ndarray, size: tuple[int, int] = (180, 240), start: tuple[float, float] = (40.0, 40.0)
) -> list[np.ndarray]:
    """Frames [h, w, 3], float32, of a window whose corner follows `path`, [n, 2] (down, across) pixels, from `start`."""
    picture = photograph(name)
    height, width = size
    return [
        cv2.warpAffine(
            picture,
            np.array([[1.0, 0, -(start[1] + across)], [0, 1.0, -(start[0] + down)]]),
            (width, height),
            flags=cv2.INTER_CUBIC,
            borderMode=cv2.BORDER_REFLECT,
        ).clip(0, 1)
        for down, across in path
    ]


def pan(count: int, step: tuple[float, float]) -> np.ndarray:
    """A path of equal steps."""
    return np.arange(count)[:, None] * np.array(step)


def aged(
    frames: list[np.ndarray], rng: np.random.Generator, *, grain: float = 0.04, flicker: float = 0.0
) -> tuple[list[np.ndarray], np.ndarray]:
    """Frames, uint8, with new grain in each and brightness that pumps; and what each was multiplied by."""
    levels = 1 + rng.uniform(-flicker, flicker, len(frames))
    spoilt = [
        np.clip(frame * level + rng.normal(0, grain, frame.shape), 0, 1)
        for frame, level in zip(frames, levels, strict=True)
    ]
    return [np.rint(frame * 255).astype(np.uint8) for frame in spoilt], levels
