"""The manifest: Parquet files under `_faitharchive/manifest/run=<id>/`, one set a run, never rewritten.

An item's *current* row is the newest one of its id. Files appear whole while a run goes on, so a crash loses at most the rows
of the last seconds, which the next plan finds again in the sidecars.
"""

from __future__ import annotations

import io
import json
import secrets
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import Any

import pyarrow as pa
import pyarrow.dataset as pads
import pyarrow.parquet as pq

from faithdiff_model.weights.download import shown
from pipelines.rows import MANIFEST_SCHEMA, Row
from pipelines.store.store import PRIVATE, Store, StoreError

MANIFEST = f"{PRIVATE}/manifest"
RUNS = f"{PRIVATE}/runs"
STARTED = f"{PRIVATE}/started"
_FLUSH_ROWS = 2000
_FLUSH_SECONDS = 30.0


def new_run_id(now: datetime | None = None) -> str:
    """A run's id: its time of start, so that ids sort by time, and six random digits."""
    moment = now or datetime.now(UTC)
    return f"{moment:%Y%m%dT%H%M%S.%f}"[:-3] + f"Z-{secrets.token_hex(3)}"


class ManifestWriter:
    """Collects a run's final rows and publishes them as numbered files.

    Args:
        store: the output store.
        run_id: the run.
    """

    def __init__(self, store: Store, run_id: str) -> None:
        self._store = store
        self._run_id = run_id
        self._rows: list[Row] = []
        self._files = 0
        self._flushed = datetime.now(UTC)

    def add(self, row: Row) -> None:
        """Take a final row; publishes by itself every few thousand rows or half minute."""
        self._rows.append({name: row[name] for name in MANIFEST_SCHEMA.names})
        waited = (datetime.now(UTC) - self._flushed).total_seconds()
        if len(self._rows) >= _FLUSH_ROWS or waited > _FLUSH_SECONDS:
            self.flush()

    def flush(self) -> None:
        """Publish what has been taken since the last time."""
        self._flushed = datetime.now(UTC)
        if not self._rows:
            return
        table = pa.Table.from_pylist(self._rows, schema=MANIFEST_SCHEMA)
        buffer = io.BytesIO()
        pq.write_table(table, buffer, compression="zstd")
        self._store.publish(f"{MANIFEST}/run={self._run_id}/part-{self._files:05d}.parquet", buffer.getvalue())
        self._files += 1
        self._rows = []


def write_run_start(store: Store, run_id: str, record: dict[str, Any]) -> None:
    """Publish that a run has begun; without an end record beside it, the run died."""
    store.publish(f"{STARTED}/{run_id}.json", (json.dumps(record, indent=1, ensure_ascii=False) + "\n").encode())


def settled(store: Store) -> bool:
    """Whether no earlier run died, so that the manifest knows of all results.

    A run that planned the whole archive and came to its end settles all that was before it. A run has died if it has begun,
    or left manifest rows, and has no end record; older stores have no start records.
    """
    ended = {PurePosixPath(entry.path).stem for entry in store.list(RUNS)}
    begun = {PurePosixPath(entry.path).stem for entry in store.list(STARTED)}
    begun |= {PurePosixPath(entry.path).parent.name.removeprefix("run=") for entry in store.list(MANIFEST)}
    for run_id in sorted(begun | ended, reverse=True):
        if run_id not in ended:
            return False
        if _settles(store, run_id):
            return True
    return True


def _settles(store: Store, run_id: str) -> bool:
    """Whether a run's end record is whole and tells of a run over the whole archive."""
    try:
        record = json.loads(store.read(f"{RUNS}/{run_id}.json"))
    except (OSError, ValueError):
        return False
    return isinstance(record, dict) and not record.get("only")


def write_run_record(store: Store, run_id: str, record: dict[str, Any]) -> None:
    """Publish a run's summary as JSON: the mark of a run that came to its end."""
    store.publish(f"{RUNS}/{run_id}.json", (json.dumps(record, indent=1, ensure_ascii=False) + "\n").encode())


def read_rows(store: Store, columns: Sequence[str] | None = None) -> pa.Table:
    """All rows of all runs, oldest first.

    Raises:
        StoreError: a manifest file cannot be read; named.
    """
    names = [entry.path for entry in store.list(MANIFEST) if entry.path.endswith(".parquet")]
    wanted = list(columns) if columns else MANIFEST_SCHEMA.names
    if not names:
        return pa.schema([MANIFEST_SCHEMA.field(name) for name in wanted]).empty_table()
    keys = [store.key(name) for name in names]
    try:
        dataset = pads.dataset(keys, filesystem=store.fs, format="parquet", schema=MANIFEST_SCHEMA)
        return dataset.to_table(columns=wanted)
    except (pa.ArrowException, OSError) as error:
        raise StoreError(
            f"manifest in {store.uri(MANIFEST)}: cannot be read ({_first_line(error)}); run faitharchive manifest rebuild "
            f"{shown(store.url)}"
        ) from error


def current_rows(store: Store, columns: Sequence[str] | None = None) -> dict[str, Row]:
    """Each item's newest row, by item id."""
    names = list(dict.fromkeys([*(columns or MANIFEST_SCHEMA.names), "item_id", "run_id", "finished_at"]))
    return newest(read_rows(store, names).to_pylist())


def newest(rows: Iterable[Row]) -> dict[str, Row]:
    """The newest of each item's rows, by item id."""
    current: dict[str, Row] = {}
    for row in rows:
        known = current.get(row["item_id"])
        if known is None or _age(row) >= _age(known):
            current[row["item_id"]] = row
    return current


def _age(row: Row) -> tuple[str, datetime]:
    return row["run_id"], row["finished_at"]


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
