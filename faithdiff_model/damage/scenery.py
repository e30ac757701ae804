"""What a scene holds that looks like damage and is none: stars, writing, wires, twigs, highlights, drawn into pictures.

A network that never met them marks them. Each function draws into a part of the scene and gives the new image; all of it is
blurred as the scene is, by a lens that the marks of damage never went through.
"""

from __future__ import annotations

import string
from collections.abc import Callable

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from faithdiff_model.degradation.archive.drawing import paint, place, soft, stroke, walk

_LETTERS = string.ascii_letters + string.digits + ".,;:-!?'()&"
Scenery = Callable[[np.ndarray, np.random.Generator], np.ndarray]


def stars(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A night sky on an image [H, W, 3] in 0 to 1, over all of it or above a horizon: many faint stars, few bright ones."""
    height, width = image.shape[:2]
    sky = np.clip(rng.uniform(0, 0.12) + np.array([0, 0.01, 0.04]) * rng.random(), 0, 1).astype(np.float32)
    light = np.zeros((height, width, 3), np.float32)
    for _ in range(int(rng.integers(20, 400) * height * width / 192**2)):
        column, row = place(image.shape, rng).astype(int)
        warmth = np.clip(1 + rng.normal(0, 0.15) * np.array([1, 0, -1]), 0, 1.5)
        light[row, column] += min(0.3 + rng.pareto(1.3), 60) * warmth.astype(np.float32)
    focus = rng.uniform(0.5, 1.3)
    light = cv2.GaussianBlur(light, (0, 0), focus) * np.float32(rng.uniform(1, 4))
    if rng.random() < 0.3:
        light += cv2.GaussianBlur(light, (0, 0), rng.uniform(4, 20)) * np.float32(0.5)  # nebulae and glare
    night = np.clip(sky + light, 0, 1)
    if rng.random() < 0.6:
        return night
    horizon = rng.uniform(0.3, 0.9) * height + 6 * np.sin(np.arange(width) / rng.uniform(8, 60))
    above = np.clip(horizon - np.arange(height)[:, None], 0, 1).astype(np.float32)[..., None]
    return image * (1 - above) * np.float32(rng.uniform(0.1, 0.6)) + night * above


def writing(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Lines of printed or written characters on an image [H, W, 3] in 0 to 1, on the picture or on a sheet of paper."""
    height, width = image.shape[:2]
    size = float(rng.uniform(7, 40))
    sheet = Image.new("L", (width, height), 0)
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(size)
    cv_font = int(
        rng.choice([cv2.FONT_HERSHEY_SCRIPT_SIMPLEX, cv2.FONT_HERSHEY_SCRIPT_COMPLEX, cv2.FONT_HERSHEY_SIMPLEX])
    )
    hand = np.zeros((height, width), np.uint8)
    written = rng.random() < 0.3
    row = rng.uniform(-size, size)
    while row < height:
        line = "".join(rng.choice(list(_LETTERS + " " * 12), size=int(2 * width / size) + 2))
        left = rng.uniform(-0.3, 0.2) * width
        if written:
            cv2.putText(hand, line, (int(left), int(row)), cv_font, size / 28, 255, 1 + int(size > 24), cv2.LINE_AA)
        else:
            draw.text((left, row), line, fill=255, font=font)
        row += size * rng.uniform(1.1, 3)
        if rng.random() < 0.2:
            break
    cover = np.asarray(hand if written else sheet, np.float32) / 255
    turn = cv2.getRotationMatrix2D((width / 2, height / 2), rng.normal(0, 4) + 90 * int(rng.random() < 0.1), 1.0)
    cover = soft(np.clip(cv2.warpAffine(cover, turn, (width, height)), 0, 1), rng.uniform(0, 0.8))
    if rng.random() < 0.4:
        image = paint(image, np.full((height, width), rng.uniform(0.6, 1), np.float32), rng.uniform(0.7, 1))
    ink = rng.uniform(0, 0.3, 3) if image.mean() > rng.uniform(0.2, 0.7) else rng.uniform(0.75, 1, 3)
    return paint(image, cover * np.float32(rng.uniform(0.6, 1)), ink)


def wires(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Cables, rails and railings across an image [H, W, 3] in 0 to 1: long, even, smooth and often parallel."""
    height, width = image.shape[:2]
    cover = np.zeros((height, width), np.float32)
    columns = np.linspace(-0.1, 1.1, 24) * width
    slope, sag = rng.normal(0, 0.3), rng.uniform(0, 0.2) * height
    thickness, strong = rng.uniform(0.5, 3), rng.uniform(0.5, 1)
    row, gap = rng.uniform(-0.2, 1) * height, rng.uniform(4, 40)
    for number in range(int(rng.integers(1, 8))):
        line = row + number * gap + slope * columns + sag * (1 - ((columns / width - 0.5) * 2) ** 2)
        stroke(cover, np.stack([columns, line], axis=1), thickness, strong)
    if rng.random() < 0.35:  # upright: masts, bars and fences
        cover = np.ascontiguousarray(np.rot90(cover))
        cover = cv2.resize(cover, (width, height)) if cover.shape != (height, width) else cover
    tone = rng.uniform(0, 0.3, 3) if rng.random() < 0.75 else rng.uniform(0.7, 1, 3)
    return paint(image, soft(cover, rng.uniform(0.3, 1.0)), tone)


def twigs(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Branches, grass or locks of hair on an image [H, W, 3] in 0 to 1: they fork, they taper, and there are many."""
    cover = np.zeros(image.shape[:2], np.float32)

    def grow(start: np.ndarray, angle: float, width: float, length: int) -> None:
        bend = rng.normal(0, 0.12, length)
        points = walk(start, angle, bend, 4.0)
        stroke(cover, points, np.linspace(width, max(0.5, width * 0.6), length - 1), rng.uniform(0.6, 1))
        for branch in points[:: max(3, length // 3)][1:]:
            if width > 0.7 and length > 5:
                grow(
                    branch,
                    angle + bend.sum() / 2 + rng.normal(0, 0.7),
                    width * 0.6,
                    int(length * rng.uniform(0.4, 0.8)),
                )

    for _ in range(int(rng.integers(1, 7))):
        grow(place(image.shape, rng, 20), rng.uniform(0, 2 * np.pi), rng.uniform(0.8, 5), int(rng.integers(8, 30)))
    tone = rng.uniform(0, 0.35, 3) if rng.random() < 0.75 else rng.uniform(0.6, 1, 3)
    return paint(image, soft(cover, rng.uniform(0.3, 0.9)), tone)


def highlights(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Glints, buttons, lamps and pupils on an image [H, W, 3] in 0 to 1: round, soft, often a bright spot in a dark one."""
    for _ in range(int(rng.integers(1, 9))):
        centre, radius = place(image.shape, rng), rng.uniform(1, 9)
        turn, squash = rng.uniform(0, 180), rng.uniform(0.4, 1)
        for part, tone in ((1.0, rng.uniform(0, 0.2)), (rng.uniform(0.15, 0.45), rng.uniform(0.8, 1))):
            if part == 1.0 and rng.random() < 0.5:
                continue
            cover = np.zeros(image.shape[:2], np.float32)
            axes = (max(1, round(16 * radius * part)), max(1, round(16 * radius * part * squash)))
            where = np.rint((centre + rng.normal(0, 0.2, 2) * radius * (part < 1)) * 16).astype(int).tolist()
            cv2.ellipse(cover, where, axes, turn, 0, 360, rng.uniform(0.6, 1), -1, cv2.LINE_AA, 4)
            image = paint(image, soft(cover, rng.uniform(0.4, 0.3 + radius / 4)), tone)
    return image


SCENERY: dict[str, Scenery] = {
    "stars": stars,
    "writing": writing,
    "wires": wires,
    "twigs": twigs,
    "highlights": highlights,
}
