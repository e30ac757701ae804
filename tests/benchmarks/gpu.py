"""A GPU's first minutes, in one command: the full-size network measured, nano measured, nano trained. See README.md.

    make bench-gpu
    python tests/benchmarks/gpu.py --out runs/gpu --only speed
    python tests/benchmarks/gpu.py --pack ../shared/photos/train --out .gpu
    python tests/benchmarks/gpu.py --photos .gpu --train-minutes 6

The first two train nothing. The third packs photographs on any machine for the fourth. A run takes `--minutes` in all and ends
half a minute before they are over, whatever happens; what it has by then is in `--out`, or in the folder that the variable OUT
names. It needs PyTorch, diffusers, transformers, accelerate, OpenCV and fsspec, and neither Ray, Prefect nor pydantic.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gpu_report import line

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent
RESULTS, OUTPUT = "results.jsonl", "output.log"
HELD_OUT = ROOT / "faithdiff_model" / "presets" / "weights" / "nano" / "held-out-photographs.txt"
_MARGIN_SECONDS = 30  # left of the minutes when this ends
_MEASURE_SECONDS = 60  # kept free behind the training
_LEAST_TRAINING = 45  # seconds; with less, no training is begun
_LEAST_SECONDS = 15  # with less, no other step is begun
_TRIED_OUT = 10  # times the limits of the steps, where a busy CPU tries the script out
# Most valuable first, and the most seconds that each may take; training takes what was asked for (see README.md).
STEPS = {
    "golden": 60, "speed": 220, "large": 80, "profile": 60, "memory": 80, "nano": 45, "approximations": 40, "train": 3600,
}  # fmt: skip
MEASURING = tuple(step for step in STEPS if step != "train")


@dataclass(frozen=True)
class Step:
    """One process of the run.

    Attributes:
        name: of its line in the results.
        command: behind the interpreter.
        most: seconds.
    """

    name: str
    command: tuple[str, ...]
    most: float = 3600


class Run:
    """Steps one after the other in processes of their own, none longer than the time that is left.

    Args:
        out: where results go.
        minutes: of everything.
        steps: what to do, in order.
        reserve: seconds kept free for the training behind the other steps.
    """

    def __init__(self, out: Path, minutes: float, steps: Sequence[Step], reserve: float = 0.0) -> None:
        self.out, self.steps, self.reserve = out, steps, reserve
        self.ends = time.monotonic() + 60 * minutes - _MARGIN_SECONDS
        self.failed: list[str] = []

    @property
    def left(self) -> float:
        """Seconds."""
        return self.ends - time.monotonic()

    def run(self) -> None:
        """Every step that there is time for; lines of the results for each, printed when it has ended."""
        for step in self.steps:
            if step.name == "measure again" and "measure" in kinds(self.out):
                continue
            trains = step.name.startswith(("train", "measure"))
            seconds = min(step.most, self.left - (0 if trains else self.reserve))
            told = len(rows(self.out))
            if seconds < (_LEAST_TRAINING if trains else _LEAST_SECONDS):
                add(self.out, {"what": "step", "name": step.name, "left_out": f"{max(0, seconds):.0f} s left"})
            else:
                started = time.monotonic()
                status = self._run(step, seconds)
                took = round(time.monotonic() - started, 1)
                add(self.out, {"what": "step", "name": step.name, "exit": status, "seconds": took})
                if status != 0:
                    self.failed.append(step.name)
            for row in rows(self.out)[told:]:
                print(line(row), flush=True)

    def _run(self, step: Step, seconds: float) -> int | str:
        # Of this project, its tests' helpers (`golden`), and whatever was there.
        paths = [str(ROOT), str(ROOT / "tests" / "support"), *filter(None, [os.environ.get("PYTHONPATH")])]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "PYTHONUNBUFFERED": "1"}
        # What a batch has freed is given to the next of another size.
        environment.setdefault("PYTORCH_CUDA_ALLOC_CONF", "expandable_segments:True")
        command = [sys.executable, *step.command]
        if "--step" in step.command:
            command += ["--ends-in", f"{seconds:.1f}"]
        with (self.out / OUTPUT).open("a") as log:
            print(f"\n== {' '.join(command)}", file=log, flush=True)
            # A group of its own, so that the processes which make crops end with it.
            process = subprocess.Popen(command, env=environment, stdout=log, stderr=subprocess.STDOUT, process_group=0)
            try:
                return process.wait(seconds)
            except subprocess.TimeoutExpired:
                return "out of time"
            finally:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def add(out: Path, row: dict[str, object]) -> None:
    """Append a line to the results."""
    with (out / RESULTS).open("a") as file:
        file.write(json.dumps(row) + "\n")


def rows(out: Path) -> list[dict[str, Any]]:
    """The results so far."""
    path = out / RESULTS
    return [json.loads(text) for text in path.read_text().splitlines()] if path.exists() else []


def kinds(out: Path) -> set[str]:
    """Which kinds of lines the results have so far."""
    return {row["what"] for row in rows(out)}


def main(arguments: list[str] | None = None) -> None:
    """Pack, or run, or be one of the run's processes."""
    options = parse(arguments)
    if options.pack is not None:
        from gpu_pack import pack

        print(json.dumps(pack(options.pack, options.out, options.megabytes, options.held_out)))
        return
    options.out.mkdir(parents=True, exist_ok=True)
    if options.step is not None:
        for step in options.step.split(","):
            do(step, options)
        return
    given = tuple(sys.argv[1:] if arguments is None else arguments)
    ours = (str(HERE / "gpu.py"), *given, "--out", str(options.out.resolve()), "--step")
    slower = 1 if options.network == "sdxl" else _TRIED_OUT
    steps = [Step(name, (*ours, name), slower * STEPS[name]) for name in MEASURING if name in options.only]
    if options.train_minutes > 0 and "train" in options.only:
        steps += [Step("train and measure", (*ours, "train")), Step("measure again", (*ours, "measure"))]
    reserve = 60 * options.train_minutes + _MEASURE_SECONDS if options.train_minutes > 0 else 0
    run = Run(options.out, options.minutes, steps, reserve if len(steps) > 2 else 0)
    run.run()
    print(f"kept in {options.out / RESULTS}, and what the steps printed in {options.out / OUTPUT}")
    if run.failed:
        raise SystemExit(f"failed, or ended by the clock: {', '.join(run.failed)}")


def do(step: str, options: argparse.Namespace) -> None:
    """One step, in this process. Only what it needs is imported."""
    from facts import machine_facts

    if step not in ("train", "measure"):  # they say themselves what they are measured on
        add(options.out, {"what": "begins", "name": step, "machine": machine_facts()})
    if step == "golden":
        import gpu_golden

        gpu_golden.run(options)
    elif step in ("speed", "large"):
        import gpu_speed

        (gpu_speed.speed if step == "speed" else gpu_speed.large)(options)
    elif step in ("profile", "nano"):
        import gpu_profile

        (gpu_profile.run if step == "profile" else gpu_profile.nano)(options)
    elif step == "memory":
        import gpu_memory

        gpu_memory.run(options)
    elif step == "approximations":
        import gpu_approximations

        gpu_approximations.run(options)
    else:
        import gpu_steps

        if step == "train":
            gpu_steps.train(options)
        gpu_steps.measure(options)


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pack", type=Path, metavar="PHOTOS", help="pack the photographs of this folder into --out")
    parser.add_argument("--megabytes", type=float, default=40.0, help="of the pack; 64 MiB travel in all")
    parser.add_argument("--held-out", type=Path, default=HELD_OUT, help="names not trained on but measured, one a line")
    parser.add_argument("--photos", type=Path, help="a pack, or any folder of photographs (no figures then)")
    parser.add_argument("--out", type=Path, default=os.environ.get("OUT"), help="default: the variable OUT")
    parser.add_argument("--minutes", type=float, default=9.5, help="of everything")
    parser.add_argument("--train-minutes", type=float, default=0.0, help="compiling among them; 0 trains nothing")
    parser.add_argument("--width", default="large", choices=("nano", "large", "tiny"))
    parser.add_argument("--batch", type=int, default=256, help="samples of half a crop's side; late ones are a quarter")
    parser.add_argument("--rate", type=float, default=1e-3, help="the highest learning rate")
    parser.add_argument("--crop", type=int, default=128, help="side of what is degraded, pixels")
    parser.add_argument("--pool", type=int, default=32_768, help="crops kept on the device")
    parser.add_argument("--workers", type=int, help="processes that degrade (default: one a core, but one)")
    parser.add_argument("--write-minutes", type=float, default=1.0, help="between copies of the weights")
    parser.add_argument("--device", choices=("auto", "cpu"), default="auto")
    parser.add_argument("--no-compile", action="store_true", help="a GPU compiles otherwise")
    parser.add_argument("--init", type=Path, help="weights to begin with, of the same width")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--network", choices=("sdxl", "tiny"), default="sdxl", help="tiny tries the script out on a CPU"
    )
    parser.add_argument("--only", default=",".join(STEPS), metavar="STEP", help=f"one, or several: {', '.join(STEPS)}")
    parser.add_argument("--step", help=argparse.SUPPRESS)
    parser.add_argument("--ends-in", type=float, default=600.0, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    options.only = options.only.split(",")
    if unknown := sorted({*options.only} - {*STEPS}):
        parser.error(f"no step {unknown[0]}: choose of {', '.join(STEPS)}")
    if options.out is None:
        parser.error("no folder for results: give --out, or set OUT")
    if options.photos is None and options.train_minutes > 0:
        parser.error("no photographs to train on: give --photos FOLDER")
    if options.only == ["train"] and not options.train_minutes and options.pack is None:
        parser.error("nothing to do: give --train-minutes")
    options.out = Path(options.out)
    options.ends = time.monotonic() + options.ends_in
    return options


def training_minutes(options: argparse.Namespace) -> float:
    """As many as were asked for, or as leave time to measure."""
    return max(0.01, min(options.train_minutes, (options.ends - time.monotonic() - _MEASURE_SECONDS) / 60))


if __name__ == "__main__":
    main()
