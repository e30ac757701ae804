"""What lies in the output store and what its manifest says of it, into the tables of a plan."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pyarrow as pa

from faithdiff_model.redaction import redact_url
from pipelines.manifest.naming import folded, refusal, suffix_of
from pipelines.manifest.reader import manifest_files, read_manifest_file
from pipelines.manifest.scratch import BATCH
from pipelines.plan.tables import ADOPTED_RECORDS, FILES, RECORD_COLUMNS, RECORDS, SIDECARS, PlanDatabase
from pipelines.rows import RESTORED
from pipelines.store.concurrency import map_threaded
from pipelines.store.layout import PRIVATE, SIDECAR_SUFFIX, planned_output
from pipelines.store.store import Store, StoreError

__all__ = ["as_records", "load_manifest", "load_output", "recorded_revisions"]

_READERS = 8  # manifest files read at a time, about a megabyte each
_LONGEST = 4096


def load_output(database: PlanDatabase, output: Store) -> None:
    """Fill `files` and `sidecars` from the store's listing.

    Raises:
        StoreError: it cannot be listed.
    """
    database.create(FILES, SIDECARS)
    with database.batch_insert(FILES) as files, database.batch_insert(SIDECARS) as sidecars:
        for entry in output.list():
            if entry.path.startswith(f"{PRIVATE}/") or not _is_text(entry.path):
                continue
            if entry.path.endswith(SIDECAR_SUFFIX):
                sidecars.add(entry.path.removesuffix(SIDECAR_SUFFIX))
            else:
                files.add(entry.path, entry.size)


def load_manifest(database: PlanDatabase, output: Store) -> list[str]:
    """Fill `records`; makes `adopted`, empty. Returns the manifest files, in the order of `records.file`.

    Raises:
        StoreError: a manifest file cannot be read; named.
    """
    database.create(RECORDS, ADOPTED_RECORDS)
    files = [entry.path for entry in manifest_files(output)]
    waiting: list[pa.Table] = []
    for number, table in enumerate(map_threaded(lambda path: _read(output, path), files, _READERS)):
        waiting.append(as_records(table, number, range(table.num_rows)))
        if sum(map(len, waiting)) >= BATCH:
            database.insert(RECORDS, pa.concat_tables(waiting))
            waiting = []
    if waiting:
        database.insert(RECORDS, pa.concat_tables(waiting))
    return files


def recorded_revisions(database: PlanDatabase) -> list[dict[str, str]]:
    """The hub commits that results were made with, by part of the model, those of the newest run first.

    Args:
        database: with `records` and `adopted` filled.
    """
    column = f"select run_id, model_revision from {{}} where model_revision <> '' and status = '{RESTORED}'"
    texts = database.column(
        f"select model_revision from ({column.format('records')} union all {column.format('adopted')}) "
        "group by model_revision order by max(run_id) desc, model_revision"
    )
    return [found for text in texts if (found := _revisions(text))]


def _revisions(text: str) -> dict[str, str]:
    """What a row says of commits; nothing where another program wrote something else."""
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return {part: value for part, value in found.items() if isinstance(value, str)} if isinstance(found, dict) else {}


def as_records(table: pa.Table, file: int, positions: Sequence[int]) -> pa.Table:
    """Manifest rows as rows of `records`; an output path that is none is left to be found missing."""
    outputs = [path if _is_output(path) else None for path in table["output_path"].to_pylist()]
    columns = [*table.select(RECORD_COLUMNS[:-1]).columns, table["finished_at"].cast(pa.int64())]
    columns += [
        pa.array([path and folded(planned_output(path)) for path in outputs], pa.string()),
        pa.array([path and suffix_of(planned_output(path)) for path in outputs], pa.string()),
        pa.array([file] * table.num_rows, pa.int32()),
        pa.array(positions, pa.int64()),
    ]
    return pa.Table.from_arrays(columns, schema=RECORDS.schema)


def _read(output: Store, path: str) -> pa.Table:
    table = read_manifest_file(output, path, RECORD_COLUMNS)
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
