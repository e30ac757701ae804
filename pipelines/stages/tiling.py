"""How a photograph is cut: its size after enlargement and its tiles, as a function of its size and the settings alone."""

from __future__ import annotations

from functools import lru_cache

from faithdiff_model.image.windows import Rect, TilePlacement, plan_tiles
from faithdiff_model.network.config import MIN_SIDE
from faithdiff_model.presets import PRESETS
from pipelines.errors import ItemError
from pipelines.rows import Row
from pipelines.settings import Settings

__all__ = ["check_result_size", "count_tiles", "page_name", "pixels_of", "tile_places"]

_MOST = 8  # of the setting `upscale`


def check_result_size(path: str, width: int, height: int, upscale: int) -> None:
    """Refuse a picture whose result would be smaller than any network takes.

    Args:
        path: of the source, for the reason.
        width, height: of the source, in pixels.
        upscale: as the settings ask.

    Raises:
        ItemError: "too_small"; the reason says from which enlargement on it could be restored, if from any.
    """
    side = min(width, height)
    if side * upscale >= MIN_SIDE:
        return
    needed = -(-MIN_SIDE // side)
    advice = f"restore it with --upscale {needed} or more"
    if needed > _MOST:
        advice = f"the smallest that can be restored is {-(-MIN_SIDE // _MOST)} pixels a side, with --upscale {_MOST}"
    what = (
        f"{width}x{height} pixels enlarged {upscale}x are less than the {MIN_SIDE} pixels a side that a network takes"
    )
    raise ItemError("too_small", f"{path}: {what}; {advice}")


@lru_cache(maxsize=64)
def tile_places(width: int, height: int, settings: Settings) -> tuple[TilePlacement, ...]:
    """Every tile's place in the enlarged photograph; one alone for most photographs.

    Args:
        width, height: of the source, in pixels.
        settings: upscale, preset, window overlap, tile and halo.
    """
    config = PRESETS[settings.preset]
    scale = config.pixels_per_latent
    result_height, result_width = height * settings.upscale, width * settings.upscale
    grid = config.grid(result_height, result_width, settings.window_overlap)
    tiles = plan_tiles(grid, tile=max(1, settings.tile_side // scale), halo=settings.tile_halo // scale)
    return tuple(
        TilePlacement(
            height=grid.height,
            width=grid.width,
            original_height=result_height,
            original_width=result_width,
            tile=tile,
        )
        for tile in tiles
    )


def count_tiles(width: int, height: int, settings: Settings) -> int:
    """How many tiles an image of the source is restored in; one where it is too small to be restored at all."""
    if min(width, height) * settings.upscale < MIN_SIDE:
        return 1
    return len(tile_places(width, height, settings))


def page_name(row: Row) -> str:
    """The source's path, with the number of the page where it has several."""
    return f"{row['source_path']}, page {row['page'][0] + 1} of {row['frames']}" if row["page"] else row["source_path"]


def pixels_of(area: Rect, place: TilePlacement, settings: Settings) -> Rect:
    """A latent rectangle in pixels of the result, without the padding at the photograph's right and lower border."""
    scaled = area.scaled(PRESETS[settings.preset].pixels_per_latent)
    return Rect(
        scaled.top,
        scaled.left,
        min(scaled.bottom, place.original_height) - scaled.top,
        min(scaled.right, place.original_width) - scaled.left,
    )
