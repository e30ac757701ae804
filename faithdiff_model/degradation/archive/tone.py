"""Changes of tone: what light, air and chemistry made of the print. They are evidence of the object, not damage."""

from __future__ import annotations

import cv2
import numpy as np

from faithdiff_model.degradation.ranges import require
from faithdiff_model.image.resize import to_grey

# The brown of a toned silver print, from shadow to paper.
_SEPIA_DARK = np.array([0.16, 0.10, 0.05], np.float32)
_SEPIA_LIGHT = np.array([0.96, 0.87, 0.70], np.float32)
# Metallic silver at the surface, seen at an angle.
_SILVER = np.array([0.60, 0.67, 0.76], np.float32)
# How much of its density each layer (cyan, magenta, yellow) loses when one dye fades: the others go too, but slower.
DYE_LOSS = {"cyan": (1.0, 0.25, 0.5), "magenta": (0.4, 1.0, 0.45), "yellow": (0.35, 0.45, 1.0)}
_DEEPEST = np.float32(0.05)  # what the deepest black of a print reflects
# How much less of red, green and blue a print reflects whose paper or varnish is as yellow as it gets.
_YELLOWED = np.array([0.03, 0.14, 0.5], np.float32)


def grey(image: np.ndarray) -> np.ndarray:
    """Luminance (Rec. 601) of an image [H, W, 3] in 0 to 1, in all three channels."""
    return np.repeat(np.clip(to_grey(image), 0, 1), 3, axis=2)


def sepia(image: np.ndarray, amount: float = 1.0) -> np.ndarray:
    """A brown-toned silver print of an image [H, W, 3] in 0 to 1; `amount` from 0 (grey) to 1 (brown)."""
    require("amount", amount, 0, 1)
    silver = grey(image)
    brown = _SEPIA_DARK + silver * (_SEPIA_LIGHT - _SEPIA_DARK)
    return np.clip(silver + (brown - silver) * np.float32(amount), 0, 1)


def fade(image: np.ndarray, black: float, white: float) -> np.ndarray:
    """Contrast lost to light in an image [H, W, 3]: values 0 to 1 squeezed into `black` (0 to 0.5) to `white` (0.5 to 1)."""
    require("black", black, 0, 0.5)
    require("white", white, 0.5, 1)
    return np.clip(np.float32(black) + image * np.float32(white - black), 0, 1)


def colour_cast(image: np.ndarray, amount: float, dye: str = "cyan") -> np.ndarray:
    """Dyes of a colour print [H, W, 3] in 0 to 1 that fade unevenly, which leaves a cast.

    Args:
        amount: share of its density that the weakest dye loses, 0 to 1.
        dye: the weakest: "cyan" (leaves reds, as prints of the sixties), "magenta" (greens) or "yellow" (blues).
    """
    require("amount", amount, 0, 1)
    kept = 1 - np.float32(amount) * np.array(_losses(dye), np.float32)
    return np.clip(1 - (1 - image) * kept, 0, 1)


def density_loss(image: np.ndarray, amount: float, dye: str = "") -> np.ndarray:
    """Dyes of a colour print [H, W, 3] in 0 to 1 that lost a share of their density: dark tones lift more than lights.

    Args:
        amount: share of its density that the weakest dye loses, 0 to 0.9.
        dye: the weakest, as for `colour_cast`; "" is all three alike, which fades and leaves no cast.
    """
    require("amount", amount, 0, 0.9)
    loss = _losses(dye) if dye else (1.0, 1.0, 1.0)
    # Density is the logarithm of what is reflected, so that a share of it is a power.
    kept = 1 - np.float32(amount) * np.array(loss, np.float32)
    reflected = (_DEEPEST + (1 - _DEEPEST) * image) ** kept
    return np.clip((reflected - _DEEPEST) / (1 - _DEEPEST), 0, 1)


def yellow(image: np.ndarray, amount: float) -> np.ndarray:
    """Paper, binder or varnish gone yellow: a print [H, W, 3] in 0 to 1 that reflects less blue and a little less green.

    Args:
        amount: 0 (none) to 1 (as a newspaper left in the sun).
    """
    require("amount", amount, 0, 1)
    return image * (1 - np.float32(amount) * _YELLOWED)


def silver_mirroring(image: np.ndarray, rng: np.random.Generator, amount: float) -> np.ndarray:
    """A bluish metallic sheen over the shadows of a silver print [H, W, 3] in 0 to 1, near some of its edges.

    Args:
        rng: of the edges that it came in from, and of its patches.
        amount: cover of the deepest shadow at an edge, 0 to 1.
    """
    require("amount", amount, 0, 1)
    height, width = image.shape[:2]
    reach = 0.12 * min(height, width) * rng.uniform(0.6, 1.6)
    from_top, from_left = np.arange(height, dtype=np.float32)[:, None], np.arange(width, dtype=np.float32)[None, :]
    edges = (from_top, height - 1 - from_top, from_left, width - 1 - from_left)
    first = rng.integers(4)  # one edge at least
    near = np.zeros((height, width), np.float32)
    for number, distance in enumerate(edges):
        if number == first or rng.random() < 0.5:
            near = np.maximum(near, np.exp(-distance / np.float32(reach)))
    coarse = rng.uniform(0.3, 1.0, (6, 6)).astype(np.float32)
    patches = np.clip(cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC), 0, 1)
    cover = near * patches * (1 - to_grey(image)[..., 0]) ** 2 * np.float32(amount)
    return np.clip(image + (_SILVER - image) * cover[..., None], 0, 1)


def _losses(dye: str) -> tuple[float, float, float]:
    if dye not in DYE_LOSS:
        raise ValueError(f"dye is {dye!r}: choose one of {', '.join(DYE_LOSS)}")
    return DYE_LOSS[dye]
