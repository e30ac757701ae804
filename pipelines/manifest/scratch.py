"""A temporary DuckDB database: joins over millions of rows in bounded memory."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

import pyarrow as pa

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

__all__ = ["BATCH", "BatchInsert", "batches", "count", "create_table", "insert", "scratch_database"]

_MEMORY = "512MB"


@contextmanager
def scratch_database() -> Iterator[DuckDBPyConnection]:
    """An empty DuckDB database on local disk that takes little memory and is gone afterwards."""
    import duckdb  # late: the command line starts without it

    with tempfile.TemporaryDirectory(prefix="faitharchive-") as folder:
        options: dict[str, str | bool | int | float | list[str]] = {
            "memory_limit": _MEMORY,
            "threads": "2",
            "temp_directory": str(Path(folder) / "spill"),
        }
        database = duckdb.connect(str(Path(folder) / "scratch.duckdb"), config=options)
        try:
            yield database
        finally:
            database.close()


def insert(database: DuckDBPyConnection, name: str, table: pa.Table) -> None:
    """Append a table's rows to a database table with the same columns in the same order."""
    database.register("arriving", table)
    database.execute(f"insert into {name} select * from arriving")
    database.unregister("arriving")


_TYPES = {"string": "varchar", "int64": "bigint", "int32": "integer", "double": "double", "bool": "boolean"}

BATCH = 20_000  # rows


class BatchInsert:
    """Rows on their way into a table, many at a time, all or none; a context.

    Args:
        database: holds the table.
        name: of the table.
        schema: its columns, in order.
    """

    def __init__(self, database: DuckDBPyConnection, name: str, schema: pa.Schema) -> None:
        self._database, self._name, self._schema = database, name, schema
        self._rows: list[tuple[object, ...]] = []

    def add(self, *values: object) -> None:
        """A row, its values in the order of the columns."""
        self._rows.append(values)
        if len(self._rows) >= BATCH:
            self._flush()

    def __enter__(self) -> BatchInsert:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self._flush()

    def _flush(self) -> None:
        if self._rows:
            columns = zip(*self._rows, strict=True)
            arrays = [pa.array(values, field.type) for values, field in zip(columns, self._schema, strict=True)]
            insert(self._database, self._name, pa.Table.from_arrays(arrays, schema=self._schema))
            self._rows = []


def create_table(database: DuckDBPyConnection, name: str, schema: pa.Schema) -> None:
    """An empty table with the columns of an Arrow schema."""
    columns = ", ".join(f"{field.name} {_TYPES[str(field.type)]}" for field in schema)
    database.execute(f"create table {name} ({columns})")


def batches(database: DuckDBPyConnection, query: str, rows: int = BATCH) -> Iterator[pa.Table]:
    """The result of a query, part by part; other queries may run meanwhile."""
    with database.cursor() as cursor:
        for batch in cursor.sql(query).to_arrow_reader(rows):
            if batch.num_rows:
                yield pa.Table.from_batches([batch])


def count(database: DuckDBPyConnection, query: str) -> int:
    """The one number that a query gives."""
    ((number,),) = database.execute(query).fetchall()
    return int(number)
