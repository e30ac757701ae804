"""Where each item's current row lies in the manifest: file and position, found in bounded memory.

`manifest.current_rows` holds whole rows and is for small archives and narrow columns. Here the driver keeps some tens of bytes
an item, and whoever works on a block of rows reads them itself.
"""

from __future__ import annotations

import io
import tempfile
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from faithdiff_model.weights.download import shown
from pipelines.manifest.writer import MANIFEST
from pipelines.rows import MANIFEST_SCHEMA, RESTORED, Row
from pipelines.store.retries import safe_text
from pipelines.store.store import Store, StoreError

# A block: which rows of which manifest files.
BLOCK_SCHEMA = pa.schema([("file", pa.string()), ("positions", pa.list_(pa.int32()))])
_INDEX_COLUMNS = ("item_id", "run_id", "finished_at", "status", "source_path", "source_size", "output_size")
_MEMORY = "512MB"
_FETCH = 4096

Choose = Callable[[str, str], bool]


class CurrentRows:
    """The current rows of a manifest, as blocks that can be read anywhere.

    Attributes:
        count: of current rows that were asked for.
        bytes: of their sources and results together.
        items: of all items that the manifest knows and `choose` took, whatever their status.
    """

    def __init__(self, database: Any, files: Sequence[str]) -> None:
        self._database, self._files = database, files
        self.items: int = _one(database, "select count(*) from newest")
        self.count: int = _one(database, "select count(*) from chosen")
        self.bytes: int = _one(database, "select coalesce(sum(bytes), 0) from chosen")

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
def located(
    store: Store, *, choose: Choose | None = None, statuses: Collection[str] | None = (RESTORED,)
) -> Iterator[CurrentRows]:
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
        yield CurrentRows(database, files)


def read_block(store: Store, block: pa.Table, columns: Sequence[str]) -> list[Row]:
    """The rows of a block of `CurrentRows`, with some of their columns.

    Raises:
        StoreError: a manifest file cannot be read; named.
    """
    rows: list[Row] = []
    for place in block.to_pylist():
        rows += read_manifest_file(store, place["file"], columns).take(place["positions"]).to_pylist()
    return rows


def read_manifest_file(store: Store, path: str, columns: Sequence[str] | None = None) -> pa.Table:
    """One manifest file; a column that an older version did not write is empty.

    Raises:
        StoreError: it cannot be read; named, with what to do.
    """
    try:
        data = store.read(path)
    except OSError as error:
        raise StoreError(f"manifest file {store.uri(path)}: cannot be read ({_line(error)}); check access") from error
    try:
        return parse_manifest_file(data, columns)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise StoreError(
            f"manifest file {store.uri(path)}: is damaged ({_line(error)}); run faitharchive manifest rebuild "
            f"{shown(store.url)}"
        ) from error


def parse_manifest_file(data: bytes, columns: Sequence[str] | None = None) -> pa.Table:
    """A manifest file's rows in our columns. Raises ArrowException, OSError or ValueError if it is none."""
    names = list(columns) if columns else MANIFEST_SCHEMA.names
    file = pq.ParquetFile(io.BytesIO(data))
    if "item_id" not in file.schema_arrow.names:
        raise ValueError("it has no column item_id")
    table = file.read(columns=[name for name in names if name in file.schema_arrow.names])
    for name in names:
        if name not in table.column_names:
            table = table.append_column(name, pa.nulls(table.num_rows, MANIFEST_SCHEMA.field(name).type))
    return table.select(names).cast(pa.schema([MANIFEST_SCHEMA.field(name) for name in names]))


@contextmanager
def scratch_database() -> Iterator[Any]:
    """An empty DuckDB database on local disk that takes little memory and is gone afterwards."""
    import duckdb  # late: the command line starts without it

    with tempfile.TemporaryDirectory(prefix="faitharchive-") as folder:
        options: dict[str, Any] = {
            "memory_limit": _MEMORY,
            "threads": "2",
            "temp_directory": str(Path(folder) / "spill"),
        }
        database = duckdb.connect(str(Path(folder) / "scratch.duckdb"), config=options)
        try:
            yield database
        finally:
            database.close()


def insert(database: Any, name: str, table: pa.Table) -> None:
    """Append a table's rows to a database table with the same columns in the same order."""
    database.register("arriving", table)
    database.execute(f"insert into {name} select * from arriving")
    database.unregister("arriving")


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


def _one(database: Any, query: str) -> int:
    ((number,),) = database.execute(query).fetchall()
    return int(number)


def _line(error: Exception) -> str:
    return safe_text(str(error) or type(error).__name__)[:200]
