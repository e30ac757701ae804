"""Restore photographs and tiles by a replica of the model. Rows with LQ pixels in, rows with restored pixels out (1:1)."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from faithdiff_model.image.colour_statistics import ColourStatistics
from faithdiff_model.image.resize import from_unit_float, to_unit_float
from faithdiff_model.image.windows import TilePlacement
from pipelines.errors import ItemError
from pipelines.manifest.identity import software_versions
from pipelines.rows import Row, columns_of, get_pixels, put_pixels
from pipelines.settings import Settings
from pipelines.stages.adapter import describe
from pipelines.stages.consistency import Consistency
from pipelines.stages.faithfulness import undamaged
from pipelines.stages.replica import FittingRestorer, ReplicaLoader
from pipelines.stages.tile_parts import PartStatistics
from pipelines.stages.tiling import tile_places
from pipelines.stages.trust import TrustStage

if TYPE_CHECKING:
    from faithdiff_model.restorer import Restorer

__all__ = ["Restore"]


class Restore:
    """The stage, with one replica.

    Args:
        settings: model, sampling and tiles.
        threads: CPU threads of the replica; 0 leaves torch's choice.
        digest: of the model that the run was planned with; empty is not compared.
        loader: of a replica that other stages of the process restore by, too; used instead of `threads` and `digest`.

    Raises:
        WeightsError: this node's weights are missing or others.
    """

    name: ClassVar[str] = "restore"
    fallback_code: ClassVar[str] = "restore_error"

    def __init__(
        self, settings: Settings, threads: int = 0, digest: str = "", loader: ReplicaLoader | None = None
    ) -> None:
        replica = (loader or ReplicaLoader(settings, threads, digest)).load()
        self.settings, self.device = settings, replica.device
        self.fitting = FittingRestorer(replica)
        self.trust = TrustStage(settings, self.fitting)

    @property
    def restorer(self) -> Restorer:
        """The model, as memory allows."""
        return self.fitting.now

    def core(self, row: Row) -> Iterator[Row]:
        """Restore one row.

        Raises:
            ItemError: `out_of_memory`, where nothing smaller can be made of it. Windows and placement were not the reason
                then, and the rows that follow get them as at first.
        """
        import torch  # the driver imports this module too, and has no use for it

        try:
            self.core_batch([row])
        except Exception as error:
            self.fitting.reset()
            if isinstance(error, torch.OutOfMemoryError):
                raise ItemError("out_of_memory", describe(error, row)) from error
            raise
        yield row

    def core_batch(self, rows: list[Row]) -> list[Row]:
        """Restore rows together. Raises what the model raises, and leaves the rows as they were.

        Out of memory, fewer windows share a UNet call, down to one, and then parts of the network leave the device while they
        do not compute; what fits then is used for the rows that follow, too.
        """
        seconds = self._restore_in_memory(rows)
        for row in rows:
            row["seconds_restore"] = seconds / len(rows)
            row["device"] = self.device
            row["software"] = software_versions()
            row["model_preset"] = self.settings.preset
            row["model_trained"] = self.restorer.trained
            row["warnings"] = [*row["warnings"], *self.fitting.warnings()]
        return rows

    def _restore_in_memory(self, rows: list[Row]) -> float:
        """Restore rows with as many windows in a call as the device's memory takes; the seconds that it took in the end."""
        import torch

        while True:
            started = time.monotonic()
            try:
                self._restore(rows)
            except torch.OutOfMemoryError:
                if not self.fitting.shrink():
                    raise
            else:
                return time.monotonic() - started

    def _restore(self, rows: list[Row]) -> None:
        images = [get_pixels(row) for row in rows]
        at = [self._place(row) for row in rows]
        prompts, seeds = [row["prompt"] for row in rows], [row["seed"] for row in rows]
        masks = [_filled(row) for row in rows]
        results = self.restorer.restore(images, prompts, seeds, at, masks=masks)
        # All results before any row changes: rows that are tried again must still hold the scan.
        changed = [self._changed(*each) for each in zip(rows, images, results, at, strict=True)]
        for row, change in zip(rows, changed, strict=True):
            row.update(change)

    def _changed(self, row: Row, lq: np.ndarray, restored: np.ndarray, place: TilePlacement | None) -> Row:
        """A row as restoring it makes it."""
        change = row.copy()
        if place is None:
            upscale = self.settings.upscale
            comparison = Consistency(lq.shape[0] // upscale, lq.shape[1] // upscale, upscale)
            comparison.add(_colour(restored), _colour(lq), undamaged(row["damage_mask"]))
            change.update(comparison.measures())
            columns_of(change).update(self.trust.measured(row, lq, restored, place))
            put_pixels(change, restored)
        else:
            inside = self._inside(lq, restored, place)
            statistics = PartStatistics(*(ColourStatistics.of(_rgb_planes(each)) for each in (inside, restored)))
            change["statistics"] = statistics.to_json()
            columns_of(change).update(self.trust.measured(row, inside, restored, place))
            put_pixels(change, from_unit_float(restored, np.dtype(np.uint16)))
        return change

    def _place(self, row: Row) -> TilePlacement | None:
        if row["parts"] == 1:
            return None
        places = tile_places(row["width"], row["height"], self.settings)
        # A page of one tile is restored as the photograph that it is.
        return places[row["part"] - (row["page"][1] if row["page"] else 0)] if len(places) > 1 else None

    def _inside(self, lq: np.ndarray, restored: np.ndarray, place: TilePlacement) -> np.ndarray:
        """Of the scan of a tile's region what its core is of."""
        core = place.tile.core.within(place.tile.region).scaled(self.restorer.config.pixels_per_latent)
        return lq[core.top : core.top + restored.shape[0], core.left : core.left + restored.shape[1]]


def _filled(row: Row) -> np.ndarray | None:
    """Where a part's pixels were filled, bool [H, W]; None where they were not."""
    if not row["filled_mask"]:
        return None
    height, width = row["pixels_shape"][:2]
    bits = np.unpackbits(np.frombuffer(row["filled_mask"], np.uint8), count=height * width)
    return bits.reshape(height, width).astype(bool)


def _colour(pixels_HWC: np.ndarray) -> np.ndarray:
    """Without alpha, float32 in [0, 1]."""
    return to_unit_float(pixels_HWC[..., :1] if pixels_HWC.shape[2] < 3 else pixels_HWC[..., :3])


def _rgb_planes(pixels_HWC: np.ndarray) -> np.ndarray:
    colour = _colour(pixels_HWC)
    return np.broadcast_to(colour, (*colour.shape[:2], 3)).transpose(2, 0, 1)
