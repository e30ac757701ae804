"""The engine without a model: rows a second, the driver's memory, model loads, how busy replicas are, time to the first result.

    python tests/benchmarks/engine.py                            some minutes; starts local Rays
    python tests/benchmarks/engine.py --before OTHER_CHECKOUT    both, in turns, in one table

A replica waits for a time in place of a network; everything else is what users run: real files, Ray, leases, sidecars,
manifest. Each measurement is a process of its own. `engine_hooks.py` is what Ray's workers do otherwise.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
COLUMNS = (
    "what",
    "code",
    "items",
    "rows_a_second",
    "first_s",
    "driver_bytes_a_pending_row",
    "model_loads",
    "busy_share",
)


def pixels(folder: Path, count: int, side: int) -> None:
    """`count` small photographs, no two alike."""
    import numpy as np
    from PIL import Image

    rng = np.random.default_rng(0)
    for number in range(count):
        path = folder / f"box {number // 500}" / f"{number:06d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (side, side), np.uint8)).save(path)


def one(options: dict[str, Any]) -> dict[str, Any]:
    """One measurement, in this process. See `MEASURES` for the options."""
    from facts import resident

    from jobs.service.environment import prepare_environment

    prepare_environment()
    import ray

    with tempfile.TemporaryDirectory(prefix="engine-") as name:
        folder = Path(name)
        log = folder / "waits"
        log.mkdir()
        hook = json.dumps({"log": str(log), "seconds": options["seconds"]})
        # Workers find the hook beside this file, and the package where this process has it.
        paths = os.pathsep.join([str(HERE), os.environ["ENGINE_ROOT"]])
        hooks = {"worker_process_setup_hook": "engine_hooks.install"}
        hooks["env_vars"] = {"PYTHONPATH": paths, "ENGINE_HOOK": hook, "OMP_NUM_THREADS": "1"}
        # More CPUs than there are: the waits take none, and real ones are shared by what is at work.
        ray.init(
            address="local", num_cpus=options["replicas"] + 3, object_store_memory=400 << 20, include_dashboard=False,
            log_to_driver=False, logging_level="ERROR", runtime_env=hooks,
        )  # fmt: skip
        try:
            found = _run(options, folder, resident)
        finally:
            ray.shutdown()
        return found | _waits(log)


def _run(options: dict[str, Any], folder: Path, resident: Any) -> dict[str, Any]:
    from pipelines.manifest.runs import new_run_id
    from pipelines.plan.plan import make_plan
    from pipelines.run import driver
    from pipelines.settings import Settings

    pixels(folder / "in", options["items"], options["side"])
    if options["turns"]:
        _in_turns(options["items"] // options["turns"])
    settings = Settings(
        source=str(folder / "in"), output=str(folder / "out"), preset="nano", replicas=options["replicas"],
        cpus=options["replicas"] + 3, cpu_threads=1, upscale=1, trust="off", repair_damage="off",
    )  # fmt: skip
    plan = make_plan(settings)
    if options["pending"]:
        plan = _many(plan, options["pending"])
    before, began, came = resident(), time.monotonic(), list[float]()
    most = 0

    def on_row(_: object) -> None:
        nonlocal most
        came.append(time.monotonic())
        if len(came) in (1, 50, 100, 200):
            most = max(most, resident() - before)
        if options["pending"] and len(came) >= options["items"]:
            stop.request("enough")

    from pipelines.run.stop import Stop

    stop = Stop()
    driver.run(plan, settings, run_id=new_run_id(), on_row=on_row, stop=stop)
    # The first rows wait for processes to start; the rate is that of the rest.
    steady = (len(came) - 1) / (came[-1] - came[0]) if len(came) > 1 else 0.0
    found: dict[str, Any] = {"items": options["pending"] or len(came), "first_s": round(came[0] - began, 1)}
    found["rows_a_second"] = round(steady, 1)
    if options["pending"]:
        found["driver_bytes_a_pending_row"] = round(most / options["pending"])
        del found["rows_a_second"]  # the end of it is a stop
    return found


def _many(plan: Any, count: int) -> Any:
    """A plan of as many rows, of which the first are there and the others were never files."""
    import dataclasses

    import pyarrow as pa

    from pipelines.plan.pending import PendingRows

    table = plan.pending.table
    extra = count - table.num_rows
    columns = {name: pa.repeat(table[name][0], extra) for name in table.column_names}
    columns["source_path"] = pa.array([f"z/{number:07d}.png" for number in range(extra)])
    columns["item_id"] = pa.array([f"{number:032x}" for number in range(extra)])
    columns["output_path"] = columns["source_path"]
    whole = pa.concat_tables([table, pa.table(columns, schema=table.schema)])
    return dataclasses.replace(plan, pending=PendingRows(whole, plan.pending.builder))


def _in_turns(rows: int) -> None:
    """Have so few rows handed out at a time, in either way of handing out."""
    from pipelines.run import assembly, driver

    assembly._BLOCK_ROWS = 1
    if hasattr(driver, "_WAVE_ROWS"):  # before streams were fed
        driver._WAVE_ROWS, driver._WAVE_ROWS_A_REPLICA = rows, 0  # type: ignore[attr-defined]
    else:
        from pipelines.run import feeder

        feeder._BLOCKS, feeder._BLOCKS_A_REPLICA = rows, 0


def _waits(log: Path) -> dict[str, Any]:
    """Model loads, and how much of the time from each replica's first wait to its last one it waited: was busy."""
    files = [path.read_text().split() for path in log.iterdir()]
    found: dict[str, Any] = {"model_loads": len(files)}
    spans = [[float(value) for value in values] for values in files if len(values) >= 8]
    shares = []
    for values in spans:
        busy = sum(end - start for start, end in zip(values[::2], values[1::2], strict=True))
        shares.append(busy / (values[-1] - values[0]))
    if shares and max(value for values in spans for value in values):
        found["busy_share"] = round(sum(shares) / len(shares), 3)
    return found


DEFAULTS: dict[str, Any] = {"replicas": 1, "seconds": 0.0, "side": 24, "turns": 0, "pending": 0}
MEASURES: dict[str, dict[str, Any]] = {
    "small photographs": {"items": 2000},
    "a photograph a block": {"items": 400, "turns": 1},
    "100,000 pending": {"items": 200, "pending": 100_000},
    "five turns, 2 replicas": {"items": 50, "turns": 5, "replicas": 2},
    "busy, 1 replica": {"items": 40, "seconds": 1.0, "side": 512, "turns": 1},
    "busy, 4 replicas": {"items": 120, "seconds": 1.0, "side": 512, "turns": 1, "replicas": 4},
    "busy, 16 replicas": {"items": 320, "seconds": 2.0, "side": 512, "turns": 1, "replicas": 16},
}


def measured(name: str, root: Path, share: float) -> dict[str, Any]:
    """A measurement of the code in `root`, in a process of its own."""
    options = DEFAULTS | MEASURES[name]
    options["items"] = max(8, int(options["items"] * share))
    options["pending"] = int(options["pending"] * share)
    environment = {**os.environ, "PYTHONPATH": str(root), "ENGINE_ROOT": str(root), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(HERE / "engine.py"), "--one", json.dumps(options)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{name}: {done.stderr[-2000:]}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def main(arguments: list[str] | None = None) -> dict[str, Any]:
    """All measurements and their table; returns what was kept."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--before", type=Path, help="another checkout, measured in turns with this one")
    parser.add_argument("--only", action="append", choices=list(MEASURES), help="a measurement; by default all")
    parser.add_argument("--share", type=float, default=1.0, help="of the usual counts, to try it")
    parser.add_argument("--out", type=Path, help="folder for the results")
    parser.add_argument("--one", default="", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    sys.path.insert(0, str(HERE))
    if options.one:
        print(json.dumps(one(json.loads(options.one))))
        return {}
    from facts import RESULTS, text_table, write_results

    codes = {"before": options.before.resolve()} if options.before else {}
    codes["now"] = HERE.parents[1]
    rows = []
    for name in options.only or MEASURES:
        for code, root in codes.items():
            rows.append({"what": name, "code": code, **measured(name, root, options.share)})
            print(text_table(rows[-1:], COLUMNS).splitlines()[-1], flush=True)
    print(text_table(rows, COLUMNS))
    content = {"measures": MEASURES, "rows": rows}
    print(write_results("engine", "cpu", content, options.out or RESULTS))
    return content


if __name__ == "__main__":
    main()
