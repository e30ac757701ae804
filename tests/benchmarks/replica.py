"""One replica: `Restorer` against the reference's way of working with the same weights. See README.md.

python tests/benchmarks/replica.py --preset small
python tests/benchmarks/replica.py --preset sdxl --random-weights --device cuda --dtype bfloat16
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from facts import RESULTS, text_table, write_results
from networks import NETWORKS, Cost, count_cost, random_restorer
from reference_style import restore_like_reference

from faithdiff_model.network.compiled import compile_parts
from faithdiff_model.options import RestoreOptions
from faithdiff_model.restorer import Restorer

LIMIT = 1e-3  # largest difference between both ways' images, in [0, 1], in float32
COLUMNS = (
    "way", "batch", "windows_a_call", "s_an_image", "cpu_s_an_image", "times_faster",
    "tflop_s_done", "tflop_s_at_reference", "peak_gib",
)  # fmt: skip
# A side in pixels (one window), steps, and photographs a batch where none are given.
_DEFAULTS = {"tiny": (128, 20, "1,4"), "small": (256, 5, "1,4"), "sdxl": (1024, 20, "1,2,4,8")}


def main(arguments: list[str] | None = None) -> dict[str, Any]:
    """Parse, measure, print, keep; returns what was kept."""
    options = _parse(arguments)
    torch.set_num_threads(options.threads)
    torch.backends.cudnn.allow_tf32 = False  # so that float32 means float32, and both ways' images can be compared
    device, dtype = torch.device(options.device), getattr(torch, options.dtype)
    config = NETWORKS[options.preset]
    sampling = RestoreOptions(steps=options.steps, guidance_scale=options.guidance)
    cost = count_cost(config, options.size, sampling)
    copies = 2 if sampling.guided else 1
    tflop = {"ours": cost.image(sampling.steps, copies, reference=False)}
    tflop["reference"] = cost.image(sampling.steps, copies, reference=True)
    print(_about(options, cost, tflop, copies))
    if options.dry_run:
        return {}
    started = time.perf_counter()
    restorer = random_restorer(config, device, dtype, sampling)
    build_seconds = time.perf_counter() - started
    rows = measure(restorer, options, cost.windows)
    for row in rows:
        row["times_faster"] = rows[0]["s_an_image"] / row["s_an_image"] if rows[0]["way"] == "reference" else None
        row["tflop_s_done"] = tflop["reference" if row["way"] == "reference" else "ours"] / row["s_an_image"]
        row["tflop_s_at_reference"] = tflop["reference"] / row["s_an_image"]
    print("\n" + text_table(rows, COLUMNS))
    differences = [row["difference"] for row in rows if "difference" in row]
    if differences:
        print(f"largest difference between both ways' images: {max(differences):.2e} of white")
    result = {
        "what": "seconds an image of one replica with random weights, random text embeddings, no text encoders",
        "arguments": {name: str(value) if isinstance(value, Path) else value for name, value in vars(options).items()},
        "cost": {**vars(cost), "tflop_an_image": tflop},
        "build_seconds": build_seconds,
        "largest_difference": max(differences, default=None),
        "rows": rows,
    }
    path = write_results(f"replica-{options.preset}-{options.size}{options.label}", device.type, result, options.out)
    print(f"kept in {path}")
    if dtype == torch.float32 and differences:
        assert max(differences) <= LIMIT, differences
    return result


class Case:
    """One way of working to be timed.

    Args:
        way: `reference`, `eager` or `compiled`.
        batch: photographs in one call.
        window_batch: windows in one UNet call.
        call: restores them.
    """

    def __init__(self, way: str, batch: int, window_batch: int, call: Callable[[], list[np.ndarray]]) -> None:
        self.call = call
        self.row: dict[str, Any] = {"way": way, "batch": batch, "windows_a_call": window_batch}
        self.seconds: list[float] = []
        self.cpu_seconds: list[float] = []

    def first_call(self, device: torch.device) -> list[np.ndarray]:
        """Warm up; notes what it took and the peak of GPU memory."""
        results = self.again(device)
        self.row["first_call_s"] = self.seconds.pop()
        self.cpu_seconds.clear()
        self.row["finite"] = all(bool(np.isfinite(result).all()) for result in results)
        print(
            "  warm: {way} x{batch}, {windows_a_call} windows a call, {first_call_s:.2f} s".format(**self.row),
            flush=True,
        )
        return results

    def again(self, device: torch.device) -> list[np.ndarray]:
        """One timed call."""
        on_gpu = device.type == "cuda"
        if on_gpu:
            torch.cuda.reset_peak_memory_stats(device)
            torch.cuda.synchronize(device)
        started, cpu_started = time.perf_counter(), time.process_time()
        results = self.call()
        if on_gpu:
            torch.cuda.synchronize(device)
            self.row["peak_gib"] = torch.cuda.max_memory_allocated(device) / 2**30
        self.seconds.append(time.perf_counter() - started)
        self.cpu_seconds.append(time.process_time() - cpu_started)
        return results

    def finished(self) -> dict[str, Any]:
        """The row with the best of all timed calls."""
        self.row.update(seconds=self.seconds, s_an_image=min(self.seconds) / self.row["batch"])
        self.row["cpu_s_an_image"] = min(self.cpu_seconds) / self.row["batch"]
        return self.row


def measure(restorer: Restorer, options: argparse.Namespace, windows: int) -> list[dict[str, Any]]:
    """Time the reference's way and ours at every batch, in turns, and compare their images.

    Args:
        restorer: the replica.
        options: of the command line.
        windows: of one image.

    Returns:
        A row a case; `difference` is the largest absolute one to the reference's images, of white.
    """
    batches = [int(value) for value in options.batches.split(",")]
    images = [picture(options.size, number) for number in range(max(batches))]
    modes = [mode for mode in ("eager", "compiled") if mode in options.modes.split(",")]  # compiling cannot be undone
    rows: list[dict[str, Any]] = []
    expected: list[np.ndarray] = []
    for mode in modes:
        cases: list[Case] = []
        if mode == "eager" and not options.no_reference:
            cases.append(Case("reference", 1, 1, lambda: [restore_like_reference(restorer, images[0], "", 0)]))
        if mode == "compiled":
            compile_parts(restorer.unet, restorer.vae, restorer.config)
        for batch in batches:
            for chosen in dict.fromkeys(int(value) or batch * windows for value in options.window_batches.split(",")):
                cases.append(Case(mode, batch, chosen, ours(restorer, images[:batch], chosen)))
        for case in cases:
            results = case.first_call(restorer.device)
            if case.row["way"] == "reference":
                others = enumerate(images[1:], 1)
                expected = [*results, *(restore_like_reference(restorer, image, "", n) for n, image in others)]
            elif expected:
                case.row["difference"] = max(_difference(a, b) for a, b in zip(results, expected, strict=False))
        for _ in range(options.repeats):  # in turns, so that a noisy neighbour meets all
            for case in cases:
                case.again(restorer.device)
        rows.extend(case.finished() for case in cases)
    return rows


def picture(size: int, seed: int) -> np.ndarray:
    """A smooth picture with grain [size, size, 3], float32 in [0, 1]."""
    rng = np.random.default_rng(seed)
    rows, columns = np.linspace(0, 9, size)[:, None], np.linspace(0, 9, size)[None]
    waves = np.stack([np.sin(a * rows + b * columns) for a, b in rng.uniform(-2, 2, (3, 2))], axis=2)
    return np.clip(0.5 + 0.4 * waves + rng.normal(0, 0.02, waves.shape), 0, 1).astype(np.float32)


def ours(restorer: Restorer, images: list[np.ndarray], window_batch: int) -> Callable[[], list[np.ndarray]]:
    """What restores `images` without prompts, `window_batch` windows in a UNet call."""
    chosen = restorer.with_options(window_batch=window_batch)
    return lambda: chosen.restore(images, [""] * len(images), list(range(len(images))))


def _difference(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.abs(a - b).max())


def _about(options: argparse.Namespace, cost: Cost, tflop: dict[str, float], copies: int) -> str:
    parts = {name: getattr(cost, name) for name in ("lq_encoder", "vae_encode", "vae_decode", "embedding", "alignment")}
    shares = ", ".join(f"{name} {value / cost.unet:.3f}" for name, value in parts.items())
    return (
        f"{options.preset}: {cost.parameters / 1e6:.1f} M parameters, {options.size}x{options.size} pixels in "
        f"{cost.windows} windows, {options.steps} steps, {copies} guidance copies\n"
        f"counted: ours {tflop['ours']:.4g} TFLOP an image, reference's way {tflop['reference']:.4g}; "
        f"a UNet call of one window {cost.unet:.4g}, and beside it: {shares}"
    )


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", choices=NETWORKS, default="tiny", help="small is SDXL at a quarter of its widths")
    parser.add_argument("--random-weights", action="store_true", help="all weights here are; sdxl asks you to say so")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", choices=("float32", "float16", "bfloat16"), default="float32")
    parser.add_argument(
        "--threads", type=int, default=1, help="CPU threads; two that wait for a busy core can be slower"
    )
    parser.add_argument("--size", type=int, help="side in pixels (default: one window)")
    parser.add_argument("--steps", type=int)
    parser.add_argument("--guidance", type=float, default=5.0, help="1 or less is off")
    parser.add_argument("--batches", help="photographs in one call, such as 1,2,4,8")
    parser.add_argument("--modes", default="eager", help="eager,compiled")
    parser.add_argument("--window-batches", default="0", help="windows in one UNet call, such as 1,0; 0 is all at once")
    parser.add_argument("--repeats", type=int, default=3, help="timed calls after the warm-up; the best counts")
    parser.add_argument("--no-reference", action="store_true", help="leave the reference's way out")
    parser.add_argument("--dry-run", action="store_true", help="check shapes and count on the meta device, no timing")
    parser.add_argument("--label", default="", help="added to the file's name, such as -compiled")
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args(arguments)
    if options.preset == "sdxl" and not options.random_weights:
        parser.error("this benchmark never loads published weights: say --random-weights")
    size, steps, batches = _DEFAULTS[options.preset]
    options.size, options.steps = options.size or size, options.steps or steps
    options.batches = options.batches or batches
    return options


if __name__ == "__main__":
    warnings.filterwarnings("ignore", category=FutureWarning)
    main()
