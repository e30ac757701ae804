"""The first minutes with a GPU: train nano at a larger width, measure it, and time the full-size network. See README.md.

    python tests/benchmarks/gpu.py --pack ../shared/photos/train --out .gpu
    python tests/benchmarks/gpu.py --photos .gpu --train-minutes 6

The first command packs the photographs on any machine. The second takes `--minutes` in all and ends half a minute before they
are over, whatever happens; what it has by then is in `--out`, or in the folder that the variable OUT names. It needs PyTorch,
diffusers, transformers, accelerate, OpenCV and fsspec, and neither Ray, Prefect nor pydantic.
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

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent
RESULTS, OUTPUT = "results.jsonl", "output.log"
HELD_OUT = ROOT / "faithdiff_model" / "presets" / "weights" / "nano" / "held-out-photographs.txt"
_MARGIN_SECONDS = 30  # left of the minutes when this ends
_MEASURE_SECONDS = 60  # kept free behind the training
_LEAST_SECONDS = 45  # with less, no further step is begun
_SHORT_SECONDS = 180  # with less, a step is begun in its short form
_SDXL = ("--preset", "sdxl", "--random-weights", "--device", "cuda", "--dtype", "bfloat16")
_SHORT = ("--batches", "1,4")
# Items 1 and 2 of what README.md says waits for a GPU.
REPLICAS: dict[str, tuple[tuple[str, ...], ...]] = {
    "sdxl": (
        (*_SDXL, "--modes", "eager", "--batches", "1,2,4,8", "--repeats", "2"),
        (*_SDXL, "--modes", "compiled", "--batches", "1,4", "--no-reference", "--label=-compiled", "--repeats", "2"),
    ),
    "tiny": (("--preset", "tiny", "--size", "64", "--steps", "1", "--batches", "1", "--repeats", "1"),),
    "none": (),
}


@dataclass(frozen=True)
class Step:
    """One process of the run.

    Attributes:
        name: of its line in the results.
        command: behind the interpreter.
        short: added to the command where time is short.
    """

    name: str
    command: tuple[str, ...]
    short: tuple[str, ...] = ()


class Run:
    """Steps one after the other in processes of their own, none longer than the time that is left."""

    def __init__(self, out: Path, minutes: float, steps: Sequence[Step]) -> None:
        self.out, self.steps = out, steps
        self.ends = time.monotonic() + 60 * minutes - _MARGIN_SECONDS

    @property
    def left(self) -> float:
        """Seconds."""
        return self.ends - time.monotonic()

    def run(self) -> None:
        """Every step that there is time for; a line of the results for each."""
        for step in self.steps:
            if step.name == "measure again" and "measure" in kinds(self.out):
                continue
            seconds = self.left
            if seconds < _LEAST_SECONDS:
                add(self.out, {"what": "step", "name": step.name, "left_out": f"{seconds:.0f} s left"})
                continue
            started = time.monotonic()
            status = self._run(step, seconds)
            took = round(time.monotonic() - started, 1)
            add(self.out, {"what": "step", "name": step.name, "exit": status, "seconds": took})

    def _run(self, step: Step, seconds: float) -> int | str:
        paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "PYTHONUNBUFFERED": "1"}
        command = [sys.executable, *step.command, *(step.short if seconds < _SHORT_SECONDS else ())]
        if step.name.startswith(("train", "measure")):
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


def kinds(out: Path) -> set[str]:
    """Which kinds of lines the results have so far."""
    path = out / RESULTS
    return {json.loads(line)["what"] for line in path.read_text().splitlines()} if path.exists() else set()


def main(arguments: list[str] | None = None) -> None:
    """Pack, or run, or be one of the run's processes."""
    options = parse(arguments)
    if options.pack is not None:
        from gpu_pack import pack

        print(json.dumps(pack(options.pack, options.out, options.megabytes, options.held_out)))
        return
    options.out.mkdir(parents=True, exist_ok=True)
    if options.step is not None:
        from gpu_steps import measure, train

        if options.step == "train":
            train(options)
        measure(options)
        return
    given = tuple(sys.argv[1:] if arguments is None else arguments)
    ours = (str(HERE / "gpu.py"), *given, "--out", str(options.out.resolve()))
    steps = [
        Step("train and measure", (*ours, "--step", "train")),
        Step("measure again", (*ours, "--step", "measure")),
    ]
    for extra in REPLICAS[options.replica]:
        command = (str(HERE / "replica.py"), *extra, "--out", str(options.out.resolve()))
        steps.append(Step("replica", command, _SHORT if options.replica == "sdxl" else ()))
    Run(options.out, options.minutes, steps if options.train_minutes > 0 else steps[2:]).run()
    print((options.out / RESULTS).read_text())


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pack", type=Path, metavar="PHOTOS", help="pack the photographs of this folder into --out")
    parser.add_argument("--megabytes", type=float, default=40.0, help="of the pack; 64 MiB travel in all")
    parser.add_argument("--held-out", type=Path, default=HELD_OUT, help="names not trained on but measured, one a line")
    parser.add_argument("--photos", type=Path, help="a pack, or any folder of photographs (no figures then)")
    parser.add_argument("--out", type=Path, default=os.environ.get("OUT"), help="default: the variable OUT")
    parser.add_argument("--minutes", type=float, default=9.5, help="of everything")
    parser.add_argument("--train-minutes", type=float, default=6.0, help="compiling among them; 0 trains nothing")
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
    parser.add_argument("--replica", choices=REPLICAS, default="sdxl", help="timed with the minutes that are left")
    parser.add_argument("--step", choices=("train", "measure"), help=argparse.SUPPRESS)
    parser.add_argument("--ends-in", type=float, default=600.0, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.out is None:
        parser.error("no folder for results: give --out, or set OUT")
    if (options.pack is None) == (options.photos is None) and options.train_minutes > 0:
        parser.error("give --pack PHOTOS or --photos FOLDER")
    options.out = Path(options.out)
    options.ends = time.monotonic() + options.ends_in
    return options


def training_minutes(options: argparse.Namespace) -> float:
    """As many as were asked for, or as leave time to measure."""
    return max(0.01, min(options.train_minutes, (options.ends - time.monotonic() - _MEASURE_SECONDS) / 60))


if __name__ == "__main__":
    main()
