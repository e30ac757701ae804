"""Durable parts: restored tiles of large photographs, kept in the output store until their photograph is assembled.

A part is a numpy archive: the tile's core as uint16 over [0, 1] (a 131,070th of white is its largest rounding), what its
photograph's colour fix needs of it, and the row, so that assembly needs nothing else. The first one holds the mask of the whole
photograph's damage.
"""

from __future__ import annotations

import io
import json
from dataclasses import asdict
from datetime import datetime
from typing import NamedTuple

import numpy as np

from faithdiff_model.image.colour_statistics import ColourStatistics
from pipelines.rows import MANIFEST_SCHEMA, Row, columns_of, whole_row
from pipelines.store.layout import parts_folder
from pipelines.store.store import Store

__all__ = ["PartStatistics", "has_part", "part_path", "read_part", "write_part"]

_BYTES = ("icc_profile", "damage_mask")
_KEPT = (*MANIFEST_SCHEMA.names, "part", "dpi", *_BYTES)


class PartStatistics(NamedTuple):
    """Colour statistics of a tile's core: before restoring and after."""

    lq: ColourStatistics
    restored: ColourStatistics

    def to_json(self) -> str:
        return json.dumps([asdict(self.lq), asdict(self.restored)])

    @classmethod
    def from_json(cls, text: str) -> PartStatistics:
        lq, restored = (
            ColourStatistics(item["count"], tuple(item["total"]), tuple(item["squares"])) for item in json.loads(text)
        )
        return cls(lq, restored)


def part_path(identity: str, number: int) -> str:
    return f"{parts_folder(identity)}/{number:05d}.npz"


def has_part(store: Store, identity: str, number: int) -> bool:
    return store.exists(part_path(identity, number))


def write_part(store: Store, row: Row, core_HWC: np.ndarray, statistics: str) -> None:
    """Publish a tile.

    Args:
        store: the output store.
        row: its row.
        core_HWC: uint16 over [0, 1], [h, w, 3 or 4].
        statistics: `PartStatistics` as JSON.
    """
    assert core_HWC.dtype == np.uint16, core_HWC.dtype
    columns = columns_of(row)
    record = {name: columns[name] for name in _KEPT if name not in _BYTES}
    text = json.dumps(record, default=datetime.isoformat)
    buffer = io.BytesIO()
    np.savez_compressed(
        buffer,
        core=core_HWC,
        statistics=np.array(statistics),
        record=np.array(text),
        icc_profile=np.frombuffer(row["icc_profile"] or b"", np.uint8),
        damage_mask=np.frombuffer(row["damage_mask"] or b"", np.uint8),
    )
    store.publish(part_path(row["identity"], row["part"]), buffer.getvalue())


def read_part(store: Store, identity: str, number: int) -> tuple[np.ndarray, PartStatistics, Row]:
    """A tile: its core (uint16 over [0, 1]), statistics, and row. Raises OSError or ValueError."""
    with np.load(io.BytesIO(store.read(part_path(identity, number))), allow_pickle=False) as archive:
        record = json.loads(str(archive["record"]))
        row = whole_row({**record, "started_at": datetime.fromisoformat(record["started_at"])})
        row["icc_profile"] = archive["icc_profile"].tobytes() or None
        if "damage_mask" in archive:  # parts of an earlier version have none
            row["damage_mask"] = archive["damage_mask"].tobytes() or None
        return archive["core"], PartStatistics.from_json(str(archive["statistics"])), row
