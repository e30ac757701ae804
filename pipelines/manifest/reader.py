"""Reading the manifest: all rows, the current ones, or one file, with errors that name the file."""

from __future__ import annotations

import io
from collections.abc import Sequence

import pyarrow as pa
import pyarrow.dataset as pads
import pyarrow.parquet as pq

from faithdiff_model.redaction import redact, redact_url
from pipelines.errors import first_line
from pipelines.manifest.current import newest_rows
from pipelines.rows import MANIFEST_SCHEMA, Row
from pipelines.store.layout import MANIFEST
from pipelines.store.store import Entry, Store, StoreError

__all__ = ["current_rows", "manifest_files", "parse_manifest_file", "read_manifest_file", "read_rows"]


def manifest_files(store: Store) -> list[Entry]:
    """The manifest's files, in the order in which their rows count as later and later. Raises StoreError."""
    return [entry for entry in store.list(MANIFEST) if entry.path.endswith(".parquet")]


def read_rows(store: Store, columns: Sequence[str] | None = None) -> pa.Table:
    """All rows of all runs, oldest first.

    Raises:
        StoreError: a manifest file cannot be read; named.
    """
    names = [entry.path for entry in manifest_files(store)]
    wanted = list(columns) if columns else MANIFEST_SCHEMA.names
    if not names:
        return pa.schema([MANIFEST_SCHEMA.field(name) for name in wanted]).empty_table()
    keys = [store.key(name) for name in names]
    try:
        dataset = pads.dataset(keys, filesystem=store.fs, format="parquet", schema=MANIFEST_SCHEMA)
        return dataset.to_table(columns=wanted)
    except (pa.ArrowException, OSError) as error:
        raise StoreError(
            f"manifest in {store.uri(MANIFEST)}: cannot be read ({first_line(error)}); run faitharchive manifest rebuild "
            f"{redact_url(store.url)}"
        ) from error


def current_rows(store: Store, columns: Sequence[str] | None = None) -> dict[str, Row]:
    """Each item's newest row, by item id."""
    names = list(dict.fromkeys([*(columns or MANIFEST_SCHEMA.names), "item_id", "run_id", "finished_at"]))
    return newest_rows(read_rows(store, names).to_pylist())


def read_manifest_file(store: Store, path: str, columns: Sequence[str] | None = None) -> pa.Table:
    """One manifest file; a column that an older version did not write is empty.

    Raises:
        StoreError: it cannot be read; named, with what to do.
    """
    try:
        data = store.read(path)
    except OSError as error:
        raise StoreError(f"manifest file {store.uri(path)}: cannot be read ({_reason(error)}); check access") from error
    try:
        return parse_manifest_file(data, columns)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise StoreError(
            f"manifest file {store.uri(path)}: is damaged ({_reason(error)}); run faitharchive manifest rebuild "
            f"{redact_url(store.url)}"
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


def _reason(error: Exception) -> str:
    return redact(str(error) or type(error).__name__)[:200]
