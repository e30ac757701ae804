"""Durable parts: restored tiles of large photographs, kept in the output store until their photograph is assembled.

A part is a numpy archive: the tile's core as uint16 over [0, 1] (a 131,070th of white is its largest rounding), what its
photograph's colour fix needs of it, and the row, so that assembly needs nothing else. The first one holds the mask of the whole
photograph's damage, its metadata and its extra channels. The pages of a file are parts, too, each of one tile or of several.
"""

from __future__ import annotations

import io
import json
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import asdict
from datetime import datetime
from typing import IO, BinaryIO, NamedTuple, cast

import numpy as np

from faithdiff_model.image.colour_statistics import ColourStatistics
from pipelines.errors import ItemError
from pipelines.rows import MANIFEST_SCHEMA, Row, columns_of, parts_key, whole_row
from pipelines.store.large_files import seekable
from pipelines.store.layout import parts_folder
from pipelines.store.store import Store

__all__ = ["OpenPart", "PartStatistics", "has_part", "part_errors", "part_path", "read_part", "write_part"]

_BYTES = ("icc_profile", "damage_mask", "extra_pixels", "metadata_blocks", "trust_map")
_KEPT = (*MANIFEST_SCHEMA.names, "part", "page", "dpi", "source_state", *_BYTES)


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


def part_path(key: str, number: int) -> str:
    return f"{parts_folder(key)}/{number:05d}.npz"


def has_part(store: Store, key: str, number: int) -> bool:
    return store.exists(part_path(key, number))


def write_part(store: Store, row: Row, core_HWC: np.ndarray, statistics: str) -> None:
    """Publish a tile.

    Args:
        store: the output store.
        row: its row.
        core_HWC: uint16 over [0, 1], [h, w, 3 or 4]; of a page that is in one piece its pixels as they are.
        statistics: `PartStatistics` as JSON; empty for a page that is in one piece.
    """
    assert core_HWC.dtype == np.uint16 or not statistics, core_HWC.dtype
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
        extra_pixels=np.frombuffer(row["extra_pixels"] or b"", np.uint8),
        metadata_blocks=np.frombuffer(row["metadata_blocks"] or b"", np.uint8),
        trust_map=np.frombuffer(row["trust_map"] or b"", np.uint8),
    )
    store.publish(part_path(parts_key(row), row["part"]), buffer.getvalue())


def read_part(store: Store, key: str, number: int) -> tuple[np.ndarray, PartStatistics, Row]:
    """A tile: its core (uint16 over [0, 1]), statistics, and row. Raises OSError, or others where it is damaged."""
    with OpenPart(store, key, number) as part:
        return part.rows(part.shape[0]), part.statistics(), part.row()


@contextmanager
def part_errors(store: Store, row: Row) -> Iterator[None]:
    """Turn what reading an item's parts raises into an `ItemError`. Where one is damaged all are removed, as the next run would
    take them for done."""
    try:
        yield
    except ItemError:
        raise
    except OSError as error:
        reason = f"{row['source_path']}: a restored tile is missing ({type(error).__name__}); run again"
        raise ItemError("write_error", reason) from error
    except Exception as error:  # a damaged archive: zip, zlib, JSON and numpy each complain in their own way
        store.remove_folder(parts_folder(parts_key(row)))
        reason = (
            f"{row['source_path']}: a restored tile is damaged ({type(error).__name__}), all were removed; run again"
        )
        raise ItemError("write_error", reason) from error


def _part_file(store: Store, path: str) -> BinaryIO:
    """A part's file, read here and there: in its place on a local disk, else a nameless copy, fetched in one request."""
    if store.local:
        return seekable(store, path)
    copy = cast(BinaryIO, tempfile.TemporaryFile())  # noqa: SIM115 (closed with the part)
    copy.write(store.read(path))
    copy.seek(0)
    return copy


class OpenPart(AbstractContextManager["OpenPart"]):
    """A durable tile, of which a few rows are in memory at a time.

    Args:
        store: the output store.
        key: of the photograph's parts (`rows.parts_key`).
        number: of the tile.

    Attributes:
        shape: of its core: rows, columns, channels.

    Raises:
        OSError: it cannot be read. Here and in all methods others, by zip, zlib, JSON and numpy, where it is damaged.
    """

    def __init__(self, store: Store, key: str, number: int) -> None:
        with ExitStack() as stack:
            file = stack.enter_context(_part_file(store, part_path(key, number)))
            self._archive = stack.enter_context(np.load(file, allow_pickle=False))
            self._core: IO[bytes] = stack.enter_context(self._archive.zip.open("core.npy"))
            np.lib.format.read_magic(self._core)
            self.shape, turned, self._dtype = np.lib.format.read_array_header_1_0(self._core)
            if turned or self._dtype not in (np.uint8, np.uint16) or len(self.shape) != 3:
                raise ValueError(f"a core of {self._dtype} {self.shape}")
            self._left = self.shape[0]
            self._stack = stack.pop_all()

    def rows(self, count: int) -> np.ndarray:
        """The next `count` rows of the core, or those that are left: [rows, columns, channels]."""
        count = min(count, self._left)
        size = count * self.shape[1] * self.shape[2] * self._dtype.itemsize
        data = self._core.read(size)
        self._left -= count
        if len(data) != size or (not self._left and self._core.read(1)):  # zip compares checksums at the very end
            raise ValueError("a core of another length than it says")
        return np.frombuffer(data, self._dtype).reshape(count, *self.shape[1:])

    def statistics(self) -> PartStatistics:
        """Its colour statistics."""
        return PartStatistics.from_json(str(self._archive["statistics"]))

    def row(self) -> Row:
        """Its row."""
        record = json.loads(str(self._archive["record"]))
        row = whole_row({**record, "started_at": datetime.fromisoformat(record["started_at"])})
        columns = columns_of(row)
        for name in _BYTES:
            if name in self._archive:  # parts of an earlier version have fewer
                columns[name] = self._archive[name].tobytes() or None
        return row

    def __exit__(self, *error: object) -> None:
        self._stack.close()
