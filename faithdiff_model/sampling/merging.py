"""Merging overlapping windows back into one canvas."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from itertools import product
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from faithdiff_model.image.windows import Rect, axis_weights


class WindowMerger:
    """Merges windows [C, h, w] into a canvas [C, H, W] by Gaussian weights.

    Windows are those of a grid, every row of it with every column, so that a window's share of a pixel is its share down times
    its share across. Two vectors an origin are kept, and not a map a window: of 8000x6000 pixels in windows of 1024 some
    hundred kilobytes, and not two thirds of a gigabyte. They are made once for a canvas's shape, and stay on the device.

    Args:
        height, width: the canvas.
        windows: all rectangles that will be added, once each; all of one size, rows times columns.
        scale: canvas pixels to one pixel of `windows` (8 to merge decoded windows), whose weights are then made at that size.
    """

    def __init__(self, height: int, width: int, windows: Sequence[Rect], *, scale: int = 1) -> None:
        self._size = (height, width)
        self._windows = [window.scaled(scale) for window in windows]
        tops, lefts = (tuple(sorted({getattr(w, side) for w in self._windows})) for side in ("top", "left"))
        first = self._windows[0]
        assert {(w.top, w.left) for w in self._windows} == set(product(tops, lefts)), "windows of no grid"
        assert {(w.height, w.width) for w in self._windows} == {(first.height, first.width)}, "windows of several sizes"
        self._grid: tuple[_Axis, _Axis] = ((height, tops, first.height, "down"), (width, lefts, first.width, "across"))
        self.to(torch.device("cpu"))

    def to(self, device: torch.device) -> WindowMerger:
        """Use the weights on a device."""
        self._down, self._across = (_shares(*axis, device) for axis in self._grid)
        return self

    def empty(self, channels: int, device: torch.device) -> Tensor:
        """A float32 canvas of zeros to add windows to."""
        return torch.zeros(channels, *self._size, device=device)

    def add(self, canvas_CHW: Tensor, index: int, value_Chw: Tensor) -> None:
        """Add window number `index`, weighted."""
        window = self._windows[index]
        share = self._down[window.top][:, None] * self._across[window.left]
        canvas_CHW[:, window.slices[0], window.slices[1]] += value_Chw.float() * share


_Side = Literal["down", "across"]
_Axis = tuple[
    int, tuple[int, ...], int, _Side
]  # length of the canvas, windows' origins, length of a window, which axis


@lru_cache(maxsize=64)
def _shares(length: int, origins: tuple[int, ...], window: int, side: _Side, device: torch.device) -> dict[int, Tensor]:
    """Along one axis, what each window has of each of its pixels [window], float32, by origin; all of a pixel add up to 1."""
    weights = axis_weights(window, side)
    total = np.zeros(length)
    for origin in origins:
        total[origin : origin + window] += weights
    assert (total > 0).all(), "the windows do not cover the canvas"
    shares = {origin: (weights / total[origin : origin + window]).astype(np.float32) for origin in origins}
    return {origin: torch.from_numpy(share).to(device) for origin, share in shares.items()}
