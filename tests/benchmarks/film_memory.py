"""Memory of restoring a short and a long film: it must not grow with the length.

    .venv/bin/python tests/benchmarks/film_memory.py --seconds 10 600

Each film in a run of its own, with the tiny network, whose cost and memory are small beside what the pipeline itself holds.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

sys.path[:0] = [str(Path(__file__).parents[2]), str(Path(__file__).parents[1] / "support")]

from facts import write_results
from film_clips import moving_frames, times_and_sound, write_film
from memory import MemorySampler

from jobs.service.environment import prepare_environment

prepare_environment()

_FPS = 24
_SIZE = (48, 64)


def _frames(count: int) -> Iterator[np.ndarray]:
    """A film of any length: shots of 96 frames, each another place."""
    for shot in range(-(-count // 96)):
        yield from moving_frames(min(96, count - 96 * shot), _SIZE, seed=shot)


def one(seconds: int) -> dict[str, object]:
    """Restore a film of so many seconds; figures."""
    import ray

    from pipelines.plan.plan import make_plan
    from pipelines.run.driver import run
    from pipelines.settings import Settings

    with tempfile.TemporaryDirectory() as folder:
        source = write_film(Path(folder) / "in/film.mkv", _frames(seconds * _FPS))
        settings = Settings(
            source=f"{folder}/in", output=f"{folder}/out", preset="tiny", steps=1, guidance_scale=1.0, upscale=1,
            cpu_threads=1, replicas=1, cpus=2,
        )  # fmt: skip
        ray.init(
            address="local", num_cpus=3, object_store_memory=300 << 20, include_dashboard=False, log_to_driver=False,
            logging_level="ERROR",
        )  # fmt: skip
        started = time.monotonic()
        sampler = MemorySampler(0.5).start()
        outcome = run(make_plan(settings), settings, run_id="20260101T000000.000Z-aaaaaa")
        figures = sampler.stop()
        ray.shutdown()
        assert (outcome.restored, outcome.failed) == (1, 0), outcome
        same = times_and_sound(Path(folder, "out/film.mkv")) == times_and_sound(source)
        samples = figures.pop("samples")
        return {
            "film_seconds": seconds,
            "frames": seconds * _FPS,
            "timing_and_sound_equal": same,
            "wall_seconds": round(time.monotonic() - started, 1),
            **figures,
            "median_resident_mib": float(np.median([sample["resident"] for sample in samples])),
        }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=int, nargs="+", default=[10, 600])
    parser.add_argument("--one", type=int)
    arguments = parser.parse_args()
    if arguments.one:
        print("FIGURES " + json.dumps(one(arguments.one)), flush=True)
        return
    runs = []
    for seconds in arguments.seconds:
        done = subprocess.run(
            [sys.executable, __file__, "--one", str(seconds)], capture_output=True, text=True, check=False
        )
        lines = [line for line in done.stdout.splitlines() if line.startswith("FIGURES ")]
        assert lines, done.stderr[-2000:]
        runs.append(json.loads(lines[0].removeprefix("FIGURES ")))
        print(runs[-1], flush=True)
    print(write_results("film-memory", "cpu", {"runs": runs}))


if __name__ == "__main__":
    main()
