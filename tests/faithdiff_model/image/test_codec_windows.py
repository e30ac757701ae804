"""Windows of VAE and LQ encoder: where they lie and that shares add up."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from faithdiff_model.image.codec_windows import CodecGrid, codec_grid
from faithdiff_model.image.windows import WindowGrid


def whole(height: int, width: int, window: int, overlap: float) -> CodecGrid:
    return codec_grid(height, width, window=window, overlap=overlap)


def sums(grid: CodecGrid, scale: int) -> tuple[np.ndarray, np.ndarray]:
    """What all windows' shares add up to along each axis, of one pixel each."""
    totals = []
    for length, side in zip((grid.height, grid.width), grid.shares(scale), strict=True):
        total = np.zeros(length * scale)
        for origin, share in side.items():
            assert share.min() >= 0
            total[origin * scale : origin * scale + len(share)] += share
        totals.append(total)
    return totals[0], totals[1]


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_windows_cover_any_image_and_their_shares_add_up(data: st.DataObject) -> None:
    height, width = (data.draw(st.integers(1, 300)) for _ in range(2))
    grid = whole(height, width, data.draw(st.integers(1, 64)), data.draw(st.sampled_from([0.0, 0.1, 0.25, 0.5])))
    for rect in grid.windows():
        assert 0 <= rect.top < rect.bottom <= height
        assert 0 <= rect.left < rect.right <= width
    for total in sums(grid, data.draw(st.sampled_from([1, 8]))):
        np.testing.assert_allclose(total, 1, atol=1e-6)


def test_a_photograph_of_48_megapixels_has_half_as_many_windows_as_denoising() -> None:
    assert len(whole(750, 1000, 128, 0.25).windows()) == 88
    assert len(WindowGrid(height=750, width=1000, window=128, overlap=0.5).windows()) == 165


def test_neighbours_share_a_quarter() -> None:
    grid = whole(128, 128 + 2 * 96, 128, 0.25)
    assert grid.lefts == (0, 96, 192)
    assert (grid.tops, grid.overlap) == ((0,), 32)
    across = grid.shares()[1]
    assert np.all(across[0][: 96 + 8] == 1)  # the outer quarter of the overlap is the first's alone
    assert np.all(across[0][-8:] < 1e-7)
    assert across[0][112] == pytest.approx(0.5, abs=0.05)
