"""How far a result can be trusted: nano says so of itself by its error network, others by how far their seeds disagree."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from faithdiff_model.image.windows import TilePlacement
from faithdiff_model.presets import PRESETS
from faithdiff_model.trust.shipped import CELL
from pipelines.media.photo.trust_map import pooled, pooling, read_trust_map, write_trust_map
from pipelines.rows import Row, new_row
from pipelines.settings import Settings
from pipelines.stages.seeds import disagreement
from pipelines.stages.tiling import tile_places

if TYPE_CHECKING:
    from faithdiff_model.restorer import Restorer
    from faithdiff_model.trust.estimate import ErrorEstimator
    from pipelines.stages.replica import FittingRestorer

__all__ = ["TrustStage", "joined_trust", "mean_trust", "trust_of_band"]

HALVED = 0.1  # of white: by so much wider a band, trust is half as high
BY_NETWORK = "error network"


def trust_of_band(band: float) -> float:
    """The column `trust` of a mean band, a share of white: 1 for none, a half for a tenth of it, a quarter for two."""
    return float(2 ** (-band / HALVED))


class TrustStage:
    """What the stage `restore` knows of its own results' trust.

    Args:
        settings: whether and how.
        fitting: the replica.
    """

    def __init__(self, settings: Settings, fitting: FittingRestorer) -> None:
        self._settings = settings
        self._network = _network_for(settings, fitting.now)
        self._fitting, self._seeds = fitting, settings.trust_seeds if settings.trust != "off" else 0

    def measured(
        self, row: Row, lq: np.ndarray, restored: np.ndarray, place: TilePlacement | None
    ) -> dict[str, object]:
        """Columns of a row: trust, by what, the map, and the seconds; none of them where nothing speaks for the model.

        Args:
            row: of the photograph or tile.
            lq: the enlarged scan, of the result's size.
            restored: the result, of a tile its core.
            place: of a tile, which always gets its part of the map, as its photograph's trust is worked out of that.
        """
        started = time.monotonic()
        if self._seeds:
            share = self._settings.trust_share
            band = disagreement(self._fitting.now, lq, row["prompt"], row["seed"], self._seeds, share)
            by = f"{self._seeds} seeds on {share:.0%} of the windows"
            return {
                "trust": trust_of_band(band),
                "trust_source": by,
                "seconds_trust": time.monotonic() - started,
            }
        if self._network is None:
            return {}
        bands = self._network.bands(lq, restored)
        height, width = (place.original_height, place.original_width) if place else restored.shape[:2]
        found: dict[str, object] = {"trust": trust_of_band(float(bands.mean())), "trust_source": BY_NETWORK}
        if self._settings.trust == "map" or place:
            found["trust_map"] = write_trust_map(pooled(bands, pooling(height, width, CELL)))
        return {**found, "seconds_trust": time.monotonic() - started}


def joined_trust(
    maps: Sequence[bytes | None], trusts: Sequence[float | None], row: Row, settings: Settings
) -> dict[str, object]:
    """Trust and map of a photograph of several tiles, as columns; empty where one has none, as those of earlier versions.

    Args:
        maps, trusts: of the tiles in their order.
        row: of the photograph.
        settings: how it was cut.
    """
    parts = [read_trust_map(each) for each in maps if each]
    places = tile_places(row["width"], row["height"], settings)
    height, width = row["output_height"], row["output_width"]
    if len(parts) < len(maps):
        cores = [place.tile.core for place in places]
        known = [
            new_row(trust=each, height=core.height, width=core.width) for each, core in zip(trusts, cores, strict=True)
        ]
        trust = mean_trust(known)
        return {"trust": trust, "trust_source": None if trust is None else row["trust_source"], "trust_map": None}
    cell = CELL * pooling(height, width, CELL)
    bands = np.zeros((-(-height // cell), -(-width // cell)), np.float32)
    for part, place in zip(parts, places, strict=True):
        core = place.tile.core.scaled(PRESETS[settings.preset].pixels_per_latent)
        top, left = core.top // cell, core.left // cell
        area = bands[top : top + part.shape[0], left : left + part.shape[1]]
        area[:] = part[: area.shape[0], : area.shape[1]]
    wanted = settings.trust == "map"
    return {
        "trust": trust_of_band(float(bands.mean())),
        "trust_source": row["trust_source"],
        "trust_map": write_trust_map(bands) if wanted else None,
    }


def mean_trust(rows: Sequence[Row]) -> float | None:
    """Trust of several pages as of one picture, by their mean band; None where a page has none.

    Args:
        rows: of the pages.
    """
    known = [(row["trust"], row["width"] * row["height"]) for row in rows]
    bands = [-HALVED * math.log2(trust) * size for trust, size in known if trust]
    return trust_of_band(sum(bands) / sum(size for _, size in known)) if len(bands) == len(known) > 0 else None


def _network_for(settings: Settings, restorer: Restorer) -> ErrorEstimator | None:
    """The error network, if it was trained on the errors of these weights, sampled as they are by default."""
    from faithdiff_model.trust.estimate import ErrorEstimator

    plain = settings.grain == "reduce" and restorer.options.scan_share == 0 and restorer.options.colour_fix == "none"
    if settings.trust == "off" or not plain or not restorer.config.one_step or not restorer.trained:
        return None
    network = ErrorEstimator.load(device=restorer.device)
    return network if network.speaks_for(restorer.digest) else None
