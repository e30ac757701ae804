"""Join the durable tiles of one photograph, fix its colours as a whole, and publish it; bind the pages of a file of several.

Row in, final row out (1:1).
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack
from typing import ClassVar

import numpy as np

from faithdiff_model.image.resize import enlarge, to_unit_float
from faithdiff_model.image.windows import Rect
from pipelines.media.limits import limits_of
from pipelines.media.photo.decode import decode, decode_page
from pipelines.media.photo.regions import RegionPhoto
from pipelines.media.photo.tiff_directories import list_pages
from pipelines.media.photo.tiff_writer import strips_of
from pipelines.rows import Row, columns_of, parts_key
from pipelines.settings import Settings
from pipelines.stages.bind_pages import Page, bind_pages
from pipelines.stages.consistency import Consistency
from pipelines.stages.faithfulness import undamaged
from pipelines.stages.giants import changed, open_giant, reading_source
from pipelines.stages.joining import JoinedTiles
from pipelines.stages.publish import publish_bands, whole_of
from pipelines.stages.tile_parts import OpenPart, part_errors
from pipelines.stages.trust import joined_trust
from pipelines.store.layout import PAGED, parts_folder
from pipelines.store.stores import stores_of

__all__ = ["Stitch"]

# What the photograph's row has from this run, and not from that which made its first tile.
_OF_THIS_RUN = ("run_id", "flow_run_id", "attempt", "output_path", "output_uri", "replaces")
# Source rows compared at a time, and samples of the result that they may be.
_STRIP, _STRIP_VALUES = 512, 1 << 23


class Stitch:
    """The stage; holds both stores.

    Args:
        settings: all settings.
    """

    name: ClassVar[str] = "stitch"
    fallback_code: ClassVar[str] = "write_error"

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        stores = stores_of(settings)
        self.source, self.output = stores.source, stores.output

    def core(self, row: Row) -> Iterator[Row]:
        """Assemble one photograph; its parts are removed once it is published.

        Raises:
            ItemError: a tile is missing or damaged, or the result could not be written.
        """
        if row["pages"] in PAGED:
            yield self._bound(row)
            return
        started = time.monotonic()
        tiles = JoinedTiles(self.output, row, self.settings)
        whole, ours = tiles.row, columns_of(row)
        columns_of(whole).update({name: ours[name] for name in _OF_THIS_RUN})
        whole["seconds_restore"] = tiles.seconds_restore
        columns_of(whole).update(joined_trust(tiles.trust_maps, tiles.trusts, whole, self.settings))
        whole["seconds_trust"] = tiles.seconds_trust or None
        with ExitStack() as stack:
            source = self._open(stack, whole)
            whole["seconds_tile"] = time.monotonic() - started
            bands = self._measured(whole, tiles, source)
            done = publish_bands(whole, bands, tiles.shape, tiles.dtype, self.output, self.settings)
        self.output.remove_folder(parts_folder(parts_key(row)))
        yield done

    def _bound(self, row: Row) -> Row:
        """All pages of one file, joined where they are cut, and bound together."""
        source: list[bytes] = []  # read once, and only if a page was cut

        def pixels_of(page: Page, page_row: Row) -> np.ndarray:
            if page.tiles == 1:
                with part_errors(self.output, page_row), OpenPart(self.output, parts_key(row), page.first) as part:
                    return part.rows(part.shape[0])
            tiles = JoinedTiles(self.output, page_row, self.settings, first=page.first, count=page.tiles)
            if not source:
                source.append(self.source.read(row["source_path"]))
            assert page_row["page"] is not None
            columns_of(page_row).update(joined_trust(tiles.trust_maps, tiles.trusts, page_row, self.settings))
            scan = self._scan(row, source[0], page_row["page"][0])
            return whole_of(self._measured(page_row, tiles, scan), tiles.shape, tiles.dtype)

        done = bind_pages(row, self.output, self.settings, pixels_of)
        self.output.remove_folder(parts_folder(parts_key(row)))
        return done

    def _scan(self, row: Row, data: bytes, number: int) -> np.ndarray:
        """The pixels of a page of the source, or of its only picture."""
        path, limits = row["source_path"], limits_of(self.settings)
        found = list_pages(data) if row["media_format"] == "TIFF" else None
        keep = self.settings.damaged == "restore"
        if found and found.pages:
            return decode_page(data, path, limits, found, number, keep_damaged=keep).pixels
        return decode(data, path, limits, keep_damaged=keep).pixels

    def _open(self, stack: ExitStack, row: Row) -> np.ndarray | RegionPhoto:
        """The pixels of the source once more: of a giant by region."""
        path = row["source_path"]
        with reading_source(path):
            source: np.ndarray | RegionPhoto | None = None
            if row["source_state"]:  # of giants alone, when they were hashed
                source = stack.enter_context(open_giant(self.source, path, self.settings))
            if source is None:
                source = self._scan(row, self.source.read(path), 0)
        if source.shape != (row["height"], row["width"], row["channels"]):
            raise changed(path)
        return source

    def _measured(self, row: Row, tiles: JoinedTiles, source: np.ndarray | RegionPhoto) -> Iterator[np.ndarray]:
        """The photograph's bands as they are. At the end the row says how consistent they are with the source, which is
        enlarged a band at a time, and has the seconds of all that."""
        height, width, channels = tiles.shape
        colours, factor = 1 if channels < 3 else 3, self.settings.upscale
        counted, strip = undamaged(row["damage_mask"]), None
        rows = factor * max(1, min(_STRIP, _STRIP_VALUES // (factor * width * colours)))
        comparison = Consistency(height // factor, width // factor, factor)
        seconds, top = 0.0, 0
        for band in _timed(strips_of(tiles.bands(), tiles.shape, rows), row):
            started = time.monotonic()
            lq = enlarge(source, height, width, Rect(top, 0, len(band), width))[..., :colours]
            if counted is not None:
                strip = counted[top // factor : (top + len(band)) // factor]
            comparison.add(to_unit_float(band[..., :colours]), lq, strip)
            top += len(band)
            seconds += time.monotonic() - started
            yield band
        row.update(comparison.measures())
        row["seconds_tile"] = (row["seconds_tile"] or 0.0) + seconds


def _timed(bands: Iterator[np.ndarray], row: Row) -> Iterator[np.ndarray]:
    """The same; the seconds that each takes go to the row."""
    started = time.monotonic()
    for band in bands:
        row["seconds_tile"] = (row["seconds_tile"] or 0.0) + time.monotonic() - started
        yield band
        started = time.monotonic()
