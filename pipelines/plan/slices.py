"""A plan in slices: the pending rows of each shard as a Parquet file in the output store, and a header that names them.

The planner writes both once, the header last: where it lies, all slices are whole. Whoever drives a shard, on whichever
machine, reads the header and its own slice, and nothing else of the plan.
"""

from __future__ import annotations

import hashlib
import io
import json
import tempfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from faithdiff_model.redaction import redact
from pipelines.errors import first_line
from pipelines.plan.choices import Choice
from pipelines.plan.header import (
    AGAIN,
    HEADER,
    VERSION,
    ChosenSettings,
    PlanFileError,
    PlanHeader,
    SliceFile,
    check_shard,
    software,
)
from pipelines.plan.pending import PENDING_SCHEMA, ArrowSpill, PendingRows
from pipelines.plan.plan import Plan
from pipelines.settings import Settings
from pipelines.store.large_files import file_digest
from pipelines.store.layout import plan_folder
from pipelines.store.lease import Lease
from pipelines.store.store import Store
from pipelines.store.urls import absolute_store

__all__ = ["MOST_SHARDS", "read_slice", "shard_count", "shard_of", "write_slices"]

MOST_SHARDS = 9999
# A driver holds some 1.2 KB of each item to the end (tests/benchmarks/scale.py): one of a million items stays below 2 GB.
_ITEMS_A_SHARD = 1_000_000
_OPEN_FILES = 256  # slices that are written at a time; of more of them the plan is gone through again
_BATCH_ROWS = 65_536


def shard_of(item_id: str, shards: int) -> int:
    """Which of so many shards an item is in, from 1: by a hash of its id (CRC-32), so that folders are spread over all."""
    return zlib.crc32(item_id.encode()) % shards + 1


def shard_count(wanted: int, pending: int) -> int:
    """In how many shards a run goes.

    Args:
        wanted: the setting; 0 takes one for each million items.
        pending: items that are due; there are never more shards than that.
    """
    number = wanted or -(-pending // _ITEMS_A_SHARD)
    return max(1, min(number, pending, MOST_SHARDS))


def write_slices(store: Store, plan: Plan, settings: Settings, lease: Lease, shards: int) -> PlanHeader:
    """Publish a plan's pending rows in slices, then their header. A request a slice, and one more.

    Args:
        store: the output store.
        plan: from `make_plan`.
        settings: the same settings.
        lease: of the output, held by the run that planned.
        shards: how many slices.

    Raises:
        OSError: the store cannot be written.
    """
    folder, slices = plan_folder(lease.run_id), list[SliceFile]()
    for first in range(1, shards + 1, _OPEN_FILES):
        numbers = range(first, min(first + _OPEN_FILES, shards + 1))
        with tempfile.TemporaryDirectory(prefix="faitharchive-") as local:
            for number, (path, rows) in zip(
                numbers, _split(plan.pending.table, shards, numbers, Path(local)), strict=True
            ):
                name = f"shard-{number:04d}.parquet"
                slices.append(SliceFile(name, rows, file_digest(path)[0]))
                if store.local:
                    store.publish(f"{folder}/{name}", path.read_bytes())
                else:
                    store.publish_file(f"{folder}/{name}", path)
    builder = plan.pending.builder
    header = PlanHeader(
        version=VERSION,
        run_id=lease.run_id,
        lease=lease.number,
        software=software(),
        settings=settings.with_absolute_paths(absolute_store),
        settings_digest=builder.settings_digest,
        model_digest=builder.model_digest,
        model_revision=builder.model_revision,
        seed=builder.seed,
        chosen={text: _as_chosen(choice) for text, choice in builder.chosen.items()},
        slices=slices,
        done=plan.done,
    )
    store.publish(f"{folder}/{HEADER}", (json.dumps(header.model_dump(mode="json"), indent=1) + "\n").encode())
    return header


def _as_chosen(choice: Choice) -> ChosenSettings:
    model = choice.model
    return ChosenSettings(
        settings=choice.settings.with_absolute_paths(absolute_store),
        digest=model.digest,
        described_by=model.described_by,
        revision=model.revision,
    )


def _split(table: pa.Table, shards: int, numbers: Sequence[int], folder: Path) -> list[tuple[Path, int]]:
    """Write the slices of some shards in one way through the table, a batch of it in memory at a time: files and their rows."""
    paths = {number: folder / str(number) for number in numbers}
    rows = dict.fromkeys(numbers, 0)
    with ExitStack() as files:
        writers = {
            number: files.enter_context(pq.ParquetWriter(path, PENDING_SCHEMA, compression="zstd"))
            for number, path in paths.items()
        }
        for start in range(0, table.num_rows, _BATCH_ROWS):
            batch = table.slice(start, _BATCH_ROWS)
            places: dict[int, list[int]] = {}
            for place, item_id in enumerate(batch["item_id"].to_pylist()):
                places.setdefault(shard_of(item_id, shards), []).append(place)
            for number in places.keys() & set(numbers):
                writers[number].write_table(batch.take(pa.array(places[number], pa.int64())))
                rows[number] += len(places[number])
    return [(paths[number], rows[number]) for number in numbers]


def read_slice(store: Store, header: PlanHeader, shard: int) -> PendingRows:
    """The pending rows of a shard. They lie on local disk, and are mapped into memory.

    Raises:
        PlanFileError: there is no such shard, or its file is missing, damaged or another version's.
    """
    check_shard(header, shard)
    about = header.slices[shard - 1]
    path = f"{plan_folder(header.run_id)}/{about.name}"
    name = f"plan file {store.uri(path)}"
    try:
        data = store.read(path)
    except OSError as error:
        raise PlanFileError(
            f"{name}: cannot be read ({redact(error.strerror or type(error).__name__)}); {AGAIN}"
        ) from error
    if hashlib.sha256(data).hexdigest() != about.sha256:
        raise PlanFileError(f"{name}: is damaged (its checksum is not the one in {HEADER}); {AGAIN}")
    spill = ArrowSpill(PENDING_SCHEMA)
    try:
        for table in _tables(data):
            spill.add(table)
    except (pa.ArrowException, OSError, ValueError, KeyError) as error:
        raise PlanFileError(f"{name}: is damaged, or of another version ({first_line(error)}); {AGAIN}") from error
    return PendingRows(spill.table(), header.builder())


def _tables(data: bytes) -> Iterator[pa.Table]:
    file = pq.ParquetFile(io.BytesIO(data))
    for number in range(file.num_row_groups):
        yield file.read_row_group(number)
