"""Where the windows of VAE and LQ encoder lie. Integers are latent pixels.

The reference cuts an image that is too large for them into tiles that overlap by a quarter, and blends from edge to edge of the
overlaps. What a window's padding makes of its edge then shows: here the outer quarters of an overlap are left to the other
window, and the blend runs over the middle half. A denoising grid, whose windows overlap by half, has nearly twice as many.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from faithdiff_model.image.windows import Rect, WindowGrid

__all__ = ["CodecGrid", "codec_grid"]

_ALONE = 1e-9  # a window's weight at its edges: nothing beside another window, and all where there is none


@dataclass(frozen=True, kw_only=True)
class CodecGrid:
    """The windows of an image, all of one size, every row of them with every column.

    Attributes:
        height, width: of the image.
        tops, lefts: of the windows.
        window_height, window_width: of each window.
        overlap: what neighbours share on the image's own grid, over whose middle half the one fades into the other.
    """

    height: int
    width: int
    tops: tuple[int, ...]
    lefts: tuple[int, ...]
    window_height: int
    window_width: int
    overlap: int

    def windows(self) -> list[Rect]:
        """All windows, row by row."""
        return [Rect(top, left, self.window_height, self.window_width) for top in self.tops for left in self.lefts]

    def shares(self, scale: int = 1) -> tuple[dict[int, np.ndarray], dict[int, np.ndarray]]:
        """What each window has of its pixels, down by top and across by left, [window side * scale] float32.

        A window's share of a pixel is its share down times its share across; all windows' shares of a pixel add up to 1.

        Args:
            scale: pixels to a latent pixel.
        """
        down = _shares(self.height, self.tops, self.window_height, self.overlap, scale)
        return down, _shares(self.width, self.lefts, self.window_width, self.overlap, scale)


def codec_grid(height: int, width: int, *, window: int, overlap: float) -> CodecGrid:
    """The windows of an image.

    Args:
        height, width: of the image.
        window: side of a window; a shorter side of the image makes windows as short.
        overlap: part of a window's side that neighbours share, 0 to 0.5; the last one shares more, as it ends with the image.
    """
    shared = round(window * overlap)
    grid = WindowGrid(height=height, width=width, window=window, overlap=1 - shared / window)
    return CodecGrid(
        height=height,
        width=width,
        tops=tuple(sorted(set(grid.row_origins()))),
        lefts=tuple(sorted(set(grid.column_origins()))),
        window_height=grid.window_height,
        window_width=grid.window_width,
        overlap=shared,
    )


def _shares(length: int, origins: tuple[int, ...], window: int, overlap: int, scale: int) -> dict[int, np.ndarray]:
    """Along one axis: see `CodecGrid.shares`."""
    place, quarter = np.arange(window * scale) + 0.5, max(1, overlap * scale) / 4
    from_edge = np.minimum(place, window * scale - place)
    weights = np.clip((from_edge - quarter) / (2 * quarter), _ALONE, 1)
    total = np.zeros(length * scale)
    for origin in origins:
        total[origin * scale : (origin + window) * scale] += weights
    return {o: (weights / total[o * scale : (o + window) * scale]).astype(np.float32) for o in origins}
