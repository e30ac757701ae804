"""Where each item's current row lies in the manifest: file and position, found in bounded memory.

`manifest.current_rows` holds whole rows and is for small archives and narrow columns. Here the driver keeps some tens of bytes
an item, and whoever works on a block of rows reads them itself.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from pipelines.manifest.reader import read_manifest_file
from pipelines.manifest.scratch import count, insert, scratch_database
from pipelines.rows import RESTORED, Row
from pipelines.store.layout import MANIFEST
from pipelines.store.store import Store

# A block: which rows of which manifest files.
BLOCK_SCHEMA = pa.schema([("file", pa.string()), ("positions", pa.list_(pa.int32()))])
_INDEX_COLUMNS = ("item_id", "run_id", "finished_at", "status", "source_path", "source_size", "output_size")
_FETCH = 4096

Choose = Callable[[str, str], bool]


class ManifestIndex:
    """The current rows of a manifest, as blocks that can be read anywhere.

    Attributes:
        count: of current rows that were asked for.
        bytes: of their sources and results together.
        items: of all items that the manifest knows and `choose` took, whatever their status.
    """

    def __init__(self, database: Any, files: Sequence[str]) -> None:
        self._database, self._files = database, files
        self.items: int = count(database, "select count(*) from newest")
        self.count: int = count(database, "select count(*) from chosen")
        self.bytes: int = count(database, "select coalesce(sum(bytes), 0) from chosen")

    def blocks(self, *, rows: int, size: int) -> Iterator[pa.Table]:
        """Blocks of at most `rows` rows, and of `size` bytes of sources and results where one row is not larger."""
        found = self._database.execute("select file, position, bytes from chosen order by file, position")
        block: list[tuple[int, int]] = []
        held = 0
        while batch := found.fetchmany(_FETCH):
            for file, position, weight in batch:
                if block and (len(block) >= rows or held + weight > size):
                    yield self._table(block)
                    block, held = [], 0
                block.append((file, position))
                held += weight
        if block:
            yield self._table(block)

    def _table(self, block: list[tuple[int, int]]) -> pa.Table:
        positions: dict[str, list[int]] = {}
        for file, position in block:
            positions.setdefault(self._files[file], []).append(position)
        return pa.table({"file": list(positions), "positions": list(positions.values())}, schema=BLOCK_SCHEMA)


@contextmanager
def open_index(
    store: Store, *, choose: Choose | None = None, statuses: Collection[str] | None = (RESTORED,)
) -> Iterator[ManifestIndex]:
    """Find the current row of each item.

    Args:
        store: the output store.
        choose: item id and source path -> whether the item counts; all do by default.
        statuses: of the current rows that are wanted; None for all.

    Raises:
        StoreError: a manifest file cannot be read; named.
    """
    with scratch_database() as database:
        database.execute(
            "create table rows (item_id varchar, run_id varchar, finished_at bigint, status varchar, bytes bigint, "
            "file integer, position integer)"
        )
        files = [entry.path for entry in store.list(MANIFEST) if entry.path.endswith(".parquet")]
        for number, path in enumerate(files):
            _insert(database, read_manifest_file(store, path, _INDEX_COLUMNS), number, choose)
        database.execute(
            "create table newest as select * from rows qualify row_number() over "
            "(partition by item_id order by run_id desc, finished_at desc, file desc, position desc) = 1"
        )
        wanted = list(statuses) if statuses is not None else None
        condition = "true" if wanted is None else "list_contains(?, status)"
        database.execute(
            f"create table chosen as select file, position, bytes from newest where {condition}",
            [] if wanted is None else [wanted],
        )
        yield ManifestIndex(database, files)


def read_block(store: Store, block: pa.Table, columns: Sequence[str]) -> list[Row]:
    """The rows of a block of `ManifestIndex`, with some of their columns.

    Raises:
        StoreError: a manifest file cannot be read; named.
    """
    rows: list[Row] = []
    for place in block.to_pylist():
        rows += read_manifest_file(store, place["file"], columns).take(place["positions"]).to_pylist()
    return rows


def _insert(database: Any, table: pa.Table, number: int, choose: Choose | None) -> None:
    positions = range(table.num_rows)
    if choose is not None:
        ids, paths = table["item_id"].to_pylist(), table["source_path"].to_pylist()
        positions = [p for p in positions if choose(ids[p] or "", paths[p] or "")]  # type: ignore[assignment]
    places = pa.array(positions, pa.int32())
    table = table.take(places)
    sizes = [pc.fill_null(table[name], 0) for name in ("source_size", "output_size")]
    insert(
        database,
        "rows",
        pa.table(
            {
                "item_id": table["item_id"],
                "run_id": table["run_id"],
                "finished_at": table["finished_at"].cast(pa.int64()),
                "status": table["status"],
                "bytes": pc.add(*sizes),
                "file": pa.array([number] * table.num_rows, pa.int32()),
                "position": places,
            }
        ),
    )
