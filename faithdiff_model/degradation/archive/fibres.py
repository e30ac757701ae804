"""Loose things that lay on the picture when it was copied: specks, hairs and fibres of cloth. Counts are a density per area.

Each function gives a `Marked` image: what it drew, and where. `size` makes marks larger, as a scan of more pixels has them.
"""

from __future__ import annotations

import numpy as np

from faithdiff_model.degradation.archive.drawing import Marked, blob, count, joined, paint, place, soft, stroke, walk
from faithdiff_model.degradation.ranges import require


def specks(image: np.ndarray, rng: np.random.Generator, density: float, size: float = 1.0) -> Marked:
    """Dust of many sizes on an image [H, W, 3] in 0 to 1: irregular, some with hard and some with soft edges, pale or dark.

    Args:
        rng: of their places, sizes and shapes.
        density: mean number in 512 x 512 pixels, 0 to 400.
        size: of the marks, 0.5 to 4.
    """
    require("density", density, 0, 400)
    require("size", size, 0.5, 4)
    covers = [np.zeros(image.shape[:2], np.float32) for _ in range(4)]  # pale and dark, sharp and soft
    pale_share = rng.choice([0.1, 0.5, 0.9])  # a scan's dust is mostly of one kind
    for _ in range(count(density, image.shape, rng)):
        which = 2 * int(rng.random() >= pale_share) + int(rng.random() < 0.4)
        radius = size * min(0.6 + rng.exponential(0.9), 7)
        blob(covers[which], place(image.shape, rng), radius, rng.uniform(0.1, 0.5), rng.uniform(0.4, 1), rng)
    blurred = rng.uniform(0.6, 1.4) * size
    covers = [soft(cover, blurred) if number % 2 else cover for number, cover in enumerate(covers)]
    pale, dark = joined(covers[:2]), joined(covers[2:])
    marked = paint(image, pale, _tone(rng, pale=True))
    return Marked(paint(marked, dark, _tone(rng, pale=False)), joined([pale, dark]))


def hairs(image: np.ndarray, rng: np.random.Generator, density: float, size: float = 1.0) -> Marked:
    """Long curls on an image [H, W, 3] in 0 to 1, evenly thick and mostly dark.

    Args:
        rng: of their places, lengths and courses.
        density: mean number whose start lies in 512 x 512 pixels, 0 to 60. Those that reach in from outside are drawn too.
        size: of the marks, 0.5 to 4.
    """
    require("density", density, 0, 60)
    require("size", size, 0.5, 4)
    covers = [np.zeros(image.shape[:2], np.float32) for _ in range(2)]
    around = 60 * size
    for _ in range(count(density, image.shape, rng, around)):
        steps = int(rng.integers(10, 70))
        pace = 3.0 * size
        # A hair's curl changes slowly along its way.
        bend = rng.normal(0, 0.05) + np.cumsum(rng.normal(0, 0.02, steps))
        points = walk(place(image.shape, rng, around), rng.uniform(0, 2 * np.pi), bend, pace)
        ends = np.minimum(np.arange(steps - 1), np.arange(steps - 1)[::-1])
        opacity = rng.uniform(0.35, 0.95) * np.clip(0.4 + ends / 4, 0, 1)
        stroke(covers[int(rng.random() < 0.3)], points, rng.uniform(0.8, 2.2) * size, opacity)
    edge = rng.uniform(0.2, 0.8) * size
    dark, pale = (soft(cover, edge) for cover in covers)
    marked = paint(image, pale, _tone(rng, pale=True))
    return Marked(paint(marked, dark, _tone(rng, pale=False)), joined([pale, dark]))


def fibres(image: np.ndarray, rng: np.random.Generator, density: float, size: float = 1.0) -> Marked:
    """Lint on an image [H, W, 3] in 0 to 1: short kinked threads, alone or a few from one spot, mostly pale.

    Args:
        rng: of their places and courses.
        density: mean number of spots in 512 x 512 pixels, 0 to 200.
        size: of the marks, 0.5 to 4.
    """
    require("density", density, 0, 200)
    require("size", size, 0.5, 4)
    covers = [np.zeros(image.shape[:2], np.float32) for _ in range(2)]
    for _ in range(count(density, image.shape, rng)):
        centre, which = place(image.shape, rng), int(rng.random() < 0.35)
        for _ in range(1 + int(rng.geometric(0.7) - 1)):
            steps = int(rng.integers(4, 22))
            bend = rng.normal(0, 0.3, steps) + (rng.random(steps) < 0.15) * rng.normal(0, 1.0, steps)
            points = walk(centre + rng.normal(0, size, 2), rng.uniform(0, 2 * np.pi), bend, 1.8 * size)
            width = np.abs(rng.uniform(0.6, 1.8) + np.cumsum(rng.normal(0, 0.15, steps - 1))) * size
            stroke(covers[which], points, np.clip(width, 0.4, 3 * size), rng.uniform(0.35, 0.95))
    edge = rng.uniform(0.2, 0.7) * size
    pale, dark = (soft(cover, edge) for cover in covers)
    marked = paint(image, pale, _tone(rng, pale=True))
    return Marked(paint(marked, dark, _tone(rng, pale=False)), joined([pale, dark]))


def _tone(rng: np.random.Generator, *, pale: bool) -> np.ndarray:
    """The colour [3] of what hides the picture: nearly white or nearly black, a little warm."""
    level = rng.uniform(0.86, 1.0) if pale else rng.uniform(0.0, 0.2)
    return np.clip(level + np.array([0.02, 0.0, -0.03]) * rng.uniform(0, 1.5), 0, 1).astype(np.float32)
