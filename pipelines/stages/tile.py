"""Enlarge a photograph by Lanczos and cut it into tiles. Row in, a row a tile out (1:N; 1 for most photographs)."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import ClassVar

import numpy as np

from faithdiff_model.damage.fill import fillable
from faithdiff_model.image.resize import enlarge, from_unit_float
from faithdiff_model.image.windows import Rect
from faithdiff_model.network.config import MIN_SIDE
from faithdiff_model.presets import PRESETS
from pipelines.errors import ItemError
from pipelines.manifest.identity import row_identity
from pipelines.media.photo.mask import read_mask
from pipelines.rows import PART_DONE, Row, drop_payload, get_pixels, put_pixels
from pipelines.settings import Settings
from pipelines.stages.tile_parts import has_part
from pipelines.stages.tiling import page_name, pixels_of, tile_places
from pipelines.store.stores import open_store

__all__ = ["Tile"]


class Tile:
    """The stage; knows the settings that shape tiles, and the output store for tiles that an earlier run finished.

    Args:
        settings: all settings.
    """

    name: ClassVar[str] = "tile"
    fallback_code: ClassVar[str] = "restore_error"

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.output = open_store(settings.output, settings.retry_seconds)

    def core(self, row: Row) -> Iterator[Row]:
        """Yield a row for each tile, its pixels being the tile's region of the enlarged photograph.

        Raises:
            ItemError: the result would be smaller than the model takes.
        """
        settings = self.settings
        width, height = row["width"], row["height"]
        if min(width, height) * settings.upscale < MIN_SIDE:
            raise ItemError(
                "too_small",
                f"{page_name(row)}: {width}x{height} pixels enlarged {settings.upscale}x is below {MIN_SIDE} a side; "
                "raise --upscale",
            )
        row["identity"] = row_identity(row, disclosed=self.settings.disclosure)
        tiles = tile_places(width, height, settings)
        source, filled = get_pixels(row), self._filled(row)
        # A curve that stretches 8 bits leaves gaps between levels; enlarging has values between them.
        dtype = np.dtype(np.uint16) if row["tone_curve"] else source.dtype
        row.update(
            {
                "output_width": width * settings.upscale,
                "output_height": height * settings.upscale,
                "parts": row["parts"] if row["page"] else len(tiles),
            }
        )
        first = row["page"][1] if row["page"] else 0
        for number, place in enumerate(tiles, first):
            started = time.monotonic()
            # The photograph's mask and extra channels go with one part, which is enough to publish them.
            part: Row = {**row, "part": number}
            if number > first:
                part["damage_mask"] = part["extra_pixels"] = None
            if part["parts"] > 1 and not settings.redo and has_part(self.output, part["identity"], number):
                yield drop_payload({**part, "status": PART_DONE})
                continue
            area = pixels_of(place.tile.region, place, settings)
            pixels = enlarge(source, place.original_height, place.original_width, area)
            put_pixels(part, from_unit_float(pixels, dtype))
            if filled is not None:
                part["filled_mask"] = _bits(filled, area, settings.upscale)
            part["seconds_tile"] = time.monotonic() - started
            yield part

    def _filled(self, row: Row) -> np.ndarray | None:
        """Where the scan was filled, bool [H, W]; None where it was not, or where the network would not look at it."""
        settings = self.settings
        if not row["damage_mask"] or settings.repair_damage != "fill" or not PRESETS[settings.preset].takes_mask:
            return None
        return fillable(read_mask(row["damage_mask"]))


def _bits(filled: np.ndarray, area: Rect, factor: int) -> bytes | None:
    """A rectangle of the enlarged photograph out of a mask of the scan, a bit a pixel; None where nothing of it is set."""
    rows, columns = (
        np.arange(first, first + count) // factor for first, count in ((area.top, area.height), (area.left, area.width))
    )
    part = filled[np.ix_(rows, columns)]
    return np.packbits(part).tobytes() if part.any() else None
