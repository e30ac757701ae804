"""The manifest: Parquet files under `_faitharchive/manifest/run=<id>/`, one set a run, never rewritten.

An item's *current* row is the newest one of its id. Files appear whole while a run goes on, so a crash loses at most the rows
of the last seconds, which the next plan finds again in the sidecars.
"""

from __future__ import annotations

import io
from datetime import UTC, datetime

import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.rows import MANIFEST_SCHEMA, Row, columns_of
from pipelines.store.layout import MANIFEST
from pipelines.store.store import Store

__all__ = ["FLUSH_ROWS", "FLUSH_SECONDS", "ManifestWriter", "parquet_bytes"]

FLUSH_ROWS = 2000
FLUSH_SECONDS = 30.0


class ManifestWriter:
    """Collects a run's final rows and publishes them as numbered files.

    Args:
        store: the output store.
        run_id: the run.
    """

    def __init__(self, store: Store, run_id: str) -> None:
        self._store = store
        self._run_id = run_id
        self._rows: list[dict[str, object]] = []
        self._files = 0
        self._flushed = datetime.now(UTC)

    def add(self, row: Row) -> None:
        """Take a final row; publishes by itself every few thousand rows or half minute."""
        columns = columns_of(row)
        self._rows.append({name: columns[name] for name in MANIFEST_SCHEMA.names})
        waited = (datetime.now(UTC) - self._flushed).total_seconds()
        if len(self._rows) >= FLUSH_ROWS or waited > FLUSH_SECONDS:
            self.flush()

    def flush(self) -> None:
        """Publish what has been taken since the last time."""
        self._flushed = datetime.now(UTC)
        if not self._rows:
            return
        table = pa.Table.from_pylist(self._rows, schema=MANIFEST_SCHEMA)
        self._store.publish(f"{MANIFEST}/run={self._run_id}/part-{self._files:05d}.parquet", parquet_bytes(table))
        self._files += 1
        self._rows = []


def parquet_bytes(table: pa.Table) -> bytes:
    """A table as a Parquet file, compressed by zstd."""
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd")
    return buffer.getvalue()
