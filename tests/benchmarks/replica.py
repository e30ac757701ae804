"""One replica: `Restorer` against the reference's way of working with the same weights. See README.md.

python tests/benchmarks/replica.py --preset small
python tests/benchmarks/replica.py --preset sdxl --random-weights --device cuda --dtype bfloat16
"""

from __future__ import annotations

import argparse
import sys
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

from faithdiff_model.options import RestoreOptions
from faithdiff_model.restorer import Restorer

LIMIT = 1e-3  # largest difference between both ways' images, in [0, 1], in float32
COLUMNS = ("way", "batch", "windows_a_call", "s_an_image", "times_faster", "tflop_s_done", "tflop_s_at_reference", "peak_gib")  # fmt: skip
# A side in pixels (one window), steps, and photographs a batch where none are given.
_DEFAULTS = {"tiny": (128, 20, "1,4"), "small": (256, 8, "1,2"), "sdxl": (1024, 20, "1,2,4,8")}


def main(arguments: list[str] | None = None) -> dict[str, Any]:
    """Parse, measure, print, keep; returns what was kept."""
    options = _parse(arguments)
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
    _synchronise(device)
    build_seconds = time.perf_counter() - started
    rows, differences = measure(restorer, options, cost.windows)
    for row in rows:
        row["times_faster"] = rows[0]["s_an_image"] / row["s_an_image"] if rows[0]["way"] == "reference" else None
        row["tflop_s_done"] = tflop["reference" if row["way"] == "reference" else "ours"] / row["s_an_image"]
        row["tflop_s_at_reference"] = tflop["reference"] / row["s_an_image"]
    print("\n" + text_table(rows, COLUMNS))
    if differences:
        print(f"largest difference between both ways' images: {max(differences.values()):.2e} of white")
    result = {
        "what": "seconds an image of one replica with random weights, random text embeddings, no text encoders",
        "arguments": {name: str(value) if isinstance(value, Path) else value for name, value in vars(options).items()},
        "cost": {**vars(cost), "tflop_an_image": tflop},
        "threads": torch.get_num_threads(),
        "build_seconds": build_seconds,
        "differences": differences,
        "rows": rows,
    }
    path = write_results(f"replica-{options.preset}-{options.size}", device.type, result, options.out)
    print(f"kept in {path}")
    if dtype == torch.float32 and differences:
        assert max(differences.values()) <= LIMIT, differences
    return result


def measure(
    restorer: Restorer, options: argparse.Namespace, windows: int
) -> tuple[list[dict[str, Any]], dict[str, float]]:
    """Time the reference's way and ours at every batch, in turns; and the difference of their images.

    Args:
        restorer: the replica.
        options: of the command line.
        windows: of one image.

    Returns:
        A row a case; the largest absolute difference of each case's images to the reference's way, in [0, 1].
    """
    batches = [int(value) for value in options.batches.split(",")]
    images = [picture(options.size, number) for number in range(max(batches))]
    modes = [mode for mode in ("eager", "compiled") if mode in options.modes.split(",")]  # compiling cannot be undone
    rows, differences, expected = [], {}, []
    for mode in modes:
        cases: list[tuple[dict[str, Any], Callable[[], list[np.ndarray]]]] = []
        if mode == "eager" and not options.no_reference:
            row = {"way": "reference", "batch": 1, "windows_a_call": 1}
            cases.append((row, lambda: [restore_like_reference(restorer, images[0], "", 0)]))
        if mode == "compiled":
            torch._dynamo.config.automatic_dynamic_shapes = False  # a replica meets one shape; here each batch is one
            restorer.unet.core.compile()
        for batch in batches:
            row = {"way": mode, "batch": batch, "windows_a_call": options.window_batch or batch * windows}
            cases.append((row, _ours(restorer, images[:batch], row["windows_a_call"])))
        for row, case in cases:
            row["first_call_s"], row["peak_gib"], results = _timed(case, restorer.device)
            row["finite"] = all(bool(np.isfinite(result).all()) for result in results)
            if row["way"] == "reference":
                expected = [restore_like_reference(restorer, image, "", number) for number, image in enumerate(images)]
            elif expected:
                pairs = zip(results, expected, strict=False)
                differences[f"{mode}-{row['batch']}"] = max(float(np.abs(a - b).max()) for a, b in pairs)
            row["seconds"] = []
            print(f"  warm: {row['way']} x{row['batch']}, {row['first_call_s']:.2f} s", flush=True)
        for _ in range(options.repeats):  # in turns, so that a noisy neighbour meets all
            for row, case in cases:
                row["seconds"].append(_timed(case, restorer.device)[0])
        for row, _ in cases:
            row["s_an_image"] = min(row["seconds"]) / row["batch"]
            rows.append(row)
    return rows, differences


def picture(size: int, seed: int) -> np.ndarray:
    """A smooth picture with grain [size, size, 3], float32 in [0, 1]."""
    rng = np.random.default_rng(seed)
    rows, columns = np.linspace(0, 9, size)[:, None], np.linspace(0, 9, size)[None]
    waves = np.stack([np.sin(a * rows + b * columns) for a, b in rng.uniform(-2, 2, (3, 2))], axis=2)
    return np.clip(0.5 + 0.4 * waves + rng.normal(0, 0.02, waves.shape), 0, 1).astype(np.float32)


def _ours(restorer: Restorer, images: list[np.ndarray], window_batch: int) -> Callable[[], list[np.ndarray]]:
    chosen = restorer.with_options(window_batch=window_batch)
    return lambda: chosen.restore(images, [""] * len(images), list(range(len(images))))


def _timed(case: Callable[[], list[np.ndarray]], device: torch.device) -> tuple[float, float | None, list[np.ndarray]]:
    """Seconds, peak GPU memory in GiB (None on a CPU), and the images."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    _synchronise(device)
    started = time.perf_counter()
    results = case()
    _synchronise(device)
    seconds = time.perf_counter() - started
    peak = torch.cuda.max_memory_allocated(device) / 2**30 if device.type == "cuda" else None
    return seconds, peak, results


def _synchronise(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


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
    parser.add_argument("--size", type=int, help="side in pixels (default: one window)")
    parser.add_argument("--steps", type=int)
    parser.add_argument("--guidance", type=float, default=5.0, help="1 or less is off")
    parser.add_argument("--batches", help="photographs in one call, such as 1,2,4,8")
    parser.add_argument("--modes", default="eager", help="eager,compiled")
    parser.add_argument("--window-batch", type=int, default=0, help="windows in one UNet call; 0 is all of the batch")
    parser.add_argument("--repeats", type=int, default=3, help="timed calls after the warm-up; the best counts")
    parser.add_argument("--no-reference", action="store_true", help="leave the reference's way out")
    parser.add_argument("--dry-run", action="store_true", help="check shapes and count on the meta device, no timing")
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
    sys.exit(0)
