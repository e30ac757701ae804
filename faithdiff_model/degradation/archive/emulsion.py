"""What the picture is made of: silver grain in a photograph, dots of ink in a printed one."""

from __future__ import annotations

from functools import cache

import cv2
import numpy as np

from faithdiff_model.degradation.ranges import require
from faithdiff_model.image.resize import to_grey

# Screen angles of four-colour printing in degrees: apart enough to hide the pattern between cyan, magenta and black.
INK_ANGLES = {"cyan": 15.0, "magenta": 75.0, "yellow": 0.0, "black": 45.0}


def grain(
    image: np.ndarray, rng: np.random.Generator, amount: float, size: float = 0.7, *, colour: bool = False
) -> np.ndarray:
    """Grain of an emulsion on an image [H, W, 3] in 0 to 1: strongest in the middle tones, weak in blacks and whites.

    Args:
        rng: of the grain.
        amount: standard deviation at middle grey, 0 to 0.3.
        size: radius of the grains in pixels, as the sigma of a blur, 0.3 to 3.
        colour: clouds of dye, of their own in each channel, instead of silver.
    """
    require("amount", amount, 0, 0.3)
    require("size", size, 0.3, 3)
    shape = image.shape if colour else image.shape[:2]
    noise = cv2.GaussianBlur(rng.standard_normal(shape, np.float32), (0, 0), size).reshape(*image.shape[:2], -1)
    noise *= np.float32(amount / max(float(noise.std()), 1e-6))
    middle = 1 - (2 * to_grey(image) - 1) ** 2
    return np.clip(image + noise * (np.float32(0.3) + np.float32(0.7) * middle), 0, 1)


def halftone(image: np.ndarray, pitch: float, angle: float = 45.0, *, colour: bool = False) -> np.ndarray:
    """An image [H, W, 3] in 0 to 1 as a press prints it: dots on a grid, larger where it is darker.

    Args:
        pitch: distance of the dots in pixels, 2 to 16.
        angle: of the grid of the black dots, -180 to 180 degrees.
        colour: four inks, each at its angle (`INK_ANGLES`, turned with `angle`) instead of black alone, which is grey.
    """
    require("pitch", pitch, 2, 16)
    require("angle", angle, -180, 180)
    if not colour:
        return np.repeat(1 - _dots(1 - to_grey(image)[..., 0], pitch, angle)[..., None], 3, axis=2)
    turn = angle - INK_ANGLES["black"]
    ink = 1 - image
    black = ink.min(axis=2) ** 2  # black ink replaces equal parts of the colours, in the shadows mostly
    left = ((ink - black[..., None]) / np.maximum(1 - black[..., None], 1e-3)).clip(0, 1)
    paper = 1 - _dots(black, pitch, angle)
    names = ("cyan", "magenta", "yellow")
    inks = [_dots(left[..., channel], pitch, INK_ANGLES[name] + turn) for channel, name in enumerate(names)]
    return np.clip((1 - np.stack(inks, axis=2)) * paper[..., None], 0, 1)


def _dots(darkness: np.ndarray, pitch: float, angle: float) -> np.ndarray:
    """Cover of ink [H, W] in 0 to 1 whose local mean is the darkness [H, W]: dots with edges about a pixel wide."""
    height, width = darkness.shape
    turn, wave = np.deg2rad(angle), 2 * np.pi / pitch
    rows = np.arange(height, dtype=np.float32)[:, None] * np.float32(wave)
    columns = np.arange(width, dtype=np.float32)[None, :] * np.float32(wave)
    along = columns * np.float32(np.cos(turn)) + rows * np.float32(np.sin(turn))
    across = rows * np.float32(np.cos(turn)) - columns * np.float32(np.sin(turn))
    screen = (np.cos(along) + np.cos(across)) * np.float32(0.25) + np.float32(0.5)
    table = _thresholds()
    threshold = table[np.rint(screen * (len(table) - 1)).astype(np.intp)]
    # Edges are `soft` wide on the scale of thresholds, about a pixel. Where dots or holes are smaller than that, the level is
    # chosen so that the mean cover is the darkness all the same: white stays without dots, black without holes.
    soft = np.float32(min(1.0, 3 / pitch))
    least = np.minimum(darkness, 1 - darkness).clip(0, 0.5)
    level = np.where(least < soft / 2, np.sqrt(2 * soft * least) - soft / 2, least)
    level = np.where(darkness <= 0.5, level, 1 - level)
    return np.clip((level - threshold) / soft + np.float32(0.5), 0, 1)


@cache
def _thresholds() -> np.ndarray:
    """For values 0 to 1 of the screen, in 256 steps: the share of the screen below, so that darkness becomes cover."""
    turn = (np.arange(512) + 0.5) * (2 * np.pi / 512)
    values = np.sort(((np.cos(turn)[:, None] + np.cos(turn)) / 4 + 0.5).ravel())
    return (1 - np.searchsorted(values, np.linspace(0, 1, 256)) / values.size).astype(np.float32)
