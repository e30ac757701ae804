"""What marks are drawn with: curves, smooth noise and paint. A cover is float32 [H, W], the opacity of a mark from 0 to 1."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np

AREA = 512 * 512  # pixels that a density counts
_SUBPIXEL = 4  # bits of a coordinate's fraction in OpenCV's drawing
_FAINTEST = np.float32(1 / 512)  # half a level of 8 bits
_COARSEST = 8.0  # sigma in pixels above which smooth noise is made small and enlarged


class Marked(NamedTuple):
    """An image with marks on it.

    Attributes:
        image: float32 [H, W, 3] in 0 to 1, RGB.
        cover: float32 [H, W], opacity of the marks; where it is 0 the image is what it was.
    """

    image: np.ndarray
    cover: np.ndarray


def count(density: float, shape: tuple[int, ...], rng: np.random.Generator, around: float = 0.0) -> int:
    """How many marks of a density in 512 x 512 pixels lie in an image [H, W, ...], with a margin `around` it in pixels."""
    return int(rng.poisson(density * (shape[0] + 2 * around) * (shape[1] + 2 * around) / AREA))


def place(shape: tuple[int, ...], rng: np.random.Generator, around: float = 0.0) -> np.ndarray:
    """A point (column, row) in an image [H, W, ...] or up to `around` pixels outside it."""
    return rng.uniform(-around, (shape[1] + around, shape[0] + around))


def walk(start: np.ndarray, angle: float, bend: np.ndarray, pace: float) -> np.ndarray:
    """A curve from `start` (column, row): points [n, 2] of steps of `pace` pixels, each turned by `bend` [n] radians."""
    angles = angle + np.cumsum(bend)
    return start + np.cumsum(np.stack([np.cos(angles), np.sin(angles)], axis=1) * pace, axis=0)


def stroke(cover: np.ndarray, points: np.ndarray, width: float | np.ndarray, opacity: float | np.ndarray) -> None:
    """Draw a curve into a cover, in place; where it crosses itself, the later piece counts.

    Args:
        cover: float32 [H, W].
        points: [n, 2], (column, row).
        width: in pixels, of the whole or of each of the n - 1 pieces; below 1 is drawn as a weaker line.
        opacity: 0 to 1, likewise.
    """
    fixed = np.rint(points * (1 << _SUBPIXEL)).astype(np.int32).tolist()
    widths = np.broadcast_to(width, len(fixed) - 1).tolist()
    opacities = np.broadcast_to(opacity, len(fixed) - 1).tolist()
    for start, end, wide, strong in zip(fixed[:-1], fixed[1:], widths, opacities, strict=True):
        thickness = max(1, round(wide))
        cv2.line(cover, start, end, strong * min(1.0, wide / thickness), thickness, cv2.LINE_AA, _SUBPIXEL)


def blob(
    cover: np.ndarray, centre: np.ndarray, radius: float, roughness: float, opacity: float, rng: np.random.Generator
) -> None:
    """Fill an irregular closed outline in a cover, in place.

    Args:
        cover: float32 [H, W].
        centre: (column, row).
        radius: mean, in pixels.
        roughness: how far the outline strays, as a share of the radius, 0 to 0.6.
        opacity: 0 to 1.
        rng: of the outline.
    """
    turns = np.linspace(0, 2 * np.pi, 25)[:-1]
    waves = np.zeros(24)
    for order in (2, 3, 5, 7):
        waves += rng.normal(0, 1 / order) * np.cos(order * turns + rng.uniform(0, 2 * np.pi))
    reach = radius * np.clip(1 + roughness * waves, 0.25, 2.5)
    outline = centre + np.stack([np.cos(turns), np.sin(turns)], axis=1) * reach[:, None]
    cv2.fillPoly(cover, [np.rint(outline * (1 << _SUBPIXEL)).astype(np.int32)], opacity, cv2.LINE_AA, _SUBPIXEL)


def smooth_noise(height: int, width: int, size: float, rng: np.random.Generator) -> np.ndarray:
    """Clouds [height, width], float32, of mean near 0 and standard deviation near 1; `size` is their sigma in pixels."""
    shrink = max(1.0, size / _COARSEST)
    rows, columns = int(np.ceil(height / shrink)) + 2, int(np.ceil(width / shrink)) + 2
    sigma = size / shrink
    noise = cv2.GaussianBlur(rng.standard_normal((rows, columns), np.float32), (0, 0), sigma)
    noise *= np.float32(2 * np.pi**0.5 * sigma)
    if shrink > 1:
        noise = cv2.resize(noise, (round(columns * shrink), round(rows * shrink)), interpolation=cv2.INTER_CUBIC)
    return np.ascontiguousarray(noise[:height, :width])


def paint(image: np.ndarray, cover: np.ndarray, tone: np.ndarray | float) -> np.ndarray:
    """The image [H, W, 3] painted with a tone (a number, [3] or [H, W, 3]) where the cover [H, W] says, clipped."""
    return np.clip(image + (np.asarray(tone, np.float32) - image) * cover[..., None], 0, 1)


def soft(cover: np.ndarray, sigma: float) -> np.ndarray:
    """A cover with soft edges, within 0 to 1, that ends where nobody sees it; `sigma` in pixels, 0.2 or less blurs nothing."""
    if sigma > 0.2:
        cover = np.clip(cv2.GaussianBlur(cover, (0, 0), sigma), 0, 1)
    return np.where(cover < _FAINTEST, np.float32(0), cover)


def joined(covers: list[np.ndarray]) -> np.ndarray:
    """The cover [H, W] of several, one upon the other."""
    left = 1 - covers[0]
    for cover in covers[1:]:
        left = left * (1 - cover)
    return 1 - left
