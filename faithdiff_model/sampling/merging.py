"""Merging overlapping windows back into one canvas."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from faithdiff_model.image.windows import Rect, window_weights


class WindowMerger:
    """Merges windows [C, h, w] into a canvas [C, H, W] by Gaussian weights, in float64 sums.

    Args:
        height, width: the canvas.
        windows: all rectangles that will be added, once each.
        scale: canvas pixels to one pixel of `windows` (8 to merge decoded windows), whose weights are then made at that size.
    """

    def __init__(self, height: int, width: int, windows: Sequence[Rect], *, scale: int = 1) -> None:
        self._size = (height, width)
        self._windows = [window.scaled(scale) for window in windows]
        total = torch.zeros(height, width, dtype=torch.float64)
        self._weights: dict[tuple[int, int], Tensor] = {}
        for window in self._windows:
            shape = (window.height, window.width)
            if shape not in self._weights:
                self._weights[shape] = torch.from_numpy(window_weights(*shape))
            total[window.slices] += self._weights[shape]
        assert bool((total > 0).all()), "the windows do not cover the canvas"
        # Dividing first makes each window's share; shares of one pixel add up to one.
        self._shares = [(self._weights[w.height, w.width] / total[w.slices]).to(torch.float32) for w in self._windows]

    def to(self, device: torch.device) -> WindowMerger:
        """Move the weights to a device."""
        self._shares = [share.to(device) for share in self._shares]
        return self

    def empty(self, channels: int, device: torch.device) -> Tensor:
        """A float32 canvas of zeros to add windows to."""
        return torch.zeros(channels, *self._size, device=device)

    def add(self, canvas_CHW: Tensor, index: int, value_Chw: Tensor) -> None:
        """Add window number `index`, weighted."""
        window = self._windows[index]
        canvas_CHW[:, window.slices[0], window.slices[1]] += value_Chw.float() * self._shares[index]
