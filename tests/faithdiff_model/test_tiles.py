"""Tiles: their geometry, their noise, and that joined they equal the image in one piece."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from faithdiff_model.build import build_restorer
from faithdiff_model.image.resize import enlarge
from faithdiff_model.image.windows import Rect, TilePlacement, WindowGrid, plan_tiles
from faithdiff_model.options import RestoreOptions
from faithdiff_model.restorer import Restorer
from faithdiff_model.sampling.merging import WindowMerger
from faithdiff_model.sampling.noise import position_noise
from faithdiff_model.spec import ModelSpec

overlaps = st.sampled_from([0.25, 0.5, 0.75, 1.0])


@st.composite
def cuts(draw: st.DrawFn) -> tuple[int, int, int, float, int, int]:
    """Height, width, window, overlap, tile and halo: at most 400 tiles and some 1,000 windows, so that it ends."""
    window = draw(st.integers(4, 64))
    tile = draw(st.integers(3, 200))
    side = st.integers(1, min(400, 20 * tile, 24 * window))
    return draw(side), draw(side), window, draw(overlaps), tile, draw(st.integers(0, min(64, 6 * window)))


@settings(max_examples=300, deadline=None)
@given(cuts())
def test_cores_cover_once_and_windows_cover_cores(cut: tuple[int, int, int, float, int, int]) -> None:
    height, width, window, overlap, tile, halo = cut
    grid = WindowGrid(height=height, width=width, window=window, overlap=overlap)
    all_windows = set(grid.windows())
    count = np.zeros((height, width), int)
    for piece in plan_tiles(grid, tile=tile, halo=halo):
        count[piece.core.slices] += 1
        assert max(piece.core.height, piece.core.width) <= tile
        assert set(piece.windows) <= all_windows
        covered = np.zeros((height, width), bool)
        for rect in piece.windows:
            covered[rect.slices] = True
        assert covered[piece.core.slices].all()
        assert covered[piece.region.slices].all()
    assert (count == 1).all()


@settings(max_examples=50, deadline=None)
@given(cuts())
def test_merging_equal_windows_gives_the_canvas_back(cut: tuple[int, int, int, float, int, int]) -> None:
    height, width, window, overlap, _, _ = cut
    grid = WindowGrid(height=height, width=width, window=window, overlap=overlap)
    import torch

    canvas = torch.rand(2, height, width)
    windows = grid.windows()
    merger = WindowMerger(height, width, windows)
    merged = merger.empty(2, canvas.device)
    for index, rect in enumerate(windows):
        merger.add(merged, index, canvas[:, rect.slices[0], rect.slices[1]])
    assert torch.allclose(merged, canvas, atol=1e-5)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**64 - 1), st.integers(0, 300), st.integers(0, 300), st.integers(1, 150), st.integers(1, 150))
def test_noise_is_a_function_of_position(seed: int, top: int, left: int, height: int, width: int) -> None:
    whole = position_noise(seed, Rect(0, 0, top + height, left + width))
    assert np.array_equal(whole[:, top:, left:], position_noise(seed, Rect(top, left, height, width)))


def test_noise_is_standard_normal_and_differs_by_seed_and_place() -> None:
    noise = position_noise(3, Rect(0, 0, 512, 512))
    assert abs(noise.mean()) < 5e-3
    assert abs(noise.std() - 1) < 5e-3
    assert abs(np.mean(noise**4) - 3) < 0.05
    blocks = noise.reshape(4, 8, 64, 8, 64).transpose(1, 3, 0, 2, 4).reshape(64, -1)
    correlation = np.corrcoef(blocks)
    assert np.abs(correlation - np.eye(64)).max() < 0.05
    assert abs(np.corrcoef(noise.ravel(), position_noise(4, Rect(0, 0, 512, 512)).ravel())[0, 1]) < 5e-3


def test_noise_never_changes() -> None:
    """A seed means these numbers for decades: they stand in manifests."""
    first = position_noise(0, Rect(0, 0, 1, 3))[:, 0]
    np.testing.assert_allclose(first[0], NOISE_OF_SEED_0, atol=1e-6)


NOISE_OF_SEED_0 = [2.80718136, 1.21436965, -0.45686924]


@pytest.fixture(scope="module")
def restorer() -> Restorer:
    return build_restorer(ModelSpec(preset="tiny"), RestoreOptions(steps=4, colour_fix="none", codec_overlap=0.0))


def joined(restorer: Restorer, image: np.ndarray, tile: int, halo: int) -> tuple[np.ndarray, np.ndarray]:
    """The image restored in tiles, and a mask of the 16 pixels on both sides of their borders."""
    height, width = image.shape[:2]
    grid = restorer.grid(height, width)
    result, border = np.empty_like(image), np.zeros((height, width), bool)
    for piece in plan_tiles(grid, tile=tile, halo=halo):
        place = TilePlacement(
            height=grid.height, width=grid.width, original_height=height, original_width=width, tile=piece
        )
        region, core = piece.region.scaled(8), piece.core.scaled(8)
        result[core.slices] = restorer.restore([image[region.slices]], [""], [0], [place])[0]
        if core.top:
            border[core.top - 16 : core.top + 16, core.left : core.right] = True
        if core.left:
            border[core.top : core.bottom, core.left - 16 : core.left + 16] = True
    return result, border


def test_no_seam(restorer: Restorer) -> None:
    """Half a window of halo: below 1/1000 of white everywhere, and after rounding no worse at borders than inside."""
    from skimage import data

    image = enlarge(data.astronaut()[:190, :150], 380, 300)
    whole = restorer.restore([image], [""], [0])[0]
    tiled, border = joined(restorer, image, tile=24, halo=8)
    difference = np.abs(tiled - whole).max(axis=2)
    print(f"at borders {difference[border].max():.6f}, inside {difference[~border].max():.6f} of white")
    assert 0 < difference.max() < 1e-3
    levels = np.abs(np.rint(tiled * 255) - np.rint(whole * 255)).max(axis=2)
    assert levels[border].max() <= max(1, levels[~border].max())


def test_without_a_halo_there_is_a_seam(restorer: Restorer) -> None:
    """The measure above can fail."""
    image = np.random.default_rng(0).random((250, 250, 3), np.float32)
    whole = restorer.restore([image], [""], [0])[0]
    tiled, border = joined(restorer, image, tile=24, halo=0)
    assert np.abs(tiled - whole)[border].max() > 1e-3


def test_a_halo_that_reaches_everything_is_exact(restorer: Restorer) -> None:
    image = np.random.default_rng(0).random((250, 190, 3), np.float32)
    tiled, _ = joined(restorer, image, tile=16, halo=64)
    assert np.array_equal(tiled, restorer.restore([image], [""], [0])[0])


@pytest.mark.parametrize("upscale", [1, 2, 3, 8])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_a_part_of_an_enlargement_is_cut_out_of_the_whole(upscale: int, dtype: type) -> None:
    image = np.random.default_rng(1).random((37, 29, 2)).astype(np.float32)
    if dtype is not np.float32:
        image = (image * np.iinfo(dtype).max).astype(dtype)
    height, width = 37 * upscale, 29 * upscale
    whole = enlarge(image, height, width)
    for part in (Rect(0, 0, 10, 12), Rect(height - 9, width - 7, 9, 7), Rect(5 * upscale, 3, 11, 13)):
        np.testing.assert_allclose(enlarge(image, height, width, part), whole[part.slices], atol=2e-6)


def test_enlarging_is_pillows_lanczos() -> None:
    from PIL import Image
    from skimage import data

    image = data.chelsea()[:80, :90]
    ours = np.rint(enlarge(image, 160, 180) * 255)
    pillows = np.asarray(Image.fromarray(image).resize((180, 160), Image.Resampling.LANCZOS), float)
    assert np.abs(ours - pillows).max() <= 1
