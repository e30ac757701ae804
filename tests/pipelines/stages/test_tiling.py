"""How many windows a photograph costs in its tiles, by preset."""

from __future__ import annotations

import pytest

from faithdiff_model.presets import TILE
from pipelines.errors import ItemError
from pipelines.settings import Settings
from pipelines.stages.tiling import check_result_size, tile_places


def windows_of(width: int, height: int, **chosen: object) -> list[int]:
    """Of each tile of a source at its own size."""
    settings = Settings(upscale=1, **chosen)
    return [len(place.tile.windows) for place in tile_places(width, height, settings)]


def test_sdxl_restores_8000x6000_in_one_piece() -> None:
    assert windows_of(8000, 6000, preset="sdxl") == [165]
    cut = windows_of(8000, 6000, preset="sdxl", tile=4096)
    assert (len(cut), sum(cut)) == (4, 252)
    assert len(windows_of(8200, 6000, preset="sdxl")) == 2


def test_nano_is_cut_as_before() -> None:
    places = [tile_places(8000, 6000, Settings(upscale=1, **chosen)) for chosen in ({}, {"tile": 4096})]
    assert places[0] == places[1]
    assert len(places[0]) == 4


@pytest.mark.parametrize("preset", TILE)
def test_the_presets_side_is_recorded_as_if_it_was_chosen(preset: str) -> None:
    own, chosen = Settings(preset=preset), Settings(preset=preset, tile=TILE[preset])
    assert own.result_settings()["tile"] == TILE[preset]
    assert own.result_digest() == chosen.result_digest()
    assert own.result_digest() != Settings(preset=preset, tile=2048).result_digest()
    assert "tile" not in own.result_settings("film")


def test_too_small_a_tile_is_refused() -> None:
    with pytest.raises(ValueError, match="63 is too small for a tile: choose 64 or more, or 0 for the preset's"):
        Settings(tile=63)
    assert Settings(tile=64).tile_side == 64


@pytest.mark.parametrize(
    ("side", "says"),
    [
        (1, "1x40 pixels enlarged 2x .* 16 pixels a side .*the smallest that .* is 2 pixels a side, with --upscale 8"),
        (2, "restore it with --upscale 8 or more"),
        (7, "restore it with --upscale 3 or more"),
    ],
)
def test_a_picture_that_is_too_small_is_told_the_real_limit(side: int, says: str) -> None:
    with pytest.raises(ItemError, match=f"^too_small: a.png: .*{says}"):
        check_result_size("a.png", side, 40, 2)
    check_result_size("a.png", 8, 40, 2)
