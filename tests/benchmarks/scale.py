"""Small measurements that infra/SCALE.md multiplies: what a planned item costs the driver, and what a core hashes.

    python tests/benchmarks/scale.py            some minutes; starts local Rays

Each in a process of its own. `ids` is the driver's set of items that still wait (`pipelines/run/driver.py`), `blocks` the
planned rows on their way into Ray Data, one a block as photographs above 1 MiB go (`pipelines/run/assembly.py`), `waves` what
stays of them when they go there wave by wave (`pipelines/run/driver.py`), `sha256` what verifying does.
"""

from __future__ import annotations

import argparse
import gc
import hashlib
import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
from facts import RESULTS, resident, text_table, write_results

from pipelines.manifest.naming import item_id
from pipelines.plan.pending import PENDING_SCHEMA, PendingRows, RowBuilder
from pipelines.store.store import Store

MIB = 1 << 20


def ids(count: int) -> dict[str, Any]:
    """The set of the ids of `count` waiting items."""
    column = pa.array([item_id(f"box {number // 1000}/{number}.jpg") for number in range(count)])
    before, began = resident(), time.perf_counter()
    waiting = set(column.to_pylist())
    seconds = time.perf_counter() - began
    assert len(waiting) == count
    return {"seconds": round(seconds, 2), "bytes_each": round((resident() - before) / count, 1)}


def blocks(count: int) -> dict[str, Any]:
    """`count` planned photographs of 20 MB made into a lazy Ray dataset: nothing of it runs yet."""
    import ray

    from pipelines.run.assembly import blocks as blocks_of

    pending = _pending(count)
    _start_ray()
    before, began = resident(), time.perf_counter()
    made = list(blocks_of(pending.table, spread=4000))
    dataset = ray.data.from_arrow(made)
    seconds = time.perf_counter() - began
    assert len(made) == count
    found = {
        "seconds": round(seconds, 2),
        "bytes_each": round((resident() - before) / count, 1),
        "a_second": round(count / seconds),
    }
    del dataset
    ray.shutdown()
    return found


def waves(count: int) -> dict[str, Any]:
    """As many go through Ray Data, by a task that does nothing, in five waves: what a block of a later wave leaves behind."""
    import ray

    from pipelines.run.assembly import blocks as blocks_of

    pending = _pending(count)
    _start_ray()
    ray.data.DataContext.get_current().enable_progress_bars = False
    sizes, rows, began = [resident()], 0, time.perf_counter()
    for wave in pending.waves(count // 5):
        dataset = ray.data.from_arrow(list(blocks_of(wave.table, spread=count)))
        for table in dataset.map_batches(lambda table: table, batch_format="pyarrow", batch_size=None).iter_batches(
            batch_size=None, batch_format="pyarrow"
        ):
            rows += table.num_rows
        del dataset, table
        gc.collect()  # as the run does
        sizes.append(resident())
    seconds = time.perf_counter() - began
    assert rows == count
    ray.shutdown()
    return {
        "seconds": round(seconds, 2),
        "bytes_each": round((sizes[5] - sizes[1]) / (count * 4 / 5), 1),
        "a_second": round(count / seconds),
        "resident_mb": [round(size / MIB) for size in sizes],
    }


def _pending(count: int) -> PendingRows:
    columns: dict[str, list[Any]] = {field.name: [None] * count for field in PENDING_SCHEMA}
    columns["source_path"] = [f"box {number // 1000}/{number}.jpg" for number in range(count)]
    columns["item_id"] = [item_id(path) for path in columns["source_path"]]
    columns["source_size"] = [20_000_000] * count
    expander = RowBuilder(Store("."), Store("."), settings_digest="", model_digest="", seed=0)
    return PendingRows(pa.table(columns, schema=PENDING_SCHEMA), expander)


def _start_ray() -> None:
    """And import what it needs."""
    import ray

    from pipelines.run.assembly import blocks as blocks_of

    ray.init(
        address="local", num_cpus=2, object_store_memory=500 * MIB, include_dashboard=False, logging_level="ERROR",
        log_to_driver=False,
    )  # fmt: skip
    ray.data.from_arrow(list(blocks_of(_pending(10).table, spread=10)))


def sha256(count: int) -> dict[str, Any]:
    """`count` times 4 MiB, one thread; nothing is read from anywhere."""
    data, digest, began = bytes(4 * MIB), hashlib.sha256(), time.perf_counter()
    for _ in range(count):
        digest.update(data)
    seconds = time.perf_counter() - began
    return {"seconds": round(seconds, 2), "mb_a_second": round(count * len(data) / 1e6 / seconds)}


MEASURES: dict[str, tuple[Callable[[int], dict[str, Any]], int]] = {
    "ids": (ids, 10_000_000),
    "blocks": (blocks, 20_000),
    "waves": (waves, 10_000),
    "sha256": (sha256, 1000),
}
COLUMNS = ("what", "count", "seconds", "bytes_each", "a_second", "mb_a_second")


def main(arguments: list[str] | None = None) -> dict[str, Any]:
    """All of them and their table; returns what was kept."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--share", type=float, default=1.0, help="of the usual counts, to try it")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder for the results")
    parser.add_argument("--one", default="", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.one:
        measure, count = MEASURES[options.one]
        print(json.dumps(measure(max(1, int(count * options.share)))))
        return {}
    rows = []
    for name, (_, count) in MEASURES.items():
        command = [sys.executable, __file__, "--one", name, "--share", str(options.share)]
        finished = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        rows.append({"what": name, "count": max(1, int(count * options.share)), **json.loads(finished.stdout)})
    kept = {"rows": rows}
    print(text_table(rows, COLUMNS))
    print(write_results("scale", "cpu", kept, options.out))
    return kept


if __name__ == "__main__":
    main()
