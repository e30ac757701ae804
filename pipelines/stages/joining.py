"""The durable tiles of a photograph as bands of rows from top to bottom, its colours fixed as a whole. Never held whole."""

from __future__ import annotations

import functools
import operator
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import groupby

import numpy as np

from faithdiff_model.image.resize import from_unit_float, to_grey, to_unit_float
from faithdiff_model.image.windows import TilePlacement
from faithdiff_model.presets import PRESETS
from pipelines.rows import Row, parts_key
from pipelines.settings import Settings
from pipelines.stages.tile_parts import OpenPart, part_errors
from pipelines.stages.tiling import tile_places
from pipelines.store.store import Store

__all__ = ["JoinedTiles"]

_BAND_VALUES = 1 << 22  # samples that are joined at a time


class JoinedTiles:
    """A photograph's tiles, one beside and below the other.

    Args:
        store: the output store.
        waiting: the row of any of its tiles.
        settings: all settings.
        first, count: which parts of the item they are; by default all.

    Attributes:
        row: of its first tile.
        seconds_restore, seconds_trust: of all tiles.
        trust_maps, trusts: of each tile its part of the map of trust and its figure, or None.
        shape: rows, columns and channels of the whole.
        dtype: the source's, uint8 or uint16; uint16 if a tone curve is still to be applied.

    Raises:
        ItemError: a tile is missing or damaged. Damaged ones are removed, as the next run would take them for done.
    """

    def __init__(
        self, store: Store, waiting: Row, settings: Settings, *, first: int = 0, count: int | None = None
    ) -> None:
        self._store, self._settings, self._key, self._first = store, settings, parts_key(waiting), first
        self.row = waiting
        # From an object store each tile is fetched once: it stays open, as a file on this machine, until its rows are joined.
        self._fetched: dict[int, OpenPart] = {}
        statistics, self.seconds_restore, self.seconds_trust = [], 0.0, 0.0
        self.trust_maps: list[bytes | None] = []
        self.trusts: list[float | None] = []
        with part_errors(self._store, self.row):
            for number in range(first, first + (count or waiting["parts"])):
                with ExitStack() as stack:
                    part = stack.enter_context(OpenPart(store, self._key, number))
                    row = part.row()
                    statistics.append(part.statistics())
                    if not store.local:
                        self._fetched[number] = part
                        stack.pop_all()
                if number == first:
                    self.row = row
                self.seconds_restore += row["seconds_restore"] or 0.0
                self.seconds_trust += row["seconds_trust"] or 0.0
                self.trust_maps.append(row["trust_map"])
                self.trusts.append(row["trust"])
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
        for top, across in groupby(enumerate(places, self._first), lambda item: item[1].tile.core.top):
            beside: list[tuple[int, TilePlacement]] = list(across)
            bottom = min(beside[0][1].tile.core.bottom * scale, height)
            with ExitStack() as stack:
                with part_errors(self._store, self.row):
                    parts = [stack.enter_context(self._part(number)) for number, _ in beside]
                for first in range(top * scale, bottom, step):
                    band = np.empty((min(step, bottom - first), width, channels), self.dtype)
                    for part, (_, place) in zip(parts, beside, strict=True):
                        with part_errors(self._store, self.row):
                            core = part.rows(len(band))
                        left = place.tile.core.left * scale
                        band[:, left : left + core.shape[1]] = self._finished(core)
                    yield band

    def _part(self, number: int) -> OpenPart:
        return self._fetched.pop(number, None) or OpenPart(self._store, self._key, number)

    def _finished(self, core: np.ndarray) -> np.ndarray:
        """Restored rows of a tile as the photograph has them."""
        values, channels = to_unit_float(core), self.shape[2]
        if self._fixes:
            values[..., :3] = values[..., :3] * self._gain + self._offset
        colour = to_grey(values[..., :3]) if channels < 3 else values[..., :3]
        return from_unit_float(np.concatenate([colour, values[..., 3:]], axis=2), self.dtype)
