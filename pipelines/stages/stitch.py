"""Join the durable tiles of one photograph, fix its colours as a whole, and publish it. Row in, final row out (1:1)."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import ClassVar

import numpy as np

from faithdiff_model.image.resize import enlarge, to_unit_float
from faithdiff_model.image.windows import Rect
from pipelines.media.limits import limits_of
from pipelines.media.photo.decode import decode
from pipelines.media.photo.tiff_writer import strips_of
from pipelines.rows import Row, columns_of
from pipelines.settings import Settings
from pipelines.stages.faithfulness import psnr_db, squared_error, undamaged
from pipelines.stages.joining import JoinedTiles
from pipelines.stages.publish import publish_bands
from pipelines.store.layout import parts_folder
from pipelines.store.stores import stores_of

__all__ = ["Stitch"]

# What the photograph's row has from this run, and not from that which made its first tile.
_OF_THIS_RUN = ("run_id", "flow_run_id", "attempt", "output_path", "output_uri")
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
        started = time.monotonic()
        tiles = JoinedTiles(self.output, row, self.settings)
        whole, ours = tiles.row, columns_of(row)
        columns_of(whole).update({name: ours[name] for name in _OF_THIS_RUN})
        whole["seconds_restore"] = tiles.seconds_restore
        source = decode(self.source.read(row["source_path"]), row["source_path"], limits_of(self.settings)).pixels
        whole["seconds_tile"] = time.monotonic() - started
        bands = self._measured(whole, tiles, source)
        done = publish_bands(whole, bands, tiles.shape, tiles.dtype, self.output, self.settings)
        self.output.remove_folder(parts_folder(row["identity"]))
        yield done

    def _measured(self, row: Row, tiles: JoinedTiles, source: np.ndarray) -> Iterator[np.ndarray]:
        """The photograph's bands as they are. At the end the row has its PSNR against the source, which is enlarged a band at a
        time, and the seconds of all that."""
        height, width, channels = tiles.shape
        colours, factor = 1 if channels < 3 else 3, self.settings.upscale
        counted, strip = undamaged(row["damage_mask"]), None
        rows = factor * max(1, min(_STRIP, _STRIP_VALUES // (factor * width * colours)))
        seconds, error, count, top = 0.0, 0.0, 0, 0
        for band in _timed(strips_of(tiles.bands(), tiles.shape, rows), row):
            started = time.monotonic()
            lq = enlarge(source[..., :colours], height, width, Rect(top, 0, len(band), width))
            if counted is not None:
                strip = counted[top // factor : (top + len(band)) // factor]
            part = squared_error(to_unit_float(band[..., :colours]), lq, factor, strip)
            error, count, top = error + part[0], count + part[1], top + len(band)
            seconds += time.monotonic() - started
            yield band
        row["lq_psnr_db"] = psnr_db(error, count)
        row["seconds_tile"] = (row["seconds_tile"] or 0.0) + seconds


def _timed(bands: Iterator[np.ndarray], row: Row) -> Iterator[np.ndarray]:
    """The same; the seconds that each takes go to the row."""
    started = time.monotonic()
    for band in bands:
        row["seconds_tile"] = (row["seconds_tile"] or 0.0) + time.monotonic() - started
        yield band
        started = time.monotonic()
