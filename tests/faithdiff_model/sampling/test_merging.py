"""Shares of overlapping windows: down times across is the map of Gaussian weights, divided by all windows' sum."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from faithdiff_model.image.windows import Rect, WindowGrid, window_weights
from faithdiff_model.sampling import merging
from faithdiff_model.sampling.merging import WindowMerger

WINDOWS = WindowGrid(height=50, width=37, window=16, overlap=0.5).windows()


def test_shares_are_the_weights_by_their_sum() -> None:
    weights, total = window_weights(16, 16), np.zeros((50, 37))
    for window in WINDOWS:
        total[window.slices] += weights
    merger = WindowMerger(50, 37, WINDOWS)
    for number, window in enumerate(WINDOWS):
        canvas = merger.empty(1, torch.device("cpu"))
        merger.add(canvas, number, torch.ones(1, 16, 16))
        expected = np.zeros((50, 37))
        expected[window.slices] = weights / total[window.slices]
        np.testing.assert_allclose(canvas[0].numpy(), expected, atol=3e-7)


def test_shares_are_made_once_for_a_shape(monkeypatch: pytest.MonkeyPatch) -> None:
    WindowMerger(50, 37, WINDOWS)

    def unexpected(*_: object) -> np.ndarray:
        raise AssertionError

    monkeypatch.setattr(merging, "axis_weights", unexpected)
    WindowMerger(50, 37, WINDOWS)
    with pytest.raises(AssertionError):
        WindowMerger(51, 37, WindowGrid(height=51, width=37, window=16, overlap=0.5).windows())


def test_windows_of_no_grid_are_refused() -> None:
    with pytest.raises(AssertionError, match="of no grid"):
        WindowMerger(50, 37, WINDOWS[:-1])
    with pytest.raises(AssertionError, match="do not cover"):
        WindowMerger(60, 37, WINDOWS)
    with pytest.raises(AssertionError, match="of several sizes"):
        WindowMerger(16, 16, [Rect(0, 0, 16, 16), Rect(0, 0, 8, 8)])
