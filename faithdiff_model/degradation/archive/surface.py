"""Marks on the surface: dust, hairs, scratches and folds. All counts are a density per area, so crops meet what wholes meet."""

from __future__ import annotations

import cv2
import numpy as np

from faithdiff_model.degradation.ranges import require, require_range

AREA = 512 * 512  # pixels that a density counts
_SUBPIXEL = 4  # bits of a coordinate's fraction in OpenCV's drawing
_PALE, _DARK = np.float32(0.96), np.float32(0.07)


def dust(image: np.ndarray, rng: np.random.Generator, density: float) -> np.ndarray:
    """Specks and a few hairs on an image [H, W, 3] in 0 to 1: pale where the negative was dusty, dark where the glass was.

    Args:
        rng: of their places, sizes and shapes.
        density: mean number in 512 x 512 pixels, 0 to 400; one in seven is a hair.
    """
    require("density", density, 0, 400)
    height, width = image.shape[:2]
    pale, dark = np.zeros((height, width), np.float32), np.zeros((height, width), np.float32)
    for _ in range(rng.poisson(density * height * width / AREA)):
        mark = pale if rng.random() < 0.7 else dark
        centre = rng.random(2) * (width, height)
        if rng.random() < 1 / 7:
            cv2.polylines(mark, [_fixed(_hair(centre, rng))], False, rng.uniform(0.35, 0.75), 1, cv2.LINE_AA, _SUBPIXEL)
        else:
            radius = 0.5 + rng.exponential(0.6)
            axes = _fixed(np.array([radius, radius * rng.uniform(0.5, 1)])).tolist()
            place, turn, cover = _fixed(centre).tolist(), rng.uniform(0, 180), rng.uniform(0.6, 0.95)
            cv2.ellipse(mark, place, axes, turn, 0, 360, cover, -1, cv2.LINE_AA, _SUBPIXEL)
    return _cover(_cover(image, pale, _PALE), dark, _DARK)


def scratches(
    image: np.ndarray, rng: np.random.Generator, density: float, length: tuple[float, float] = (40, 400)
) -> np.ndarray:
    """Thin broken lines on an image [H, W, 3] in 0 to 1, most of them pale and nearly upright, as a carrier leaves them.

    Args:
        rng: of their places, lengths and courses.
        density: mean number whose middle lies in 512 x 512 pixels, 0 to 100. Those that reach in from outside are drawn too.
        length: from and to, in pixels, 4 to 4000.
    """
    require("density", density, 0, 100)
    require_range("length", length, 4, 4000)
    height, width = image.shape[:2]
    pale, dark = np.zeros((height, width), np.float32), np.zeros((height, width), np.float32)
    around = length[1] / 2
    for _ in range(rng.poisson(density * (height + 2 * around) * (width + 2 * around) / AREA)):
        middle = rng.uniform(-around, (width + around, height + around))
        upright = rng.random() < 0.7
        angle = rng.normal(0, 0.12) if upright else rng.uniform(-np.pi / 2, np.pi / 2)
        direction = np.array([np.sin(angle), np.cos(angle)])
        reach = rng.uniform(*length)
        wander = np.cumsum(rng.normal(0, 0.4, 12))
        points = middle + np.linspace(-reach / 2, reach / 2, 12)[:, None] * direction
        points = _fixed(points + (wander - wander.mean())[:, None] * direction[::-1] * (1, -1))
        # Pressure varies along the way, and where it is low the line breaks.
        strength = np.clip(rng.uniform(0.1, 0.5) + np.cumsum(rng.normal(0, 0.08, 11)), 0, 0.8)
        mark = pale if rng.random() < 0.8 else dark
        for start, end, cover in zip(points[:-1].tolist(), points[1:].tolist(), strength.tolist(), strict=True):
            cv2.line(mark, start, end, cover, 1, cv2.LINE_AA, _SUBPIXEL)
    return _cover(_cover(image, pale, _PALE), dark, _DARK)


def crease(image: np.ndarray, rng: np.random.Generator, amount: float = 0.6) -> np.ndarray:
    """A fold across an image [H, W, 3] in 0 to 1: a broken pale line where the emulsion cracked, a shadow beside it.

    Args:
        rng: of its place, direction and cracks.
        amount: cover of its line, 0 to 1.
    """
    require("amount", amount, 0, 1)
    height, width = image.shape[:2]
    across = rng.random() < 0.5
    length, side = (width, height) if across else (height, width)
    course = rng.uniform(0.15, 0.85) * side + (np.arange(length) - length / 2) * rng.normal(0, 0.08)
    course = course + np.cumsum(rng.normal(0, 0.12, length))
    cracks = (0.5 + 0.35 * _rough(length, 10, rng) + 0.25 * _rough(length, 1, rng)).clip(0, 1)
    distance = (np.arange(side)[:, None] - course).astype(np.float32)
    pale = np.exp(-((distance / 0.8) ** 2)) * cracks * np.float32(amount)
    shadow = np.exp(-(((distance - 2) / 1.8) ** 2)) * np.float32(0.35 * amount)
    if not across:
        pale, shadow = pale.T, shadow.T
    return _cover(image * (1 - shadow[..., None]), pale, _PALE)


def _hair(centre: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Points [14, 2] of an open curve, 1.6 pixels apart."""
    angle = np.cumsum(rng.normal(0, 0.35, 14)) + rng.uniform(0, 2 * np.pi)
    return centre + np.cumsum(np.stack([np.cos(angle), np.sin(angle)], axis=1) * 1.6, axis=0)


def _rough(length: int, size: float, rng: np.random.Generator) -> np.ndarray:
    """Smooth noise [length], float32, of mean 0 and standard deviation near 1; `size` is the sigma of its blur in pixels."""
    noise = rng.standard_normal((1, length), np.float32)
    return cv2.GaussianBlur(noise, (0, 0), size)[0] * np.float32((2 * np.pi**0.5 * size) ** 0.5)


def _fixed(points: np.ndarray) -> np.ndarray:
    """Coordinates with `_SUBPIXEL` bits of fraction, int32."""
    return np.rint(points * (1 << _SUBPIXEL)).astype(np.int32)


def _cover(image: np.ndarray, mark: np.ndarray, tone: np.float32) -> np.ndarray:
    """The image painted with a tone where the mark [H, W] says, clipped."""
    return np.clip(image + (tone - image) * mark[..., None], 0, 1)
