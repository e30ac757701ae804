"""Where the picture itself is broken: running scratches of a film, cracked emulsion, tears and torn corners.

Each function gives a `Marked` image: what it drew, and where. `size` makes marks larger, as a scan of more pixels has them.
"""

from __future__ import annotations

import cv2
import numpy as np

from faithdiff_model.degradation.archive.drawing import (
    AREA,
    Marked,
    count,
    joined,
    paint,
    place,
    smooth_noise,
    soft,
    stroke,
)
from faithdiff_model.degradation.ranges import require


def film_scratches(image: np.ndarray, rng: np.random.Generator, density: float, size: float = 1.0) -> Marked:
    """Upright lines from top to bottom of an image [H, W, 3] in 0 to 1, as a projector's gate draws them, alone or in bundles.

    Args:
        rng: of their places, strengths and colours: on a colour film some are green, blue or yellow, by the layer they reached.
        density: mean number of lines or bundles in a width of 512 pixels, 0 to 20.
        size: of the marks, 0.5 to 4.
    """
    require("density", density, 0, 20)
    require("size", size, 0.5, 4)
    height, width = image.shape[:2]
    marked, covers = image, [np.zeros((height, width), np.float32)]
    rows = np.linspace(-8, height + 8, max(4, height // 24))
    colour = rng.random() < 0.3
    for _ in range(rng.poisson(density * width / 512)):
        column, pale = rng.uniform(0, width), rng.random() < 0.6
        tone = np.full(3, rng.uniform(0.85, 1) if pale else rng.uniform(0, 0.15), np.float32)
        if colour:
            tone = np.array([(0.3, 0.9, 0.4), (0.3, 0.5, 0.95), (0.95, 0.9, 0.3)][rng.integers(3)], np.float32)
        cover = np.zeros((height, width), np.float32)
        wander = np.cumsum(rng.normal(0, 0.15, len(rows)))
        for _ in range(1 + (rng.integers(1, 5) if rng.random() < 0.3 else 0)):
            points = np.stack([column + rng.normal(0, 3 * size) + wander, rows], axis=1)
            pressure = rng.uniform(0.15, 0.7) + np.cumsum(rng.normal(0, 0.05, len(rows) - 1))
            stroke(cover, points, rng.uniform(0.6, 1.8) * size, np.clip(pressure, 0, 0.95))
        cover = soft(cover, rng.uniform(0.2, 0.6) * size)
        marked = paint(marked, cover, tone)
        covers.append(cover)
    return Marked(marked, joined(covers))


def cracks(image: np.ndarray, rng: np.random.Generator, amount: float, size: float = 1.0) -> Marked:
    """Emulsion that dried and cracked in one region of an image [H, W, 3] in 0 to 1: a net of fine lines, pale or dark.

    Args:
        rng: of the region, the net and the opacity along it.
        amount: opacity of the widest cracks, 0 to 1.
        size: of the marks, 0.5 to 4.
    """
    require("amount", amount, 0, 1)
    require("size", size, 0.5, 4)
    height, width = image.shape[:2]
    cell = rng.uniform(12, 60) * size
    # Cells around scattered seeds, their borders bent by a displacement that is smooth.
    margin = int(2 * cell)
    free = np.ones((height + 2 * margin, width + 2 * margin), np.uint8)
    number = max(2, round(free.size / cell**2))
    free[rng.integers(free.shape[0], size=number), rng.integers(free.shape[1], size=number)] = 0
    _, cells = cv2.distanceTransformWithLabels(free, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    grid = np.mgrid[margin : margin + height, margin : margin + width].astype(np.float32)
    bent = [grid[axis] + smooth_noise(height, width, cell / 4, rng) * np.float32(cell / 10) for axis in (0, 1)]
    cells = cv2.remap(cells.astype(np.float32), bent[1], bent[0], cv2.INTER_NEAREST)
    net = np.zeros((height, width), np.float32)
    net[:-1] = cells[:-1] != cells[1:]
    net[:, :-1] = np.maximum(net[:, :-1], cells[:, :-1] != cells[:, 1:])
    if size * rng.uniform(0.5, 1.5) > 1.2:
        net = cv2.dilate(net, np.ones((2, 2), np.uint8))
    # Some cracks are open, some closed again; and only a part of the picture is cracked.
    strength = np.clip(0.55 + 0.5 * smooth_noise(height, width, cell / 3, rng), 0, 1)
    reach = 0.35 * min(height, width)
    clouds = 1.5 * smooth_noise(height, width, reach, rng)
    region = np.clip(clouds - clouds.max() + np.float32(rng.uniform(1, 3)), 0, 1)
    cover = np.clip(soft(net, rng.uniform(0.3, 0.7)) * 1.3, 0, 1) * strength * region * np.float32(amount)
    tone = rng.uniform(0.8, 1) if rng.random() < 0.65 else rng.uniform(0, 0.2)
    return Marked(paint(image, cover, tone), cover)


def tears(image: np.ndarray, rng: np.random.Generator, density: float, size: float = 1.0) -> Marked:
    """Rips from an edge into an image [H, W, 3] in 0 to 1: a jagged gap that narrows, with pale fibres of paper beside it.

    Args:
        rng: of their places and courses.
        density: mean number in 512 x 512 pixels, 0 to 100.
        size: of the marks, 0.5 to 4.
    """
    require("density", density, 0, 100)
    require("size", size, 0.5, 4)
    height, width = image.shape[:2]
    gap, rim = np.zeros((height, width), np.float32), np.zeros((height, width), np.float32)
    for _ in range(count(density, image.shape, rng)):
        inward = int(rng.integers(4)) * np.pi / 2  # of the edge: right, down, left, up
        start = place(image.shape, rng)
        axis = int(inward // (np.pi / 2)) % 2
        start[axis] = -2.0 if np.cos(inward - axis * np.pi / 2) > 0 else (width, height)[axis] + 2.0
        steps = int(rng.integers(8, 50))
        heading = inward + rng.normal(0, 0.4) + np.cumsum(rng.normal(0, 0.08, steps)) + rng.normal(0, 0.45, steps)
        pace = rng.uniform(3, 8) * size
        points = start + np.cumsum(np.stack([np.cos(heading), np.sin(heading)], axis=1) * pace, axis=0)
        narrowing = np.linspace(1, 0.2, steps - 1)
        open_width = rng.uniform(0, 4) * size * narrowing
        fray = np.abs(rng.normal(0, 0.5, steps - 1))
        stroke(rim, points, open_width + (1.2 + fray) * rng.uniform(1, 2.5) * size, rng.uniform(0.6, 0.95))
        if open_width[0] > 1:
            stroke(gap, points, open_width, rng.uniform(0.8, 1))
    rim, gap = soft(rim, rng.uniform(0.3, 0.7) * size), soft(gap, 0.4)
    paper = np.clip(rng.uniform(0.82, 0.98) + 0.04 * smooth_noise(height, width, 1.0, rng), 0, 1)[..., None]
    marked = paint(paint(image, rim, paper), gap, rng.uniform(0, 0.25) if rng.random() < 0.6 else rng.uniform(0.85, 1))
    return Marked(marked, joined([rim, gap]))


def torn_corners(image: np.ndarray, rng: np.random.Generator, amount: float) -> Marked:
    """One or two corners missing from an image [H, W, 3] in 0 to 1: what lay behind shows, beside a rim of torn paper.

    Args:
        rng: of the corners, their outlines and what lies behind: the scanner's lid, white, grey or black.
        amount: length of the missing piece's sides, as a share of the shorter side, 0.01 to 0.5.
    """
    require("amount", amount, 0.01, 0.5)
    height, width = image.shape[:2]
    reach = amount * min(height, width)
    ragged = smooth_noise(height, width, max(1.0, reach / 12), rng) * np.float32(reach / 30)
    ragged += smooth_noise(height, width, max(2.0, reach / 3), rng) * np.float32(reach / 10)
    behind = np.zeros((height, width), np.float32)
    rim = np.zeros((height, width), np.float32)
    wide = min(rng.uniform(1.5, 7) * (height * width / AREA) ** 0.25, reach / 3)
    for corner in rng.permutation(4)[: 1 + int(rng.random() < 0.25)]:
        rows, columns = np.arange(height, dtype=np.float32), np.arange(width, dtype=np.float32)
        rows = height - 1 - rows if corner & 1 else rows
        columns = width - 1 - columns if corner & 2 else columns
        turn = rng.uniform(0.25, 1.3)
        across = columns * np.float32(np.cos(turn)) + (rows * np.float32(np.sin(turn)))[:, None]
        inside = reach * np.float32(0.7) - across + ragged  # pixels from the tear, positive where the picture is gone
        behind = np.maximum(behind, np.clip(inside + 0.5, 0, 1))
        fringe = inside + wide + smooth_noise(height, width, 1.2, rng) * np.float32(wide / 4)
        rim = np.maximum(rim, np.clip(fringe, 0, 1))
    lid = rng.choice([rng.uniform(0.9, 1), rng.uniform(0.4, 0.7), rng.uniform(0, 0.12)])
    paper = np.clip(rng.uniform(0.82, 0.97) + 0.03 * smooth_noise(height, width, 1.0, rng), 0, 1)[..., None]
    marked = paint(paint(image, rim * np.float32(0.9), paper), behind, lid)
    return Marked(marked, joined([rim * np.float32(0.9), behind]))
