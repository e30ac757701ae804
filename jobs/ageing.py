"""What decades do to a print and a cheap scanner adds: small pure steps, all randomness from a generator.

Every function takes and returns float32 HWC in RGB order, values 0 to 1.
"""

from __future__ import annotations

import cv2
import numpy as np

# Luminance weights of Rec. 601: close to how old emulsions were judged by eye.
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)
# The brown of a toned silver print, from shadow to paper.
_SEPIA_DARK = np.array([0.16, 0.10, 0.05], np.float32)
_SEPIA_LIGHT = np.array([0.96, 0.87, 0.70], np.float32)


def shrink(image: np.ndarray, long_side: int) -> np.ndarray:
    """The image with its longer side at `long_side` pixels; never enlarged."""
    height, width = image.shape[:2]
    scale = min(1.0, long_side / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA).reshape(size[1], size[0], -1)


def grey(image: np.ndarray) -> np.ndarray:
    """Luminance in all three channels."""
    return np.repeat((image @ _LUMA)[..., None], 3, axis=2)


def sepia(image: np.ndarray) -> np.ndarray:
    """A brown-toned silver print."""
    return _SEPIA_DARK + grey(image) * (_SEPIA_LIGHT - _SEPIA_DARK)


def fade(image: np.ndarray, black: float, white: float) -> np.ndarray:
    """Contrast lost to light: values squeezed from 0..1 into `black`..`white`."""
    return black + image * (white - black)


def dye_loss(image: np.ndarray, amount: float) -> np.ndarray:
    """A colour print of the sixties: the cyan dye goes first, which leaves reds; then some yellow."""
    red, green, blue = image[..., 0], image[..., 1], image[..., 2]
    kept = 1 - amount
    return np.stack(
        [1 - (1 - red) * kept, 1 - (1 - green) * (1 - amount * 0.25), 1 - (1 - blue) * (1 - amount * 0.5)], axis=2
    )


def soften(image: np.ndarray, sigma: float) -> np.ndarray:
    """The blur of a simple lens, `sigma` in pixels."""
    return cv2.GaussianBlur(image, (0, 0), sigma)


def vignette(image: np.ndarray, amount: float) -> np.ndarray:
    """Corners darker by `amount` (0 to 1)."""
    height, width = image.shape[:2]
    rows, columns = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    return image * (1 - amount * np.clip((rows**2 + columns**2) / 2, 0, 1) ** 1.5)[..., None].astype(np.float32)


def grain(image: np.ndarray, rng: np.random.Generator, amount: float, size: float = 0.7) -> np.ndarray:
    """Silver grain: the same in all channels, strongest in middle tones; `size` is its blur in pixels."""
    noise = cv2.GaussianBlur(rng.standard_normal(image.shape[:2]).astype(np.float32), (0, 0), size)
    noise *= amount / max(float(noise.std()), 1e-6)
    middle = 1 - (2 * (image @ _LUMA) - 1) ** 2
    return np.clip(image + (noise * (0.4 + 0.6 * middle))[..., None], 0, 1)


def scratches(image: np.ndarray, rng: np.random.Generator, count: int) -> np.ndarray:
    """Thin pale lines, most of them nearly upright, as a carrier or a shelf leaves them."""
    height, width = image.shape[:2]
    mark = np.zeros((height, width), np.float32)
    for _ in range(count):
        start = np.array([rng.uniform(0, width), rng.uniform(-0.2, 0.7) * height])
        length, lean = rng.uniform(0.1, 0.6) * height, rng.normal(0, 0.12)
        along = np.linspace(0, length, 12)
        wander = np.cumsum(rng.normal(0, 0.6, 12))
        points = np.stack([start[0] + along * lean + wander, start[1] + along], axis=1)
        line = np.zeros_like(mark)
        cv2.polylines(line, [np.rint(points * 16).astype(np.int32)], False, rng.uniform(0.15, 0.6), 1, cv2.LINE_AA, 4)
        mark = np.maximum(mark, line)
    return image + (0.97 - image) * mark[..., None]


def dust(image: np.ndarray, rng: np.random.Generator, count: int) -> np.ndarray:
    """Specks and a few hairs that lay on the glass: light where the print was dusty, dark where the glass was."""
    height, width = image.shape[:2]
    out = image.copy()
    for index in range(count):
        mark = np.zeros((height, width), np.float32)
        centre = rng.uniform(0, 1, 2) * (width, height)
        if index % 6 == 5:  # a hair: an open curve
            angle = np.cumsum(rng.normal(0, 0.35, 14)) + rng.uniform(0, 2 * np.pi)
            points = centre + np.cumsum(np.stack([np.cos(angle), np.sin(angle)], axis=1) * 1.6, axis=0)
            cv2.polylines(mark, [np.rint(points * 16).astype(np.int32)], False, 0.6, 1, cv2.LINE_AA, 4)
        else:
            radius = rng.exponential(0.5) + 0.4
            x, y = np.rint(centre * 16).astype(int).tolist()  # in sixteenths of a pixel, as the shift of 4 says
            cv2.circle(mark, (x, y), round(radius * 16), 0.85, -1, cv2.LINE_AA, 4)
        tone = 0.95 if rng.random() < 0.7 else 0.08
        out += (tone - out) * mark[..., None]
    return out


def crease(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A fold across the print: a broken pale line with a shadow beside it."""
    height, width = image.shape[:2]
    level, tilt = rng.uniform(0.3, 0.7) * height, rng.normal(0, 0.06)
    columns = np.arange(width)
    line = level + (columns - width / 2) * tilt + np.cumsum(rng.normal(0, 0.15, width))
    rows = np.arange(height)[:, None]
    pale = np.exp(-(((rows - line) / 0.7) ** 2)) * rng.uniform(0.25, 0.8, width)
    shadow = np.exp(-(((rows - line - 2) / 1.6) ** 2)) * 0.25
    return image * (1 - shadow[..., None]).astype(np.float32) + ((0.94 - image) * pale[..., None]).astype(np.float32)


def jpeg_wear(image: np.ndarray, quality: int) -> np.ndarray:
    """Block artefacts of a small early web scan: once through JPEG at `quality`."""
    done, packed = cv2.imencode(".jpg", to_levels(image, np.uint8)[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    assert done
    worn = cv2.imdecode(packed, cv2.IMREAD_COLOR)
    assert worn is not None  # it has just been encoded
    return worn[..., ::-1].astype(np.float32) / 255


def torn_edge(shape: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """Alpha (H, W, 1) of a print with a wavy deckle edge and one torn corner: 1 inside, 0 outside."""
    height, width = shape
    alpha = np.ones(shape, np.float32)
    rows, columns = np.arange(height, dtype=np.float32), np.arange(width, dtype=np.float32)
    for distance, along, vertical in (
        (rows[:, None], columns, True),
        (height - 1 - rows[:, None], columns, True),
        (columns[None, :], rows, False),
        (width - 1 - columns[None, :], rows, False),
    ):
        edge = 4 + 1.2 * np.sin(along * 0.9 + rng.uniform(0, 6)) + np.cumsum(rng.normal(0, 0.15, len(along)))
        alpha *= np.clip(distance - (edge[None, :] if vertical else edge[:, None]), 0, 1).astype(np.float32)
    reach = 0.16 * min(height, width)
    tear = reach + np.cumsum(rng.normal(0, 0.5, width))[None, :]
    alpha *= np.clip(rows[:, None] + columns[None, :] - tear, 0, 1).astype(np.float32)
    return alpha[..., None]


def to_levels(image: np.ndarray, dtype: type[np.uint8] | type[np.uint16]) -> np.ndarray:
    """Values 0 to 1 as whole levels of an unsigned type, clipped and rounded."""
    return np.rint(np.clip(image, 0, 1) * np.iinfo(dtype).max).astype(dtype)
