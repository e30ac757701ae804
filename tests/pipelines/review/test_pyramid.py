"""Tiles of pictures: of the whole and of giants that are read by region, and colours as screens show them."""

from __future__ import annotations

import io
from typing import cast

import imagecodecs
import numpy as np
import pytest
import tifffile
from archive_steps import picture

from pipelines.media.limits import DecodeLimits
from pipelines.media.photo.file_bytes import FileBytes
from pipelines.media.photo.regions import RegionPhoto, open_regions
from pipelines.media.photo.tiff_directories import list_pages
from pipelines.review import pyramid
from pipelines.review.display import displayed
from pipelines.review.pyramid import TILE, RegionPyramid, WholePyramid, level_count, level_size


def opened(pixels: np.ndarray) -> RegionPhoto:
    file = io.BytesIO()
    tifffile.imwrite(file, pixels, photometric="rgb", tile=(128, 128), metadata=None)
    data = FileBytes(file)
    found = open_regions(data, list_pages(cast(bytes, data)), "giant.tif", DecodeLimits())
    assert isinstance(found, RegionPhoto)
    return found


def test_levels_end_with_one_tile() -> None:
    assert level_count(512, 512) == 1
    assert level_count(513, 10) == 2
    assert level_count(100_000, 3) == 9
    assert level_size(1001, 10, 3) == (126, 2)


def test_tiles_put_together_are_the_picture() -> None:
    pixels = picture(700, 1200)
    whole = WholePyramid(pixels)
    rows = [np.concatenate([whole.tile(0, column, row) for column in range(3)], axis=1) for row in range(2)]
    assert np.array_equal(np.concatenate(rows), pixels)
    assert whole.tile(1, 1, 0).shape == (350, 600 - TILE, 3)
    assert whole.tile(2, 0, 0).shape == (175, 300, 3)
    for wrong in ((3, 0, 0), (0, 3, 0), (0, 0, 2), (-1, 0, 0)):
        with pytest.raises(IndexError):
            whole.tile(*wrong)


def test_a_giant_has_the_same_tiles_without_being_decoded_as_a_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = picture(1100, 1536)
    whole = WholePyramid(pixels)
    monkeypatch.setattr(pyramid, "_OVERVIEW_PIXELS", 300_000)
    giant = RegionPyramid(opened(pixels))
    assert (giant.width, giant.height) == (1536, 1100)
    for level, column, row in ((0, 0, 0), (0, 2, 2), (1, 1, 1), (2, 0, 0)):
        mine, theirs = giant.tile(level, column, row), whole.tile(level, column, row)
        assert mine.shape == theirs.shape
        assert np.abs(mine.astype(int) - theirs).max() <= 1, (level, column, row)
    assert np.abs(giant.small(200).astype(int) - whole.small(200)).max() <= 6
    with pytest.raises(IndexError):
        giant.tile(0, 3, 0)


def test_what_is_shown_is_srgb_on_white() -> None:
    grey = np.array([[[0, 65535], [65535, 65535], [0, 0]]], np.uint16)  # black, white, and nothing
    assert displayed(grey, None)[..., 0].tolist() == [[0, 255, 255]]
    deep = np.array([[[257 * 200, 257 * 10, 257 * 90]]], np.uint16)
    assert displayed(deep, None).tolist() == [[[200, 10, 90]]]
    wide = displayed(np.array([[[128, 128, 128], [200, 80, 80]]], np.uint8), imagecodecs.cms_profile("adobergb"))
    assert np.abs(wide[0].astype(int) - [[128, 128, 128], [230, 79, 79]]).max() <= 3  # by the matrices of both spaces
    assert displayed(np.array([[[7]]], np.uint8), b"no profile").tolist() == [[[7, 7, 7]]]
