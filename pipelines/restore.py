"""THE assembly: what happens to a planned row, step by step. Reads top to bottom."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import ray
from ray.data import ActorPoolStrategy, DataContext, ExecutionResources

from pipelines.cluster import Resources, replica_resources
from pipelines.errors import ItemError
from pipelines.manifest import ManifestWriter
from pipelines.plan import Plan
from pipelines.rows import FAILED, PART_DONE, PENDING, RESTORED, Row, fail, new_row, to_table
from pipelines.settings import Settings
from pipelines.stages.caption import CaptionStage
from pipelines.stages.decode import Decode
from pipelines.stages.restore import Restore
from pipelines.stages.stitch import Stitch
from pipelines.stages.tile import Tile
from pipelines.stages.write import Write
from pipelines.storage import Store

OnRow = Callable[[Row], None]

# A source block: several small files share one trip through the driver (it manages some 30 trips a second), large ones go
# alone so that their pixels do not pile up.
_BLOCK_ROWS = 32
_BLOCK_BYTES = 1 << 20


@dataclass
class Outcome:
    """What became of a run's items."""

    restored: int = 0
    failed: int = 0
    by_code: dict[str, int] = field(default_factory=dict)

    def count(self, row: Row) -> None:
        """Count a final row."""
        if row["status"] == RESTORED:
            self.restored += 1
        elif row["status"] == FAILED:
            self.failed += 1
            self.by_code[row["error_code"]] = self.by_code.get(row["error_code"], 0) + 1


def build_stream(rows: list[Row], settings: Settings, resources: Resources) -> Any:
    """Planned rows -> a lazy Ray dataset of final rows, without any all-to-all step."""
    # 1. planned rows, small ones several a block                                            (driver)
    ds = ray.data.from_arrow([to_table(block) for block in blocks(rows, spread=4 * resources.replicas)])
    # 2. read, hash and decode                            1:1, a CPU task a block; cutting blocks into rows costs more
    ds = ds.map_batches(_task(Decode, settings), batch_size=None, batch_format="pyarrow", num_cpus=1)
    # 3. describe                                         1:1, LLaVA actors, a GPU each; left out without LLaVA
    if settings.captions == "llava":
        ds = ds.map_batches(
            CaptionStage,
            fn_constructor_kwargs={"settings": settings},
            batch_size=resources.rows_per_call,
            batch_format="pyarrow",
            compute=ActorPoolStrategy(min_size=1, max_size=settings.caption_replicas),
            num_gpus=resources.num_gpus,
            num_cpus=resources.num_cpus,
            max_restarts=-1,
            max_task_retries=3,
        )
    # 4. enlarge and cut into tiles                       1:N, a CPU task, one with step 2 where nothing stands between
    ds = ds.map_batches(_task(Tile, settings), batch_size=None, batch_format="pyarrow", num_cpus=1)
    # 5. restore                                          1:1, FaithDiff actors, a replica each, windows of rows batched
    ds = ds.map_batches(
        Restore,
        fn_constructor_kwargs={"settings": settings, "threads": resources.threads},
        batch_size=resources.rows_per_call,
        batch_format="pyarrow",
        compute=ActorPoolStrategy(min_size=1, max_size=resources.replicas),
        num_gpus=resources.num_gpus,
        num_cpus=resources.num_cpus,
        max_restarts=-1,  # a lost actor comes back ...
        max_task_retries=3,  # ... and its rows are tried again, but not for ever
    )
    # 6. publish: a photograph with its sidecar, or a durable tile               1:1, a CPU task
    return ds.map_batches(_task(Write, settings), batch_size=None, batch_format="pyarrow", num_cpus=1)


def build_assembly(rows: list[Row], settings: Settings) -> Any:
    """Photographs whose tiles are all durable -> final rows. One photograph a task: it is held whole while it is joined."""
    ds = ray.data.from_arrow([to_table([row]) for row in rows])
    return ds.map_batches(_task(Stitch, settings), batch_size=1, batch_format="pyarrow", num_cpus=1)


def run(plan: Plan, settings: Settings, *, run_id: str, flow_run_id: str = "", on_row: OnRow | None = None) -> Outcome:
    """Restore a plan's pending rows and write their manifest rows as they become final.

    Every planned item ends as exactly one row: what the cluster lost becomes a `failed` row here.

    Args:
        plan: from `make_plan`.
        settings: the same settings.
        run_id: names the run and its manifest files.
        flow_run_id: Prefect's id.
        on_row: called with each final row, for progress.
    """
    store = Store(settings.output)
    writer = ManifestWriter(store, run_id)
    outcome = Outcome()
    stamp = {"run_id": run_id, "flow_run_id": flow_run_id}

    def settle(row: Row) -> None:
        assert row["status"] in (RESTORED, FAILED), row["status"]
        row = {**row, **stamp, "finished_at": row["finished_at"] or datetime.now(UTC)}
        writer.add(row)
        outcome.count(row)
        if on_row:
            on_row(row)

    for row in plan.settled:
        writer.add({**row, **stamp})
        if row["status"] == FAILED:
            outcome.count(row)
    try:
        waiting = {row["item_id"]: row for row in plan.pending}
        for row in plan.pending:
            row.update(stamp)  # in place: a copy of every planned row would be the driver's largest thing
        complete = []
        if waiting:
            _configure_ray_data()
            stream = build_stream(list(waiting.values()), settings, replica_resources(settings))
            for row in _items(final_rows(stream), waiting):
                if row["status"] == PART_DONE:
                    complete.append({**row, "status": PENDING})
                else:
                    del waiting[row["item_id"]]
                    settle(row)
        if complete:
            for row in final_rows(build_assembly(complete, settings)):
                del waiting[row["item_id"]]
                settle(row)
        for row in waiting.values():
            reason = f"{row['source_path']}: no result came back from the cluster; the next run tries it again"
            settle(fail(row, "run", ItemError("lost", reason)))
    finally:
        writer.flush()
    return outcome


def blocks(rows: list[Row], *, spread: int) -> Iterator[list[Row]]:
    """Rows in source blocks of at most 32 rows and 1 MiB of files, and in at least `spread` blocks where there are as many."""
    most = max(1, min(_BLOCK_ROWS, len(rows) // max(1, spread)))
    block: list[Row] = []
    size = 0
    for row in rows:
        weight = row["source_size"] or 0
        if block and (len(block) >= most or size + weight > _BLOCK_BYTES):
            yield block
            block, size = [], 0
        block.append(row)
        size += weight
    if block:
        yield block


def final_rows(dataset: Any) -> Iterator[Row]:
    """The rows of a stream as they come, as whole row dicts."""
    for table in dataset.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=0):
        for row in table.to_pylist():
            yield new_row() | row


def _items(rows: Iterator[Row], waiting: dict[str, Row]) -> Iterator[Row]:
    """Parts to items: a photograph's row once all its tiles are durable (as `part_done`), or its first failure."""
    durable: dict[str, set[int]] = {}
    for row in rows:
        if row["item_id"] not in waiting:
            continue  # a sibling tile failed before
        if row["status"] != PART_DONE:
            yield row
            continue
        tiles = durable.setdefault(row["item_id"], set())
        tiles.add(row["part"])
        if len(tiles) == row["parts"]:
            yield row


def _task(stage: type, settings: Settings) -> Callable[[Any], Any]:
    """A stage as a function for stateless tasks, which make it when they first call it."""
    made: dict[str, Any] = {}

    def call(table: Any) -> Any:
        if "stage" not in made:
            made["stage"] = stage(settings)
        return made["stage"].stream(table)

    call.__name__ = stage.__name__
    return call


def _configure_ray_data() -> None:
    # Ray 2.60 has no other name yet for max_restarts and max_task_retries, and warns at each use.
    warnings.filterwarnings("ignore", message="`ray_remote_args` is deprecated")
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    context = DataContext.get_current()
    context.enable_progress_bars = False  # ours counts items, not blocks
    context.print_on_execution_start = False
    store = ray.cluster_resources().get("object_store_memory", 0)
    # Half the object store: the rest is for blocks that are being written while others are read.
    context.execution_options.resource_limits = ExecutionResources.for_limits(object_store_memory=store / 2)
