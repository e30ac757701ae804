"""The current rows of a manifest of any size, found in bounded memory: their columns, or the file and position of each.

`reader.current_rows` holds whole rows and is for small archives and narrow columns. Here rows lie in a temporary database, and
whoever works on a block of `ManifestIndex` reads it himself.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from pipelines.manifest.current import only_newest
from pipelines.manifest.reader import manifest_files, read_manifest_file
from pipelines.manifest.scratch import count, create_table, insert, scratch_database
from pipelines.rows import MANIFEST_SCHEMA, RESTORED, Row
from pipelines.store.store import Store

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

__all__ = ["BLOCK_SCHEMA", "Choose", "ManifestIndex", "RowTable", "open_index", "read_block"]

# A block: which rows of which manifest files.
BLOCK_SCHEMA = pa.schema([("file", pa.string()), ("positions", pa.list_(pa.int32()))])
_INDEX_COLUMNS = ("item_id", "run_id", "finished_at", "status", "source_size", "output_size")
_FETCH = 4096

Choose = Callable[[str, str], bool]


class RowTable:
    """The table `rows` of a temporary database: columns of manifest rows, with the number of the file and the position of each.

    Args:
        database: gets the table.
        columns: of the manifest; `item_id`, `run_id` and `finished_at` are among them. Times become microseconds since 1970,
            and lists of texts one text, a line each.
    """

    def __init__(self, database: DuckDBPyConnection, columns: Sequence[str]) -> None:
        self._database, self._columns, self._files = database, columns, 0
        fields = [pa.field(name, _plain_type(MANIFEST_SCHEMA.field(name).type)) for name in columns]
        self._schema = pa.schema([*fields, pa.field("file", pa.int32()), pa.field("position", pa.int64())])
        create_table(database, "rows", self._schema)

    def add(self, table: pa.Table, positions: Sequence[int] | None = None) -> None:
        """Take the rows of the next file, or some of them."""
        places = pa.array(range(table.num_rows) if positions is None else positions, pa.int64())
        rows = table.select(self._columns) if positions is None else table.select(self._columns).take(places)
        columns = [
            _plain(column).cast(self._schema.field(name).type)
            for name, column in zip(self._columns, rows.columns, strict=True)
        ]
        columns += [pa.array([self._files] * len(places), pa.int32()), places]
        insert(self._database, "rows", pa.Table.from_arrays(columns, schema=self._schema))
        self._files += 1

    def keep_newest(self, name: str) -> None:
        """Make a table of each item's newest row."""
        self._database.execute(f"create table {name} as select * from rows {only_newest()}")


def _plain_type(kind: pa.DataType) -> pa.DataType:
    """Times as numbers, since the database would want a time zone; lists as text."""
    if pa.types.is_list(kind):
        return pa.string()
    return pa.int64() if pa.types.is_timestamp(kind) else kind


def _plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    return pc.binary_join(column, "\n") if pa.types.is_list(column.type) else column


class ManifestIndex:
    """The current rows of a manifest, as blocks that can be read anywhere.

    Attributes:
        count: of current rows with the wanted statuses.
        bytes: of their sources and results together.
        items: of all items that the manifest knows and `choose` took, whatever their status.
    """

    def __init__(self, database: DuckDBPyConnection, files: Sequence[str]) -> None:
        self._database, self._files = database, files
        self.items: int = count(database, "select count(*) from newest")
        self.count: int = count(database, "select count(*) from chosen")
        self.bytes: int = count(database, "select coalesce(sum(bytes), 0) from chosen")

    def blocks(self, *, rows: int, size: int) -> Iterator[pa.Table]:
        """Blocks of at most `rows` rows, and of `size` bytes of sources and results where one row is not larger."""
        found = self._database.execute("select file, position, bytes from chosen order by file, position")
        block: list[tuple[int, int]] = []
        total = 0
        while batch := found.fetchmany(_FETCH):
            for file, position, weight in batch:
                if block and (len(block) >= rows or total + weight > size):
                    yield self._table(block)
                    block, total = [], 0
                block.append((file, position))
                total += weight
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
        files = [entry.path for entry in manifest_files(store)]
        rows = RowTable(database, _INDEX_COLUMNS)
        for path in files:
            table = read_manifest_file(store, path, (*_INDEX_COLUMNS, "source_path"))
            rows.add(table, _chosen(table, choose))
        rows.keep_newest("newest")
        wanted = list(statuses) if statuses is not None else None
        condition = "true" if wanted is None else "list_contains(?, status)"
        database.execute(
            "create table chosen as select file, position, coalesce(source_size, 0) + coalesce(output_size, 0) as bytes "
            f"from newest where {condition}",
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


def _chosen(table: pa.Table, choose: Choose | None) -> list[int] | None:
    """Positions of the rows that count; None for all."""
    if choose is None:
        return None
    pairs = zip(table["item_id"].to_pylist(), table["source_path"].to_pylist(), strict=True)
    return [position for position, (name, path) in enumerate(pairs) if choose(name or "", path or "")]
