"""Where windows and tiles lie. Integers are latent pixels unless a name says otherwise.

A *window* is what one UNet call sees. A *tile* is what one scheduled row restores: a core, which it alone delivers, and the
windows of the whole image's grid that shape the core. Every tile uses the same grid, so its windows are the ones that the
image would have in one piece.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np

__all__ = ["Rect", "Tile", "TilePlacement", "WindowGrid", "axis_weights", "plan_tiles", "window_weights"]

_VARIANCE = 0.01  # of a window's Gaussian weights, in units of its side


@dataclass(frozen=True, order=True)
class Rect:
    """A rectangle: first row, first column, height, width."""

    top: int
    left: int
    height: int
    width: int

    @property
    def bottom(self) -> int:
        return self.top + self.height

    @property
    def right(self) -> int:
        return self.left + self.width

    @property
    def slices(self) -> tuple[slice, slice]:
        """Row and column slices, for arrays whose last two axes are rows and columns."""
        return slice(self.top, self.bottom), slice(self.left, self.right)

    def within(self, outer: Rect) -> Rect:
        """The same rectangle in the coordinates of `outer`."""
        return Rect(self.top - outer.top, self.left - outer.left, self.height, self.width)

    def scaled(self, factor: int) -> Rect:
        """In pixels `factor` times smaller."""
        return Rect(self.top * factor, self.left * factor, self.height * factor, self.width * factor)


@dataclass(frozen=True, kw_only=True)
class WindowGrid:
    """The windows of a whole image.

    Attributes:
        height, width: the image in latent pixels.
        window: side of a window; a shorter side of the image makes windows as short.
        overlap: the step between windows as a part of their side, in (0, 1]. The reference calls it overlap; smaller means
            more windows.
    """

    height: int
    width: int
    window: int
    overlap: float

    def __post_init__(self) -> None:
        if not 0 < self.overlap <= 1:
            raise ValueError(f"window overlap is {self.overlap}: choose a value above 0 and up to 1, such as 0.5")
        if min(self.height, self.width) < 1 or self.window < 1:
            raise ValueError(f"a {self.height}x{self.width} image in windows of {self.window}: all must be positive")

    @property
    def window_height(self) -> int:
        return min(self.window, self.height)

    @property
    def window_width(self) -> int:
        return min(self.window, self.width)

    @property
    def step(self) -> int:
        """From one window to the next."""
        return max(1, int(self.window * self.overlap))

    def row_origins(self) -> list[int]:
        return _origins(self.height, self.window_height, self.step)

    def column_origins(self) -> list[int]:
        return _origins(self.width, self.window_width, self.step)

    def windows(self) -> list[Rect]:
        """All windows, row by row."""
        return [
            Rect(row, column, self.window_height, self.window_width)
            for row in self.row_origins()
            for column in self.column_origins()
        ]


def _origins(length: int, window: int, step: int) -> list[int]:
    """Starts of windows along one axis: every `step`, and a last one that ends at the border."""
    starts = list(range(0, length - window, step))
    return [*starts, length - window]


@dataclass(frozen=True, kw_only=True)
class Tile:
    """One tile: `core` is delivered, `region` is the rectangle around `windows` that must be known to restore it."""

    core: Rect
    region: Rect
    windows: tuple[Rect, ...]


def plan_tiles(grid: WindowGrid, *, tile: int, halo: int) -> list[Tile]:
    """Cut an image into tiles whose cores cover it once.

    Args:
        grid: the image's windows.
        tile: largest side of a core.
        halo: how far from the core a window's middle may lie and still be computed with it. Half a window keeps the
            difference to the image restored in one piece below a thousandth of white (tests/faithdiff_model/test_tiles.py);
            a quarter computes a third fewer windows and lets it grow to a fiftieth along the borders.

    Returns:
        Tiles row by row; one alone if the image is no larger than `tile`.
    """
    step = grid.step
    row_windows = _by_core(grid.height, grid.row_origins(), grid.window_height, step, tile, halo)
    column_windows = _by_core(grid.width, grid.column_origins(), grid.window_width, step, tile, halo)
    tiles = []
    for core_top, core_height, rows in row_windows:
        for core_left, core_width, columns in column_windows:
            windows = tuple(Rect(r, c, grid.window_height, grid.window_width) for r in rows for c in columns)
            region = Rect(
                rows[0],
                columns[0],
                rows[-1] + grid.window_height - rows[0],
                columns[-1] + grid.window_width - columns[0],
            )
            tiles.append(Tile(core=Rect(core_top, core_left, core_height, core_width), region=region, windows=windows))
    return tiles


def _by_core(
    length: int, origins: list[int], window: int, step: int, tile: int, halo: int
) -> list[tuple[int, int, list[int]]]:
    """Along one axis: (core start, core length, origins of its windows)."""
    edges = _core_edges(length, step, tile)
    cores = []
    for start, end in pairwise(edges):
        near = [o for o in origins if start - halo <= o + window / 2 <= end + halo]
        # The core itself must be covered even where its windows' middles lie beyond the halo (at the image's border).
        first = max(o for o in origins if o <= start)
        last = min(o for o in origins if o + window >= end)
        low, high = min([first, last, *near]), max([first, last, *near])
        cores.append((start, end - start, [o for o in origins if low <= o <= high]))
    return cores


def _core_edges(length: int, step: int, tile: int) -> list[int]:
    """Borders of cores of at most `tile`, nearly equal, and on multiples of `step` where that is possible.

    There the border runs through the middle of a window that both neighbours compute, where its weight is largest.
    """
    count = -(-length // tile)
    if step > tile:
        return [round(i * length / count) for i in range(count + 1)]
    while True:
        edges = [round(i * length / count / step) * step for i in range(count)] + [length]
        if all(0 < end - start <= tile for start, end in pairwise(edges)):
            return edges
        count += 1
        if count * step > length + tile:  # nothing even fits: fill from the start
            return [*range(0, length, tile // step * step), length]


@dataclass(frozen=True, kw_only=True)
class TilePlacement:
    """Where a tile lies in its image. All in latent pixels of the whole image.

    Attributes:
        height, width: the whole image's size in latent pixels (padded).
        original_height, original_width: the whole image's size in pixels, before padding.
        tile: its core, region and windows.
    """

    height: int
    width: int
    original_height: int
    original_width: int
    tile: Tile


def axis_weights(length: int, axis: Literal["down", "across"]) -> np.ndarray:
    """Gaussian weights along one side of a window [length], float64, variance 0.01 in units of the side, 1 in the middle.

    The middle is (width - 1) / 2 across and height / 2 down: half a pixel apart, as in the reference.
    """
    middle = length / 2 if axis == "down" else (length - 1) / 2
    return np.exp(-(((np.arange(length) - middle) / length) ** 2) / (2 * _VARIANCE))


def window_weights(height: int, width: int) -> np.ndarray:
    """Gaussian weights of a window [height, width], float64: `axis_weights` down times across, normed as in the reference."""
    return np.outer(axis_weights(height, "down"), axis_weights(width, "across")) / (2 * np.pi * _VARIANCE)
