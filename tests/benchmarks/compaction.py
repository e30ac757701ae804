"""What a manifest of many small files costs a plan, and what compacting it gains.

    python tests/benchmarks/compaction.py                       100,000 items in 50, 500 and 5,000 files; minutes
    python tests/benchmarks/compaction.py --cases 100000:20000:1

A case is ITEMS:FILES:GENERATIONS: each item has a row in each generation (as after a change of settings), and a night writes
ten files. Listings come from this process and manifest files from a local disk, so a request costs next to nothing here: on an
object store the time of two requests a file (HEAD and GET), eight files at a time, comes on top. Hashes and measurements are
random, so that rows take the bytes that real ones take. Each measurement is a process of its own.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from facts import RESULTS, peak_mb, text_table, write_results

from pipelines.manifest.compact import compact_manifest
from pipelines.manifest.identity import software_versions
from pipelines.manifest.index import open_index
from pipelines.manifest.runs import new_run_id
from pipelines.plan.plan import make_plan
from pipelines.settings import Settings
from pipelines.store.layout import MANIFEST, RUNS
from pipelines.store.store import Store

sys.path.append(str(Path(__file__).parents[1] / "support"))
import synthetic_archive as synthetic

COLUMNS = (
    "items", "files", "generations", "when", "manifest_files", "manifest_mb", "bytes_a_row", "plan_s",
    "plan_cpu_s", "plan_peak_over_start_mb", "locate_cpu_s", "duckdb_s", "compact_s",
)  # fmt: skip
_A_NIGHT = 10  # files


def write_manifest(folder: Path, items: int, files: int, generations: int) -> Settings:
    """A manifest of all items in `files` files of nightly runs; settings of a plan that finds them done."""
    from faithdiff_model.weights.files import model_digest

    settings = synthetic.synthetic_archive(folder, items, done=0)
    settings = Settings(**(settings.model_dump() | {"output": f"synthetic://restored-{items}"}))
    synthetic.SyntheticFileSystem.own[f"restored-{items}"] = folder
    (folder / RUNS).mkdir(parents=True)
    constant = synthetic._constant_columns(settings, model_digest(settings.model_spec()))
    constant |= {
        "settings": json.dumps(settings.result_settings(), sort_keys=True), "software": software_versions(), "device": "none",
        "media_kind": "photo", "media_format": "JPEG", "width": 4000, "height": 3000, "channels": 3, "bit_depth": 8,
        "colour_profile": "sRGB", "output_format": "PNG", "model_preset": "tiny", "parts": 4, "lq_psnr_db": 31.5,
    }  # fmt: skip
    a_generation = files // generations
    began = datetime(2025, 1, 1, tzinfo=UTC)
    for number in range(a_generation * generations):
        night = began + timedelta(days=number // _A_NIGHT)
        run = f"{night:%Y%m%dT%H%M%S}.000Z-aaaaaa"
        place = number % a_generation
        rows = range(items * place // a_generation, items * (place + 1) // a_generation)
        path = folder / MANIFEST / f"run={run}" / f"part-{number % _A_NIGHT:05d}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        synthetic._write_part(path, rows, settings, constant | {"run_id": run, "finished_at": night})
        pq.write_table(_with_real_entropy(pq.ParquetFile(path).read()), path, compression="zstd")
        (folder / RUNS / f"{run}.json").write_text('{"only": ""}')
    return settings


def _with_real_entropy(table: pa.Table) -> pa.Table:
    """Digests that are digests, and measurements that differ."""
    paths = table["source_path"].to_pylist()
    columns: dict[str, list[Any]] = {
        name: [hashlib.sha256(f"{name} {path}".encode()).hexdigest() for path in paths]
        for name in ("source_sha256", "output_sha256", "identity")
    }
    draw = random.Random(paths[0] if paths else "")
    for name in ("lq_psnr_db", "seconds_read", "seconds_decode", "seconds_tile", "seconds_restore", "seconds_write"):
        columns[name] = [draw.random() * 30 for _ in paths]
    for name, values in columns.items():
        place = table.schema.get_field_index(name)
        table = table.set_column(place, table.schema.field(place), pa.array(values, table.schema.types[place]))
    return table


def measure(settings: Settings, folder: Path) -> dict[str, Any]:
    """A plan, the places of current rows, and a query without our code, in this process."""
    import duckdb

    before = peak_mb()
    plan, planned, planned_cpu = _timed(lambda: make_plan(settings))
    peak = peak_mb()
    items = int(settings.source.rpartition("-")[2])
    assert (plan.done, len(plan.pending)) == (items, 0)
    count, placed, placed_cpu = _timed(lambda: _located(folder))
    query = f"select count(distinct item_id) from '{folder}/{MANIFEST}/*/*.parquet'"
    answer, asked, asked_cpu = _timed(lambda: duckdb.sql(query).fetchall())
    assert (count, answer) == (items, [(items,)])
    return {
        "plan_s": planned,
        "plan_cpu_s": planned_cpu,
        "plan_peak_mb": peak,
        "plan_peak_over_start_mb": peak - before,
        "locate_s": placed,
        "locate_cpu_s": placed_cpu,
        "duckdb_s": asked,
        "duckdb_cpu_s": asked_cpu,
    }


def _located(folder: Path) -> int:
    with open_index(Store(str(folder))) as found:
        return found.count


def _timed(call: Callable[[], Any]) -> tuple[Any, float, float]:
    """What it returns, seconds, and processor seconds of all threads: those depend less on who shares the machine."""
    began, began_cpu = time.perf_counter(), time.process_time()
    result = call()
    return result, round(time.perf_counter() - began, 2), round(time.process_time() - began_cpu, 2)


def compact(folder: Path, rows: int) -> dict[str, Any]:
    """One compaction in this process."""
    before = peak_mb()
    store = Store(str(folder))
    done, seconds, cpu = _timed(
        lambda: compact_manifest(store, compaction_id=new_run_id(), lease_seconds=60, rows=rows)
    )
    assert not done.left
    return {
        "compact_s": seconds,
        "compact_cpu_s": cpu,
        "compact_peak_over_start_mb": peak_mb() - before,
        "new_files": done.written,
        "rows_rewritten": done.rows,
    }


def case(items: int, files: int, generations: int, rows: int) -> list[dict[str, Any]]:
    """The manifest as it grew, and after compaction."""
    with tempfile.TemporaryDirectory(prefix="faitharchive-benchmark-") as name:
        folder = Path(name)
        settings = write_manifest(folder, items, files, generations)
        first = {"items": items, "files": files, "generations": generations, "when": "as written"}
        grown = first | _sizes(folder, items * generations) | _apart("measure", folder, settings)
        cost = _apart("compact", folder, settings, rows)
        then = first | {"when": "compacted"} | _sizes(folder, items * generations) | _apart("measure", folder, settings)
        return [grown, then | cost]


def _apart(what: str, folder: Path, settings: Settings, rows: int = 0) -> dict[str, Any]:
    command = [sys.executable, __file__, "--one", what, "--folder", str(folder), "--rows", str(rows)]
    command += ["--settings", json.dumps({"source": settings.source, "output": settings.output})]
    finished = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    found: dict[str, Any] = json.loads(finished.stdout)
    return found


def _one(options: argparse.Namespace) -> dict[str, Any]:
    if options.one == "compact":
        return compact(options.folder, options.rows)
    import fsspec

    fsspec.register_implementation("synthetic", synthetic.SyntheticFileSystem, clobber=True)
    with tempfile.TemporaryDirectory() as name:  # imports what planning needs
        make_plan(synthetic.synthetic_archive(Path(name), 10))
    settings = Settings(**json.loads(options.settings), preset="tiny", steps=1)
    synthetic.SyntheticFileSystem.own[settings.output.removeprefix("synthetic://")] = options.folder
    return measure(settings, options.folder)


def _sizes(folder: Path, rows: int) -> dict[str, Any]:
    sizes = [path.stat().st_size for path in (folder / MANIFEST).rglob("*.parquet")]
    return {
        "manifest_files": len(sizes),
        "manifest_mb": round(sum(sizes) / 1e6, 2),
        "bytes_a_row": round(sum(sizes) / rows, 1),
    }


def main(arguments: list[str] | None = None) -> dict[str, Any]:
    """All cases and their table; returns what was kept."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", default="100000:50:1,100000:500:1,100000:5000:1,100000:5000:5")
    parser.add_argument("--rows", type=int, default=20_000, help="most rows of a compacted file")
    parser.add_argument("--label", default="", help="added to the name of the results")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder for the results")
    parser.add_argument("--one", default="", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--settings", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.one:
        print(json.dumps(_one(options)))
        return {}
    rows: list[dict[str, Any]] = []
    for text in options.cases.split(","):
        items, files, generations = (int(number) for number in text.split(":"))
        rows += case(items, files, generations, options.rows)
        print(text_table(rows[-2:], COLUMNS), flush=True)
    kept = {"what": "synthetic manifest on local disk", "most_rows_a_file": options.rows, "rows": rows}
    print(text_table(rows, COLUMNS))
    print(write_results(f"compaction{options.label}", "cpu", kept, options.out))
    return kept


if __name__ == "__main__":
    main()
