"""What lies in the output store and what the manifest says of it, as tables of a temporary database.

files     (path, size)     everything but sidecars and our own folder
sidecars  (path)           of the file that each lies beside
records   (RECORD_SCHEMA)  every row that any run wrote, with the file and position where the whole of it is
adopted   (RECORD_SCHEMA)  rows of sidecars that were read; their position is in the spool of `pipelines/plan/orphans.py`
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from faithdiff_model.redaction import redact_url
from pipelines.manifest.naming import folded, refusal, suffix_of
from pipelines.manifest.reader import manifest_files, read_manifest_file
from pipelines.manifest.scratch import BATCH, Filling, create_table, insert
from pipelines.rows import MANIFEST_SCHEMA
from pipelines.store.concurrency import map_threaded
from pipelines.store.layout import PRIVATE, SIDECAR_SUFFIX
from pipelines.store.store import Store, StoreError

_COLUMNS = (
    "item_id", "source_path", "source_size", "source_version", "source_sha256", "output_path", "output_size", "status",
    "attempt", "settings_digest", "model_digest", "seed", "error_code", "error_reason", "run_id", "finished_at",
)  # fmt: skip
_MORE = (
    pa.field("output_key", pa.string()),  # the folded output path, if it can be one
    pa.field("output_ext", pa.string()),
    pa.field("file", pa.int32()),
    pa.field("position", pa.int64()),
)
RECORD_SCHEMA = pa.schema(
    [
        *(MANIFEST_SCHEMA.field(name) for name in _COLUMNS[:-1]),
        pa.field("finished_at", pa.int64()),  # a number: the database would want a time zone
        *_MORE,
    ]
)
_READERS = 8  # manifest files read at a time, about a megabyte each
_LONGEST = 4096


def load_output(database: Any, output: Store) -> None:
    """Fill `files` and `sidecars` from the store's listing.

    Raises:
        StoreError: it cannot be listed.
    """
    sizes, names = pa.schema([("path", pa.string()), ("size", pa.int64())]), pa.schema([("path", pa.string())])
    create_table(database, "files", sizes)
    create_table(database, "sidecars", names)
    with Filling(database, "files", sizes) as files, Filling(database, "sidecars", names) as sidecars:
        for entry in output.list():
            if entry.path.startswith(f"{PRIVATE}/") or not _is_text(entry.path):
                continue
            if entry.path.endswith(SIDECAR_SUFFIX):
                sidecars.add(entry.path.removesuffix(SIDECAR_SUFFIX))
            else:
                files.add(entry.path, entry.size)


def load_manifest(database: Any, output: Store) -> list[str]:
    """Fill `records`; makes `adopted`, empty. Returns the manifest files, in the order of `records.file`.

    Raises:
        StoreError: a manifest file cannot be read; named.
    """
    create_table(database, "records", RECORD_SCHEMA)
    create_table(database, "adopted", RECORD_SCHEMA)
    files = [entry.path for entry in manifest_files(output)]
    waiting: list[pa.Table] = []
    for number, table in enumerate(map_threaded(lambda path: _read(output, path), files, _READERS)):
        waiting.append(as_records(table, number, range(table.num_rows)))
        if sum(map(len, waiting)) >= BATCH:
            insert(database, "records", pa.concat_tables(waiting))
            waiting = []
    if waiting:
        insert(database, "records", pa.concat_tables(waiting))
    return files


def as_records(table: pa.Table, file: int, positions: Sequence[int]) -> pa.Table:
    """Manifest rows as rows of `RECORD_SCHEMA`; an output path that is none is left to be found missing."""
    outputs = [path if _is_output(path) else None for path in table["output_path"].to_pylist()]
    columns = [*table.select(_COLUMNS[:-1]).columns, table["finished_at"].cast(pa.int64())]
    columns += [
        pa.array([path and folded(path) for path in outputs], pa.string()),
        pa.array([path and suffix_of(path) for path in outputs], pa.string()),
        pa.array([file] * table.num_rows, pa.int32()),
        pa.array(positions, pa.int64()),
    ]
    return pa.Table.from_arrays(columns, schema=RECORD_SCHEMA)


def _read(output: Store, path: str) -> pa.Table:
    table = read_manifest_file(output, path, _COLUMNS)
    try:
        table.validate(full=True)  # text that is not UTF-8 would stop us much later, far from its file
    except pa.ArrowInvalid as error:
        raise StoreError(
            f"manifest file {output.uri(path)}: is damaged ({str(error).splitlines()[0]}); run faitharchive manifest "
            f"rebuild {redact_url(output.url)}"
        ) from error
    return table


def _is_output(path: str | None) -> bool:
    """Whether what a manifest says can be the path of a result."""
    return bool(path) and refusal(str(path), _LONGEST) is None and not str(path).startswith(f"{PRIVATE}/")


def _is_text(path: str) -> bool:
    try:
        return path.isascii() or bool(path.encode())
    except UnicodeEncodeError:
        return False  # none of ours: what has no proper name is refused
