"""Compacting the manifest: many small files become few larger ones. No row is changed, dropped or written twice for good.

A run publishes a file every 2,000 rows or 30 seconds, so a year of nights leaves hundreds of thousands, and every plan reads
them all. Here neighbours in the order of the listing are put together, in that order, under a name that sorts where they stood:
so the newest of an item's rows, also of equally new ones, stays the same row.

For each new file, in this order, each step one atomic step of the store:

1. a record in `_faitharchive/compactions/`: the new file's name and SHA-256, and the files whose rows it holds;
2. the new file; it is read back and compared;
3. the old files go, first to last; 4. the record goes.

Killed anywhere, the store holds every row once or twice, never not at all: rows that are there twice are equal, and readers
take one of them. The next compaction finds the record and goes on at 3 if the new file is whole; it never goes back. Who reads
without the lease (`verify`, `report`, DuckDB) while files go finds one that it had listed missing, and must begin again.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from faithdiff_model.redaction import redact, redact_url
from pipelines.manifest.reader import manifest_files, parse_manifest_file
from pipelines.manifest.runs import write_run_start
from pipelines.manifest.sidecar import json_bytes
from pipelines.manifest.writer import parquet_bytes
from pipelines.rows import MANIFEST_SCHEMA, SCHEMA_VERSION
from pipelines.store.layout import COMPACTIONS, MANIFEST, RUNS, STARTED
from pipelines.store.lease import Lease, hold_lease
from pipelines.store.ownership import check_holds_records
from pipelines.store.store import Store, StoreError

__all__ = ["BYTES", "ROWS", "CompactResult", "compact_manifest"]

# Most of a new file. A plan reads eight files at a time, so they must not be large (tests/benchmarks/compaction.py).
ROWS, BYTES = 20_000, 16 << 20


@dataclass(kw_only=True)
class CompactResult:
    """What a compaction did.

    Attributes:
        files_before, files_after: of the manifest.
        bytes_before, bytes_after: of them together.
        rows: in new files.
        written: new files.
        finished: earlier compactions that had died, and were brought to their end.
        left: files that were left as they are because they could not be read whole, with why.
    """

    files_before: int = 0
    files_after: int = 0
    bytes_before: int = 0
    bytes_after: int = 0
    rows: int = 0
    written: int = 0
    finished: int = 0
    left: list[tuple[str, str]] = field(default_factory=list)


@dataclass(kw_only=True)
class _Group:
    """Neighbours that become one file: their paths and sizes, and their rows in order."""

    after: str = ""  # the path before the first
    paths: list[str] = field(default_factory=list)
    tables: list[pa.Table] = field(default_factory=list)
    size: int = 0

    rows: int = 0

    def add(self, path: str, size: int, table: pa.Table) -> None:
        self.paths.append(path)
        self.tables.append(table)
        self.size += size
        self.rows += table.num_rows


def compact_manifest(
    output: Store, *, compaction_id: str, lease_seconds: float, steal: bool = False, rows: int = ROWS, size: int = BYTES
) -> CompactResult:
    """Put small neighbouring manifest files together. Does nothing where there are none.

    A file that already has half of either limit stays as it is, so that a row is rewritten a few times at most however often
    this runs. Files that are damaged, or that a newer version wrote, stay, too. One group of rows is in memory at a time.

    Args:
        output: the output store; no other run can use it meanwhile.
        compaction_id: a new run id; names the new files.
        lease_seconds: how long the store stays locked if this process dies.
        steal: take the store from another run.
        rows, size: the most of a new file; `size` counts the bytes of the files that go into it.

    Raises:
        LeaseError: another run holds the store, or took it meanwhile.
        StoreError: it is missing or cannot be listed, read or written.
    """
    check_holds_records(output)
    done = CompactResult()
    try:
        with hold_lease(output, run_id=compaction_id, seconds=lease_seconds, steal=steal) as lease:
            _finish_interrupted(output, lease, done)
            sizes = {e.path: e.size for e in manifest_files(output)}
            done.files_before, done.bytes_before = len(sizes), sum(sizes.values())
            runs = _Runs(output, sizes, compaction_id)
            for group in _groups(output, sizes, done, rows, size):
                _replace(output, lease, runs, group, f"{compaction_id}-{done.written:05d}")
                done.written += 1
                done.rows += group.rows
            files = [e.size for e in manifest_files(output)]
            done.files_after, done.bytes_after = len(files), sum(files)
    except OSError as error:
        line = redact(str(error) or type(error).__name__)[:300]
        raise StoreError(
            f"output {redact_url(output.url)}: {line}; check access and space, then compact again"
        ) from error
    return done


def _groups(output: Store, sizes: dict[str, int], done: CompactResult, rows: int, size: int) -> Iterator[_Group]:
    """Neighbours of at least two small files, that together keep within the limits and whose new name sorts in their place."""
    group, before = _Group(), ""
    for path, weight in sizes.items():
        table = _small_table(output, path, weight, done, rows, size)
        if table is None or group.rows + table.num_rows > rows or group.size + weight > size:
            if _worthwhile(group, path):
                yield group
            group = _Group(after=before)
        if table is not None:
            group.add(path, weight, table)
            before = path
        else:
            group.after = before = path
    if _worthwhile(group, ""):
        yield group


def _small_table(output: Store, path: str, weight: int, done: CompactResult, rows: int, size: int) -> pa.Table | None:
    """The rows of a file, if it is worth being put together with others and can be."""
    if weight >= size / 2:
        return None
    found = _rows_of(output.read(path))
    if isinstance(found, str):
        done.left.append((path, found))
        return None
    return found if found.num_rows < rows / 2 else None


def _worthwhile(group: _Group, following: str) -> bool:
    if len(group.paths) < 2:
        return False
    name = _new_path(group, "")
    return group.after < name and (not following or name < following)


def _new_path(group: _Group, name: str) -> str:
    """In the place of the last: before it, as `.c` comes before `.p`, and after whatever comes before it."""
    folder, _, file = group.paths[-1].rpartition("/")
    return f"{folder}/{file.partition('.')[0]}.compact-{name}.parquet"


def _rows_of(data: bytes) -> pa.Table | str:
    """All that a manifest file says, or why it cannot be said in our columns."""
    try:
        names = pq.read_schema(io.BytesIO(data)).names
        unknown = [name for name in names if name not in MANIFEST_SCHEMA.names]
        if unknown:
            return f"it has columns that this FaithArchive does not know ({', '.join(unknown[:3])}); update it"
        table = parse_manifest_file(data)
        table.validate(full=True)
    except (pa.ArrowException, OSError, ValueError) as error:
        return f"it is damaged ({redact(str(error))[:200]}); run faitharchive manifest rebuild"
    if (pc.max(table["schema_version"]).as_py() or 0) > SCHEMA_VERSION:
        return "a newer FaithArchive wrote it; update this one"
    return table


def _replace(output: Store, lease: Lease, runs: _Runs, group: _Group, name: str) -> None:
    table = pa.concat_tables(group.tables)
    data = parquet_bytes(table)
    if not parse_manifest_file(data).equals(table):
        raise StoreError(
            f"manifest of {redact_url(output.url)}: rows did not survive being written; nothing was changed"
        )
    path = _new_path(group, name)
    digest = hashlib.sha256(data).hexdigest()
    record = {
        "written_at": datetime.now(UTC).isoformat(),
        "into": path,
        "sha256": digest,
        "rows": table.num_rows,
        "from": group.paths,
    }
    lease.check("compact again", output)
    output.publish(f"{COMPACTIONS}/{name}.json", json_bytes(record))
    output.publish(path, data)
    if output.sha256(path)[0] != digest:
        raise StoreError(
            f"manifest file {output.uri(path)}: is not what was written; nothing was removed, look at the store"
        )
    runs.note(group.paths, path)
    lease.check("compact again", output)
    _remove(output, group.paths)
    output.remove(f"{COMPACTIONS}/{name}.json")


def _remove(output: Store, paths: list[str]) -> None:
    """First to last: the last of equally new rows is among those still there, or in the new file, which sorts in its place."""
    for path in paths:
        output.remove(path)
    if output.local:  # an object store has no folders
        for folder in {str(PurePosixPath(path).parent) for path in paths}:
            with suppress(OSError):
                Path(output.key(folder)).rmdir()


def _finish_interrupted(output: Store, lease: Lease, done: CompactResult) -> None:
    """Bring compactions to their end that died after their new file was whole; forget those that died before."""
    for entry in list(output.list(COMPACTIONS)):
        try:
            record = json.loads(output.read(entry.path))
            path, digest, old = str(record["into"]), str(record["sha256"]), [str(name) for name in record["from"]]
        except (ValueError, KeyError, TypeError):
            done.left.append((entry.path, "it is no record of a compaction; look at it, and delete it"))
            continue
        try:
            whole = output.sha256(path)[0] == digest
        except FileNotFoundError:
            whole = False
        lease.check("compact again", output)
        if whole:
            ours = [name for name in old if name.startswith(f"{MANIFEST}/") and name != path]
            _Runs(output, {name: 0 for name in (*ours, path)}, record["written_at"]).note(ours, path)
            _remove(output, ours)
            done.finished += 1
        output.remove(entry.path)


class _Runs:
    """Runs that only a folder of manifest files tells of: before it goes, they get the record that they began.

    Without it `all_runs_ended` would forget a run that died, and its results would be made again instead of taken over.
    """

    def __init__(self, output: Store, files: dict[str, int], by: str) -> None:
        self._output, self._by = output, by
        self._known = {PurePosixPath(e.path).stem for folder in (RUNS, STARTED) for e in output.list(folder)}
        self._files: dict[str, set[str]] = {}
        for path in files:
            self._files.setdefault(_run_of(path), set()).add(path)

    def note(self, going: list[str], new: str) -> None:
        """The files that are about to go, and the one that takes their place."""
        self._files.setdefault(_run_of(new), set()).add(new)
        for path in going:
            self._files[_run_of(path)].discard(path)
        for run in {_run_of(path) for path in going}:
            if not self._files[run] and run not in self._known:
                write_run_start(self._output, run, {"only": "", "noted_by": f"compaction {self._by}"})
                self._known.add(run)


def _run_of(path: str) -> str:
    return PurePosixPath(path).parent.name.removeprefix("run=")
