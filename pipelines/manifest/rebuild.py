"""Rebuilding the manifest from the store: every result whose row was lost gets it back from its sidecar.

What was only ever in the manifest cannot come back: rows of failed and quarantined items, and so how often they were tried.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from itertools import islice
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from faithdiff_model.redaction import redact, redact_url
from pipelines.manifest.naming import item_id
from pipelines.manifest.reader import manifest_files, parse_manifest_file
from pipelines.manifest.scratch import insert, scratch_database
from pipelines.manifest.sidecar import SidecarError, json_bytes, parse_sidecar
from pipelines.manifest.writer import ManifestWriter
from pipelines.rows import RESTORED, Row, columns_of
from pipelines.store.layout import PRIVATE, REBUILDS, SET_ASIDE, SIDECAR_SUFFIX
from pipelines.store.lease import Lease, hold_lease
from pipelines.store.ownership import check_holds_records
from pipelines.store.retries import RetriesExhaustedError
from pipelines.store.store import Store, StoreError

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

__all__ = ["OnSidecars", "RebuildResult", "rebuild_manifest"]

_LISTED = 10_000  # entries that go to the database together
_BATCH = 512  # sidecars in memory at a time
_THREADS = 32  # requests at a time: a store answers each in tens of milliseconds
_FIRST = 1000  # unusable sidecars that are named

_KEY = ("item_id", "identity", "output_sha256", "run_id")
_KEY_SCHEMA = pa.schema([(name, pa.string()) for name in _KEY])

OnSidecars = Callable[[int, int], None]


@dataclass(kw_only=True)
class RebuildResult:
    """What a rebuild found and did.

    Attributes:
        run_id: names the new manifest folder and the folder of what was set aside.
        manifest_files: that could be read.
        set_aside: manifest files that could not, with why.
        sidecars: found.
        known: of them already in the manifest.
        written: rows that the manifest got.
        unusable: sidecars that no row can be made of.
        first_unusable: the first thousand of them, with why.
    """

    run_id: str
    manifest_files: int = 0
    set_aside: list[tuple[str, str]] = field(default_factory=list)
    sidecars: int = 0
    known: int = 0
    written: int = 0
    unusable: int = 0
    first_unusable: list[tuple[str, str]] = field(default_factory=list)


def rebuild_manifest(
    output: Store, *, run_id: str, lease_seconds: float, steal: bool = False, on_sidecars: OnSidecars | None = None
) -> RebuildResult:
    """Give the manifest the rows that it lacks, from the sidecars. Does nothing where it lacks none.

    A new row keeps its own run id, so that the newest row of an item stays the right one; only its folder is `run_id`'s.

    Args:
        output: the output store; no other run can use it meanwhile.
        run_id: a new one.
        lease_seconds: how long the store stays locked if this process dies.
        steal: take the store from another run.
        on_sidecars: called with the number of sidecars looked at and of all.

    Raises:
        LeaseError: another run holds the store, or took it meanwhile.
        StoreError: it is missing or cannot be listed, read or written.
    """
    output.check_exists("output")
    if not any(entry.path.endswith(SIDECAR_SUFFIX) for entry in output.list()):
        check_holds_records(output)
    done = RebuildResult(run_id=run_id)
    started = datetime.now(UTC)
    try:
        with (
            hold_lease(output, run_id=run_id, seconds=lease_seconds, steal=steal) as lease,
            scratch_database() as database,
        ):
            _read_manifest(output, database, done)
            _list_files(output, database)
            _adopt(output, database, done, lease, on_sidecars)
            if done.written or done.set_aside:
                record = {
                    "started_at": started.isoformat(),
                    "finished_at": datetime.now(UTC).isoformat(),
                    **asdict(done),
                }
                output.publish(f"{REBUILDS}/{run_id}.json", json_bytes(record))
    except OSError as error:
        raise StoreError(
            f"output {redact_url(output.url)}: {_reason(error)}; check access and space, then rebuild again"
        ) from error
    return done


def _read_manifest(output: Store, database: DuckDBPyConnection, done: RebuildResult) -> None:
    """Note which results the manifest knows; move files that cannot be read to another folder."""
    database.execute("create table known (item_id varchar, identity varchar, output_sha256 varchar, run_id varchar)")
    for entry in manifest_files(output):
        data = output.read(entry.path)  # a store that refuses to read stops the rebuild: that is no damaged file
        try:
            table = parse_manifest_file(data)
        except (pa.ArrowException, OSError, ValueError) as error:
            moved_to = f"{SET_ASIDE}/{done.run_id}/{entry.path.removeprefix(f'{PRIVATE}/')}"
            output.publish(moved_to, data)
            output.remove(entry.path)
            done.set_aside.append((entry.path, _reason(error)))
            continue
        done.manifest_files += 1
        restored = table.filter(pc.equal(table["status"], RESTORED))
        insert(database, "known", restored.select(_KEY))


def _list_files(output: Store, database: DuckDBPyConnection) -> None:
    """The store's listing as a table, in which sidecars find their results."""
    database.execute("create table files (path varchar, size bigint)")
    entries = (entry for entry in output.list() if not entry.path.startswith(f"{PRIVATE}/") and _is_utf8(entry.path))
    while batch := list(islice(entries, _LISTED)):
        table = pa.table({"path": [e.path for e in batch], "size": pa.array([e.size for e in batch], pa.int64())})
        insert(database, "files", table)


def _adopt(
    output: Store, database: DuckDBPyConnection, done: RebuildResult, lease: Lease, on_sidecars: OnSidecars | None
) -> None:
    """Write a row for each usable sidecar that the manifest does not know."""
    counted = database.execute("select count(*) from files where ends_with(path, ?)", [SIDECAR_SUFFIX])
    ((total,),) = counted.fetchall()
    writer = ManifestWriter(output, done.run_id)
    with ThreadPoolExecutor(_THREADS) as pool:
        for batch in _sidecars(database):
            lease.check("rebuild again")
            rows = []
            for (path, _), found in zip(
                batch, pool.map(lambda pair: _row_or_reason(output, *pair), batch), strict=True
            ):
                if isinstance(found, str):
                    done.unusable += 1
                    if len(done.first_unusable) < _FIRST:
                        done.first_unusable.append((path, found))
                else:
                    rows.append(found)
            unknown = _missing_rows(database.cursor(), rows)
            for row in unknown:
                writer.add(row)
            done.sidecars += len(batch)
            done.known += len(rows) - len(unknown)
            done.written += len(unknown)
            if on_sidecars:
                on_sidecars(done.sidecars, total)
    writer.flush()


def _sidecars(database: DuckDBPyConnection) -> Iterator[list[tuple[str, int | None]]]:
    """Sidecars by path, each with its result's size, or None where there is no result."""
    # A cursor of its own: another statement on the same connection would end this one's result.
    found = database.cursor().execute(
        "select sidecar.path, result.size from files sidecar left join files result "
        "on result.path = left(sidecar.path, length(sidecar.path) - length($suffix)) "
        "where ends_with(sidecar.path, $suffix) order by sidecar.path",
        {"suffix": SIDECAR_SUFFIX},
    )
    while batch := found.fetchmany(_BATCH):
        yield batch


def _row_or_reason(output: Store, path: str, result_size: int | None) -> Row | str:
    """A sidecar's row, or why there is none to be had."""
    result = path.removesuffix(SIDECAR_SUFFIX)
    if result_size is None:
        return "its result is missing; restore makes it again"
    try:
        row = parse_sidecar(output.read(path))
    except (OSError, StoreError) as error:  # the second: its name is none that a result of ours can have
        return f"it cannot be read ({_reason(error)})"
    except SidecarError as error:
        return f"{error}; verify --repair writes it again where the manifest has its row, else restore makes both again"
    if row["output_path"] != result:
        return f"it describes {row['output_path']}, not the file beside it; move it back"
    if row["item_id"] != item_id(row["source_path"] or ""):
        return "its item id is not that of its source path; restore makes result and sidecar again"
    if row["output_size"] != result_size:
        return f"its result has {result_size} bytes, not {row['output_size']}; restore makes it again"
    return row


def _missing_rows(database: DuckDBPyConnection, rows: list[Row]) -> list[Row]:
    """Rows whose result no manifest row of the same or a later run names."""
    batch = pa.Table.from_pylist([{name: columns_of(row)[name] for name in _KEY} for row in rows], schema=_KEY_SCHEMA)
    database.register("batch", batch.append_column("number", pa.array(range(len(rows)), pa.int64())))
    found = database.execute(
        "select number from batch where not exists (select 1 from known where known.item_id = batch.item_id "
        "and known.identity is not distinct from batch.identity "
        "and known.output_sha256 is not distinct from batch.output_sha256 and known.run_id >= batch.run_id) order by number"
    ).fetchall()
    database.close()
    return [rows[number] for (number,) in found]


def _is_utf8(path: str) -> bool:
    try:
        path.encode()
    except UnicodeEncodeError:  # no output of ours: such names are refused when planning
        return False
    return True


def _reason(error: Exception) -> str:
    text = (error.strerror if isinstance(error, RetriesExhaustedError) else "") or str(error) or type(error).__name__
    return redact(text)[:300]
