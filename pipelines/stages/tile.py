"""Enlarge a photograph by Lanczos and cut it into tiles. Row in, a row a tile out (1:N; 1 for most photographs)."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack
from typing import ClassVar

import numpy as np

from faithdiff_model.damage.fill import fillable
from faithdiff_model.image.resize import enlarge, from_unit_float
from faithdiff_model.image.windows import Rect, TilePlacement
from faithdiff_model.presets import PRESETS
from pipelines.manifest.identity import row_identity
from pipelines.media.photo.mask import read_mask
from pipelines.media.photo.regions import RegionPhoto
from pipelines.media.time_limit import deadline
from pipelines.rows import PART_DONE, Row, drop_payload, get_pixels, parts_key, put_pixels
from pipelines.settings import Settings
from pipelines.stages.giants import changed, check_unchanged, open_giant, reading_source
from pipelines.stages.sensitive import found_in
from pipelines.stages.tile_parts import has_part
from pipelines.stages.tiling import check_result_size, page_name, pixels_of, tile_places
from pipelines.store.stores import stores_of

__all__ = ["Tile"]


class Tile:
    """The stage; knows what shapes tiles, the source for giants, and the output for tiles that an earlier run finished.

    Args:
        settings: all settings.
    """

    name: ClassVar[str] = "tile"
    fallback_code: ClassVar[str] = "restore_error"

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        stores = stores_of(settings)
        self.source, self.output = stores.source, stores.output

    def core(self, row: Row) -> Iterator[Row]:
        """Yield a row for each tile, its pixels being the tile's region of the enlarged photograph.

        Raises:
            ItemError: the result would be smaller than the model takes, or a giant cannot be read or has changed.
        """
        settings = self.settings
        width, height = row["width"], row["height"]
        check_result_size(page_name(row), width, height, settings.upscale)
        row["identity"] = row_identity(row, disclosed=settings.disclosure, carried=settings.metadata == "carry")
        tiles = tile_places(width, height, settings)
        filled = self._filled(row)
        row.update(
            {
                "output_width": width * settings.upscale,
                "output_height": height * settings.upscale,
                "parts": row["parts"] if row["page"] else len(tiles),
            }
        )
        first = row["page"][1] if row["page"] else 0
        with ExitStack() as stack:
            source = self._open(stack, row)
            if settings.sensitive == "find" and isinstance(source, np.ndarray):  # a giant is never whole in memory
                row["sensitive"] = found_in(source)
            for number, place in enumerate(tiles, first):
                # The photograph's mask, metadata and extra channels go with one part, which is enough to publish them.
                part: Row = {**row, "part": number}
                if number > first:
                    part["damage_mask"] = part["extra_pixels"] = part["metadata_blocks"] = None
                if part["parts"] > 1 and not settings.redo and has_part(self.output, parts_key(part), number):
                    yield drop_payload({**part, "status": PART_DONE})
                else:
                    self._cut(part, place, source, filled)
                    yield part

    def _open(self, stack: ExitStack, row: Row) -> np.ndarray | RegionPhoto:
        """The pixels of a photograph: a row's, or, of a giant, those in the source."""
        if row["pixels"] is not None:
            return get_pixels(row)
        path = row["source_path"]
        with reading_source(path), deadline(self.settings.max_seconds, path):
            photo = stack.enter_context(open_giant(self.source, path, self.settings))
            check_unchanged(self.source, row)
        if photo is None:
            raise changed(path)
        return photo

    def _cut(
        self, part: Row, place: TilePlacement, source: np.ndarray | RegionPhoto, filled: np.ndarray | None
    ) -> None:
        """Fill in a tile's pixels."""
        started, settings = time.monotonic(), self.settings
        area = pixels_of(place.tile.region, place, settings)
        if isinstance(source, RegionPhoto):
            with deadline(settings.max_seconds, part["source_path"]):
                pixels = enlarge(source, place.original_height, place.original_width, area)
            check_unchanged(self.source, part)
        else:
            pixels = enlarge(source, place.original_height, place.original_width, area)
        # A curve that stretches 8 bits leaves gaps between levels; enlarging has values between them.
        put_pixels(part, from_unit_float(pixels, np.dtype(np.uint16) if part["tone_curve"] else source.dtype))
        if filled is not None:
            part["filled_mask"] = _bits(filled, area, settings.upscale)
        part["seconds_tile"] = time.monotonic() - started

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
