"""The whole pipeline against a plain loop over the same files, and its memory as the archive grows. See README.md.

    python tests/benchmarks/pipeline.py

Every measurement is a process of its own (`--only`), so that neither warms or fills the other's memory.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from archive import make_archive
from facts import RESULTS, text_table, write_results

RATE_COLUMNS = ("way", "items", "items_an_hour", "items_an_hour_with_start", "start_s", "work_s", "whole_process_s")
MEMORY_COLUMNS = ("items", "peak_resident", "peak_proportional", "peak_driver", "peak_store", "peak_processes")
_STORE_MB = 200


def settings_of(options: argparse.Namespace, source: Path, output: Path) -> Any:
    """The pipeline's settings, for both ways."""
    from pipelines.settings import Settings

    return Settings(
        source=str(source),
        output=str(output),
        preset="tiny",
        device="cpu",
        steps=options.steps,
        upscale=2,
        object_store_mb=_STORE_MB,
        cpus=1,  # with one replica: logical CPUs for Ray's own planning, three in all
        disclosure=False,
        undisclosed_because="the plain loop states nothing, and both must write the same bytes",
        **{"replicas": 1, "cpu_threads": options.threads, **json.loads(options.settings)},
    )


def pipeline_way(options: argparse.Namespace, source: Path, output: Path) -> dict[str, Any]:
    """`make_plan`, `connected`, `run`: what the flow calls, without Prefect."""
    entered = time.monotonic()
    from jobs.service.environment import prepare_environment

    prepare_environment()
    from pipelines.manifest.runs import new_run_id
    from pipelines.plan.plan import make_plan
    from pipelines.run.cluster import connected
    from pipelines.run.driver import run

    settings = settings_of(options, source, output)
    marks: dict[str, float] = {"imported": time.monotonic()}
    arrivals: list[float] = []
    sampler = None
    if options.sample:
        from memory import MemorySampler

        sampler = MemorySampler(options.sample).start()
    plan = make_plan(settings)
    marks["planned"] = time.monotonic()
    with connected(settings):
        marks["connected"] = time.monotonic()
        from datetime import UTC, datetime

        run_id = new_run_id(datetime.now(UTC))
        outcome = run(plan, settings, run_id=run_id, on_row=lambda row: arrivals.append(time.monotonic()))
        marks["ran"] = time.monotonic()
    memory = sampler.stop() if sampler else None
    assert outcome.restored == len(plan.pending), outcome
    # Rows come in blocks: the rate is of those after the first block, over the time since it came.
    first = arrivals[0]
    later = sum(arrival > first + 0.05 for arrival in arrivals)
    return {
        "way": "pipeline",
        "items": outcome.restored,
        "start_s": first - entered,
        "work_s": arrivals[-1] - first,
        "items_an_hour": 3600 * later / (arrivals[-1] - first),
        "items_an_hour_with_start": 3600 * outcome.restored / (time.monotonic() - entered),
        "marks": {name: mark - entered for name, mark in marks.items()},
        "memory": memory,
    }


def loop_way(options: argparse.Namespace, source: Path, output: Path) -> dict[str, Any]:
    """Decode, enlarge, restore, encode, write: the same functions in one process, one file after the other."""
    entered = time.monotonic()
    import numpy as np
    import torch

    from faithdiff_model.build import build_restorer
    from faithdiff_model.image.resize import enlarge, from_unit_float
    from pipelines.media.kinds import PHOTO_SUFFIXES
    from pipelines.media.photo.decode import DecodeLimits, decode
    from pipelines.media.photo.encode import encode

    settings = settings_of(options, source, output)
    torch.set_num_threads(settings.cpu_threads)  # changes bits, so as many as the pipeline gives its replica
    restorer = build_restorer(settings.model_spec(), settings.restore_options(1))
    files = sorted(path for path in source.rglob("*") if path.suffix in PHOTO_SUFFIXES)
    loaded = time.monotonic()
    stages = dict.fromkeys(("decode", "enlarge", "restore", "write"), 0.0)

    def timed(name: str, function: Callable[[], Any]) -> Any:
        started = time.monotonic()
        result = function()
        stages[name] += time.monotonic() - started
        return result

    def lq_of(photo: Any) -> np.ndarray:
        height, width, _ = photo.pixels.shape
        return from_unit_float(enlarge(photo.pixels, height * 2, width * 2), photo.pixels.dtype)

    def write(path: Path, photo: Any, pixels: np.ndarray) -> None:
        target = (output / path.relative_to(source)).with_suffix(".png")
        target.parent.mkdir(parents=True, exist_ok=True)
        dpi = (photo.dpi[0] * 2, photo.dpi[1] * 2) if photo.dpi else None
        target.write_bytes(encode(pixels, format="PNG", icc_profile=photo.icc_profile, dpi=dpi))

    for path in files:
        photo = timed("decode", lambda path=path: decode(path.read_bytes(), path.name, DecodeLimits()))
        lq = timed("enlarge", lambda photo=photo: lq_of(photo))
        result = timed("restore", lambda lq=lq: restorer.restore([lq], [""], [settings.seed])[0])
        timed("write", lambda path=path, photo=photo, result=result: write(path, photo, result))
    ended = time.monotonic()
    return {
        "way": "loop",
        "items": len(files),
        "start_s": loaded - entered,
        "work_s": ended - loaded,
        "items_an_hour": 3600 * len(files) / (ended - loaded),
        "items_an_hour_with_start": 3600 * len(files) / (ended - entered),
        "stages_s": stages,
    }


def digests(folder: Path) -> dict[str, str]:
    """SHA-256 of every result below a folder."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*.png")
    }


def in_process(way: str, source: Path, output: Path, options: argparse.Namespace, sample: float = 0) -> dict[str, Any]:
    """One measurement in a fresh interpreter."""
    shutil.rmtree(output, ignore_errors=True)
    output.mkdir(parents=True)
    report = output.parent / "report.json"
    command = [sys.executable, __file__, "--only", way, "--source", str(source), "--output", str(output)]
    command += ["--report", str(report), "--steps", str(options.steps), "--threads", str(options.threads)]
    command += ["--sample", str(sample), "--settings", options.settings]
    started = time.monotonic()
    subprocess.run(command, check=True, timeout=1800)
    result = json.loads(report.read_text()) | {"whole_process_s": time.monotonic() - started}
    print(f"  {way}, {result['items']} items: {result['whole_process_s']:.1f} s", flush=True)
    return result


def compare(work: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Both ways in turns, the best of each by its steady rate, and whether their files are equal."""
    source = work / f"source-{options.items}"
    make_archive(source, options.items)
    runs: dict[str, list[dict[str, Any]]] = {"loop": [], "pipeline": []}
    for _ in range(options.repeats):
        for way, kept in runs.items():
            kept.append(in_process(way, source, work / way, options))
    found = {way: digests(work / way) for way in runs}
    identical = found["loop"] == found["pipeline"] and len(found["loop"]) == options.items
    best = {way: max(kept, key=lambda run: run["items_an_hour"]) for way, kept in runs.items()}
    whole = {way: max(kept, key=lambda run: run["items_an_hour_with_start"]) for way, kept in runs.items()}
    names = ("items_an_hour", "items_an_hour_with_start")
    return {
        "identical_files": identical,
        "ratio": best["pipeline"][names[0]] / best["loop"][names[0]],
        "ratio_with_start": whole["pipeline"][names[1]] / whole["loop"][names[1]],
        "best": [best["loop"], best["pipeline"]],
        "runs": runs,
    }


def memory_growth(work: Path, options: argparse.Namespace) -> list[dict[str, Any]]:
    """Peaks at each number of items, MiB; a run of its own each."""
    rows = []
    for items in (int(value) for value in options.memory_items.split(",")):
        source = work / f"source-{items}"
        if not source.exists():
            make_archive(source, items)
        result = in_process("pipeline", source, work / "memory", options, sample=options.interval)
        rows.append({"items": items, "items_an_hour": result["items_an_hour"], **result["memory"]})
    return rows


def main(arguments: list[str] | None = None) -> dict[str, Any]:
    """Parse, measure, print, keep; returns what was kept."""
    options = _parse(arguments)
    if options.only:
        way = {"pipeline": pipeline_way, "loop": loop_way}[options.only]
        options.report.write_text(json.dumps(way(options, options.source, options.output)))
        return {}
    with tempfile.TemporaryDirectory(prefix="faitharchive-bench-") as name:
        compared = compare(Path(name), options) if options.items else {}
        memory = memory_growth(Path(name), options) if options.memory_items else []
    if compared:
        print("\n" + text_table(compared["best"], RATE_COLUMNS))
        print(f"pipeline / loop: {compared['ratio']:.2f} steady, {compared['ratio_with_start']:.2f} with start-up")
        print(f"files are {'byte-identical' if compared['identical_files'] else 'DIFFERENT'}")
    if memory:
        print("\n" + text_table(memory, MEMORY_COLUMNS) + "\nMiB")
    chosen = {key: str(value) for key, value in vars(options).items() if key not in ("only", "report", "out")}
    what = (
        "tiny preset, 64x64 photographs to 128x128, whole pipeline without Prefect against a plain loop; memory in MiB"
    )
    result = {"what": what, "arguments": chosen, "comparison": compared, "memory": memory}
    print(f"kept in {write_results('pipeline' + options.label, 'cpu', result, options.out)}")
    assert not compared or compared["identical_files"], "both ways must write the same bytes"
    return result


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=200, help="photographs for the comparison; 0 leaves it out")
    parser.add_argument("--memory-items", default="200,1000", help="archive sizes for memory; empty leaves it out")
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--threads", type=int, default=1, help="CPU threads of the model, both ways")
    parser.add_argument("--repeats", type=int, default=3, help="runs of each way, in turns; the best counts")
    parser.add_argument("--interval", type=float, default=1.0, help="seconds between memory samples")
    parser.add_argument("--settings", default="{}", help="other settings as JSON, such as '{\"rows_per_call\": 16}'")
    parser.add_argument("--label", default="", help="added to the file's name")
    parser.add_argument("--out", type=Path, default=RESULTS)
    for name in ("--only", "--sample"):
        parser.add_argument(name, help=argparse.SUPPRESS)
    for name in ("--source", "--output", "--report"):
        parser.add_argument(name, type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    options.sample = float(options.sample or 0)
    return options


if __name__ == "__main__":
    main()
