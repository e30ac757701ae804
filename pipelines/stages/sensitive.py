"""Faces and text of a photograph as a column: where they are, and how far the result can be trusted there."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from pipelines.media.photo.trust_map import read_trust_map
from pipelines.rows import Row
from pipelines.stages.trust import trust_of_band

__all__ = ["found_in", "joined_sensitive", "with_trust"]

_DIGITS = 4  # of shares


def found_in(pixels_HWC: np.ndarray) -> str:
    """Faces and text of a scan, as JSON: for each kind `regions` (how many), `share` (of the area, of all its boxes) and
    `boxes` (left, top, right and bottom as shares of width and height). What was not looked for stands in `missing`."""
    from faithdiff_model.trust.sensitive import find_sensitive  # loads what finds them, which only this stage needs

    found = find_sensitive(pixels_HWC)
    told: dict[str, Any] = {
        kind: {
            "regions": len(regions),
            "share": round(sum(region.share for region in regions), _DIGITS),
            "boxes": [[round(side, _DIGITS) for side in region] for region in regions],
        }
        for kind, regions in found.regions.items()
    }
    return json.dumps(told | ({"missing": found.missing} if found.missing else {}), sort_keys=True)


def with_trust(row: Row) -> str | None:
    """The column `sensitive` with the trust of each kind's boxes (`trust`, the mean band's), where the row has a map."""
    if not row["sensitive"] or not row["trust_map"]:
        return row["sensitive"]
    told, bands = json.loads(row["sensitive"]), read_trust_map(row["trust_map"])
    height, width = bands.shape
    for kind in told.keys() - {"missing"}:
        cells = np.zeros(bands.shape, bool)
        for left, top, right, bottom in told[kind]["boxes"]:
            rows = slice(int(top * height), max(int(top * height) + 1, round(bottom * height)))
            cells[rows, int(left * width) : max(int(left * width) + 1, round(right * width))] = True
        told[kind]["trust"] = trust_of_band(float(bands[cells].mean()))
    return json.dumps(told, sort_keys=True)


def joined_sensitive(rows: Sequence[Row]) -> str | None:
    """The column of several pages: for each kind how many regions on which pages, from 1; None where no page was searched.

    Args:
        rows: of the pages.
    """
    if all(row["sensitive"] is None for row in rows):
        return None
    joined: dict[str, Any] = {}
    for number, row in enumerate(rows, 1):
        for kind, found in json.loads(row["sensitive"] or "{}").items():
            if kind == "missing":
                joined["missing"] = found
            else:
                of_kind = joined.setdefault(kind, {"regions": 0, "pages": []})
                of_kind["regions"] += found["regions"]
                of_kind["pages"].append(number)
    return json.dumps(joined, sort_keys=True)
