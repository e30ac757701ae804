"""Join the durable tiles of one photograph, fix its colours as a whole, and publish it. Row in, final row out (1:1)."""

from __future__ import annotations

import functools
import operator
import time
from collections.abc import Iterator
from typing import ClassVar

import numpy as np

from faithdiff_model.image.resize import enlarge, from_unit_float, to_grey, to_unit_float
from faithdiff_model.image.windows import Rect
from faithdiff_model.presets import PRESETS
from pipelines.errors import ItemError
from pipelines.media.limits import limits_of
from pipelines.media.photo.decode import decode
from pipelines.rows import Row, columns_of
from pipelines.settings import Settings
from pipelines.stages.faithfulness import psnr_db, squared_error, undamaged
from pipelines.stages.publish import publish_result
from pipelines.stages.tile_parts import PartStatistics, read_part
from pipelines.stages.tiling import tile_places
from pipelines.store.layout import parts_folder
from pipelines.store.stores import stores_of

__all__ = ["Stitch"]

# What the photograph's row has from this run, and not from that which made its first tile.
_OF_THIS_RUN = ("run_id", "flow_run_id", "attempt", "output_path", "output_uri")
_STRIP = 512  # source rows compared at a time


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
        count, key = row["parts"], row["identity"]
        try:
            tiles = [read_part(self.output, key, number) for number in range(count)]
        except OSError as error:
            reason = f"{row['source_path']}: a restored tile is missing ({type(error).__name__}); run again"
            raise ItemError("write_error", reason) from error
        except Exception as error:  # a damaged archive: zip, zlib, JSON and numpy each complain in their own way
            self.output.remove_folder(parts_folder(key))  # else the next run would take the tile for done again
            reason = f"{row['source_path']}: a restored tile is damaged ({type(error).__name__}), all were removed; run again"
            raise ItemError("write_error", reason) from error
        seconds = sum(part["seconds_restore"] or 0.0 for _, _, part in tiles)
        whole = tiles[0][2]
        ours = columns_of(row)
        columns_of(whole).update({name: ours[name] for name in _OF_THIS_RUN})
        cores = [core for core, _, _ in tiles]
        pixels = self._join(whole, cores, [statistics for _, statistics, _ in tiles])
        whole["seconds_restore"] = seconds
        whole["lq_psnr_db"] = self._faithfulness(whole, pixels)
        whole["seconds_tile"] = time.monotonic() - started
        done = publish_result(whole, pixels, self.output, self.settings)
        self.output.remove_folder(parts_folder(key))
        yield done

    def _join(self, row: Row, cores: list[np.ndarray], statistics: list[PartStatistics]) -> np.ndarray:
        """The whole photograph in the source's layout and depth; in 16 bits if a tone curve is still to be applied."""
        channels = row["channels"]
        dtype = np.dtype(np.uint16 if row["bit_depth"] == 16 or row["tone_curve"] else np.uint8)
        pixels = np.empty((row["output_height"], row["output_width"], channels), dtype)
        scale = PRESETS[self.settings.preset].pixels_per_latent
        lq = functools.reduce(operator.add, (item.lq for item in statistics))
        restored = functools.reduce(operator.add, (item.restored for item in statistics))
        gain, offset = (values.astype(np.float32) for values in restored.transfer_to(lq))
        for place, core in zip(tile_places(row["width"], row["height"], self.settings), cores, strict=True):
            values = to_unit_float(core)
            if self.settings.restore_options(1).colour_fix == "adain":
                values[..., :3] = values[..., :3] * gain + offset
            colour = to_grey(values[..., :3]) if channels < 3 else values[..., :3]
            joined = np.concatenate([colour, values[..., 3:]], axis=2)
            top, left = place.tile.core.top * scale, place.tile.core.left * scale
            pixels[top : top + core.shape[0], left : left + core.shape[1]] = from_unit_float(joined, dtype)
        return pixels

    def _faithfulness(self, row: Row, pixels: np.ndarray) -> float | None:
        """PSNR against the source, which is read and decoded once more, strip by strip."""
        settings = self.settings
        source = decode(self.source.read(row["source_path"]), row["source_path"], limits_of(settings)).pixels
        colours = 1 if row["channels"] < 3 else 3
        factor, (height, width) = settings.upscale, pixels.shape[:2]
        counted, strip = undamaged(row["damage_mask"]), None
        error, count = 0.0, 0
        for top in range(0, height, _STRIP * factor):
            rows = min(_STRIP * factor, height - top)
            lq = enlarge(source[..., :colours], height, width, Rect(top, 0, rows, width))
            if counted is not None:
                strip = counted[top // factor : (top + rows) // factor]
            part = squared_error(to_unit_float(pixels[top : top + rows, :, :colours]), lq, factor, strip)
            error, count = error + part[0], count + part[1]
        return psnr_db(error, count)
