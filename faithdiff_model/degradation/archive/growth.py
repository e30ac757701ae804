"""What spread over the picture: fingerprints, mould and stains.

Each function gives a `Marked` image: what it drew, and where. `size` makes marks larger, as a scan of more pixels has them.
"""

from __future__ import annotations

import numpy as np

from faithdiff_model.degradation.archive.drawing import Marked, count, joined, paint, place, smooth_noise, soft
from faithdiff_model.degradation.ranges import require

# Colours of mould and of what dries: black, brown, olive, and the pale bloom that grows on gelatin.
_MOULD = np.array([(0.08, 0.08, 0.07), (0.30, 0.20, 0.10), (0.25, 0.27, 0.14), (0.92, 0.92, 0.86)], np.float32)
# What a stain leaves of the light in red, green and blue: tea, water that carried dirt, rust, ink.
_STAINS = np.array([(0.80, 0.62, 0.38), (0.75, 0.71, 0.62), (0.72, 0.48, 0.30), (0.45, 0.50, 0.70)], np.float32)


def fingerprints(image: np.ndarray, rng: np.random.Generator, density: float, size: float = 1.0) -> Marked:
    """Ridges of fingers on an image [H, W, 3] in 0 to 1: ovals of bent lines, pale where they etched, dark where they soiled.

    Args:
        rng: of their places, patterns and pressure.
        density: mean number in 512 x 512 pixels, 0 to 100.
        size: of the marks, 0.5 to 4.
    """
    require("density", density, 0, 100)
    require("size", size, 0.5, 4)
    covers = [np.zeros(image.shape[:2], np.float32) for _ in range(2)]
    for _ in range(count(density, image.shape, rng, 20 * size)):
        centre, reach = place(image.shape, rng, 20 * size), rng.uniform(28, 60) * size
        window = _window(image.shape, centre, reach * 1.3)
        if window is None:
            continue
        print_ = _ridges(window, centre, reach, rng) * np.float32(rng.uniform(0.15, 0.6))
        cover = covers[int(rng.random() < 0.5)]
        cover[window] = np.maximum(cover[window], print_)
    pale, dark = covers
    marked = paint(image, pale, rng.uniform(0.8, 1))
    return Marked(paint(marked, dark, rng.uniform(0, 0.25)), joined(covers))


def mould(image: np.ndarray, rng: np.random.Generator, density: float, size: float = 1.0) -> Marked:
    """Colonies on an image [H, W, 3] in 0 to 1: spots in a cluster, ragged and feathered, of one colour.

    Args:
        rng: of their places, colour and growth.
        density: mean number of clusters in 512 x 512 pixels, 0 to 100.
        size: of the marks, 0.5 to 4.
    """
    require("density", density, 0, 100)
    require("size", size, 0.5, 4)
    cover = np.zeros(image.shape[:2], np.float32)
    for _ in range(count(density, image.shape, rng, 15 * size)):
        middle, spread = place(image.shape, rng, 15 * size), rng.uniform(6, 40) * size
        for _ in range(int(rng.integers(3, 22))):
            centre, radius = middle + rng.normal(0, spread, 2), size * min(1.2 + rng.exponential(3.0), 16)
            window = _window(image.shape, centre, 2.2 * radius + 2)
            if window is None:
                continue
            height, width = cover[window].shape
            feather = smooth_noise(height, width, max(0.7, radius / 5), rng)
            growth = 1 - _distance(window, centre) / np.float32(radius) + np.float32(0.35) * feather
            spot = np.clip(growth * rng.uniform(1, 4), 0, 1) * np.float32(rng.uniform(0.3, 0.9))
            cover[window] = np.maximum(cover[window], spot)
    cover = soft(cover, 0.5 * size)
    tone = np.clip(_MOULD[rng.integers(len(_MOULD))] + rng.normal(0, 0.04, 3), 0, 1)
    return Marked(paint(image, cover, tone), cover)


def stains(image: np.ndarray, rng: np.random.Generator, density: float, size: float = 1.0) -> Marked:
    """Where something dried on an image [H, W, 3] in 0 to 1: a see-through tint, darkest along its border, or drops of it.

    Args:
        rng: of their places, outlines and colours.
        density: mean number in 512 x 512 pixels, 0 to 100.
        size: of the marks, 0.5 to 4.

    Returns:
        The cover is how much of the light is taken away at most in any channel.
    """
    require("density", density, 0, 100)
    require("size", size, 0.5, 4)
    kept = np.ones((*image.shape[:2], 1), np.float32)
    for _ in range(count(density, image.shape, rng, 20 * size)):
        centre, radius = place(image.shape, rng, 20 * size), size * (6 + rng.exponential(30))
        radius = min(radius, 130 * size)
        window = _window(image.shape, centre, 1.7 * radius + 4)
        if window is None:
            continue
        height, width = kept[window].shape[:2]
        outline = smooth_noise(height, width, radius / 3, rng) * np.float32(0.18 * radius)
        outline += smooth_noise(height, width, max(1.0, radius / 12), rng) * np.float32(0.04 * radius)
        inside = np.float32(radius) - _distance(window, centre) + outline
        border = np.float32(rng.uniform(0.8, 3.5) * size)
        fill = np.clip(inside / border + 0.5, 0, 1)
        tide = np.exp(-(((inside - border) / (1.2 * border)) ** 2)) * fill
        cloud = np.clip(1 + 0.25 * smooth_noise(height, width, radius / 4 + 2, rng), 0.3, 1.6)
        depth = fill * cloud * np.float32(rng.uniform(0.12, 0.6)) + tide * np.float32(rng.uniform(0, 0.6))
        colour = np.clip(_STAINS[rng.integers(len(_STAINS))] + rng.normal(0, 0.05, 3), 0.1, 0.95).astype(np.float32)
        tint = 1 - np.clip(depth, 0, 1)[..., None] * (1 - colour)
        kept = kept if kept.shape[2] == 3 else np.repeat(kept, 3, axis=2)
        kept[window] = kept[window] * tint
    return Marked(np.clip(image * kept, 0, 1), 1 - kept.min(axis=2))


def _ridges(window: tuple[slice, slice], centre: np.ndarray, reach: float, rng: np.random.Generator) -> np.ndarray:
    """One print [h, w] in 0 to 1: rings around a core, bent by a slow displacement, inside an oval with a faint border."""
    rows, columns = (
        np.arange(part.start, part.stop, dtype=np.float32) - middle
        for part, middle in zip(window, centre[::-1], strict=True)
    )
    turn = rng.uniform(0, 2 * np.pi)
    along = columns * np.float32(np.cos(turn)) + rows[:, None] * np.float32(np.sin(turn))
    across = rows[:, None] * np.float32(np.cos(turn)) - columns * np.float32(np.sin(turn))
    height, width = along.shape
    oval = np.sqrt((along / reach) ** 2 + (across / (0.7 * reach)) ** 2)
    # Above the core the ridges are arches, below it they run straight: the distance is measured in a bent frame.
    core = rng.uniform(-0.3, 0.3) * reach
    bent = np.sqrt(np.maximum(along - core, 0) ** 2 + (across * rng.uniform(0.8, 1.3)) ** 2 + 1)
    bent = bent + smooth_noise(height, width, reach / 4, rng) * np.float32(reach / 18)
    period = rng.uniform(0.10, 0.17) * reach
    lines = np.clip(0.5 + 1.2 * np.cos(bent * np.float32(2 * np.pi / period)), 0, 1)
    pressure = np.clip(0.75 + 0.45 * smooth_noise(height, width, reach / 5, rng), 0, 1)
    pores = np.clip(0.9 + 0.3 * smooth_noise(height, width, 0.8, rng), 0, 1)
    return lines * pressure * pores * np.clip((1 - oval) * 5, 0, 1)


def _window(shape: tuple[int, ...], centre: np.ndarray, reach: float) -> tuple[slice, slice] | None:
    """Rows and columns within `reach` of a point (column, row), inside an image [H, W, ...]; None where there are none."""
    left, top = (max(0, int(np.floor(middle - reach))) for middle in centre)
    right, bottom = (
        min(side, int(np.ceil(middle + reach)) + 1) for middle, side in zip(centre, (shape[1], shape[0]), strict=True)
    )
    return (slice(top, bottom), slice(left, right)) if top < bottom and left < right else None


def _distance(window: tuple[slice, slice], centre: np.ndarray) -> np.ndarray:
    """Pixels [h, w] of a window from a point (column, row)."""
    rows, columns = (np.arange(part.start, part.stop, dtype=np.float32) for part in window)
    return np.hypot(columns - np.float32(centre[0]), (rows - np.float32(centre[1]))[:, None])
