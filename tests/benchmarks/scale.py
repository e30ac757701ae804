"""Small measurements that infra/SCALE.md multiplies: what a planned item costs the driver, and what a core hashes.

    python tests/benchmarks/scale.py            some minutes; starts local Rays

Each in a process of its own. `ids` is the driver's set of items that still wait (`pipelines/run/driver.py`), `blocks` the
planned rows on their way into a plain Ray dataset, one a block as photographs above 1 MiB go (`pipelines/run/assembly.py`),
`fed` what stays of them when they are handed to it while it runs (`pipelines/run/feeder.py`), `sha256` what verifying does.
"""

from __future__ import annotations

import argparse
import gc
import hashlib
import itertools
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


def fed(count: int) -> dict[str, Any]:
    """As many go through a stream that is fed, by a task that does nothing, 64 at a time: what a block leaves behind."""
    from pipelines.run.assembly import blocks as blocks_of
    from pipelines.run.streaming import StreamOptions, open_stream

    pending = _pending(count)
    _start_ray()
    stream = open_stream(_nothing, StreamOptions())
    made = iter(blocks_of(pending.table, spread=count))
    under_way = rows = 0
    sizes, began = [resident()], time.perf_counter()
    for block in itertools.islice(made, 64):
        stream.add(block)
        under_way += 1
    for table in stream.tables():
        rows, under_way = rows + table.num_rows, under_way - 1
        block = next(made, None)
        if block is not None:
            stream.add(block)
            under_way += 1
        elif not under_way:
            stream.close()
        if rows % (count // 5) == 0:
            gc.collect()
            sizes.append(resident())
    seconds = time.perf_counter() - began
    assert rows == count
    import ray

    ray.shutdown()
    return {
        "seconds": round(seconds, 2),
        "bytes_each": round((sizes[5] - sizes[1]) / (count * 4 / 5), 1),
        "a_second": round(count / seconds),
        "resident_mb": [round(size / MIB) for size in sizes],
    }


def _nothing(dataset: Any) -> Any:
    return dataset.map_batches(lambda table: table, batch_format="pyarrow", batch_size=None)


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
    "fed": (fed, 10_000),
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
