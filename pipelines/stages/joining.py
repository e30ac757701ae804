"""The durable tiles of a photograph as bands of rows from top to bottom, its colours fixed as a whole. Never held whole."""

from __future__ import annotations

import functools
import operator
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import groupby

import numpy as np

from faithdiff_model.image.resize import from_unit_float, to_grey, to_unit_float
from faithdiff_model.image.windows import TilePlacement
from faithdiff_model.presets import PRESETS
from pipelines.errors import ItemError
from pipelines.rows import Row
from pipelines.settings import Settings
from pipelines.stages.tile_parts import OpenPart
from pipelines.stages.tiling import tile_places
from pipelines.store.layout import parts_folder
from pipelines.store.store import Store

__all__ = ["JoinedTiles"]

_BAND_VALUES = 1 << 22  # samples that are joined at a time


class JoinedTiles:
    """A photograph's tiles, one beside and below the other.

    Args:
        store: the output store.
        waiting: the row of any of its tiles.
        settings: all settings.

    Attributes:
        row: of its first tile.
        seconds_restore: of all tiles.
        shape: rows, columns and channels of the whole.
        dtype: the source's, uint8 or uint16; uint16 if a tone curve is still to be applied.

    Raises:
        ItemError: a tile is missing or damaged. Damaged ones are removed, as the next run would take them for done.
    """

    def __init__(self, store: Store, waiting: Row, settings: Settings) -> None:
        self._store, self._settings, self._identity = store, settings, waiting["identity"]
        self._path = waiting["source_path"]
        statistics, self.seconds_restore = [], 0.0
        with self._reading():
            for number in range(waiting["parts"]):
                with OpenPart(store, self._identity, number) as part:
                    row = part.row()
                    statistics.append(part.statistics())
                if not number:
                    self.row = row
                self.seconds_restore += row["seconds_restore"] or 0.0
        lq = functools.reduce(operator.add, (item.lq for item in statistics))
        restored = functools.reduce(operator.add, (item.restored for item in statistics))
        self._gain, self._offset = (values.astype(np.float32) for values in restored.transfer_to(lq))
        self._fixes = settings.restore_options(1).colour_fix == "adain"
        row = self.row
        self.shape = row["output_height"], row["output_width"], row["channels"]
        self.dtype = np.dtype(np.uint16 if row["bit_depth"] == 16 or row["tone_curve"] else np.uint8)

    def bands(self) -> Iterator[np.ndarray]:
        """Rows of the photograph, [h, W, C] of `dtype`, from top to bottom. Raises as the constructor."""
        places = tile_places(self.row["width"], self.row["height"], self._settings)
        scale = PRESETS[self._settings.preset].pixels_per_latent
        height, width, channels = self.shape
        step = max(1, _BAND_VALUES // (width * channels))
        for top, across in groupby(enumerate(places), lambda item: item[1].tile.core.top):
            beside: list[tuple[int, TilePlacement]] = list(across)
            bottom = min(beside[0][1].tile.core.bottom * scale, height)
            with ExitStack() as stack:
                with self._reading():
                    parts = [stack.enter_context(OpenPart(self._store, self._identity, number)) for number, _ in beside]
                for first in range(top * scale, bottom, step):
                    band = np.empty((min(step, bottom - first), width, channels), self.dtype)
                    for part, (_, place) in zip(parts, beside, strict=True):
                        with self._reading():
                            core = part.rows(len(band))
                        left = place.tile.core.left * scale
                        band[:, left : left + core.shape[1]] = self._finished(core)
                    yield band

    def _finished(self, core: np.ndarray) -> np.ndarray:
        """Restored rows of a tile as the photograph has them."""
        values, channels = to_unit_float(core), self.shape[2]
        if self._fixes:
            values[..., :3] = values[..., :3] * self._gain + self._offset
        colour = to_grey(values[..., :3]) if channels < 3 else values[..., :3]
        return from_unit_float(np.concatenate([colour, values[..., 3:]], axis=2), self.dtype)

    @contextmanager
    def _reading(self) -> Iterator[None]:
        """Turn what reading tiles raises into one line."""
        try:
            yield
        except OSError as error:
            reason = f"{self._path}: a restored tile is missing ({type(error).__name__}); run again"
            raise ItemError("write_error", reason) from error
        except Exception as error:  # a damaged archive: zip, zlib, JSON and numpy each complain in their own way
            self._store.remove_folder(parts_folder(self._identity))  # else the next run would take the tile for done
            reason = f"{self._path}: a restored tile is damaged ({type(error).__name__}), all were removed; run again"
            raise ItemError("write_error", reason) from error
