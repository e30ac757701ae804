"""Steps 2 and 3 of `gpu.py`: seconds an image of one window against the reference's way, and one large photograph."""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np
import torch
from gpu import add
from gpu_measure import (
    GUIDANCE,
    SIZES,
    compile_network,
    exact_float32,
    left,
    name,
    random_network,
    surviving,
    timed,
    ways,
    working_dtype,
)
from networks import NETWORKS, count_cost
from reference_style import restore_like_reference
from replica import Case, ours, picture

from faithdiff_model.options import RestoreOptions
from faithdiff_model.presets import PRESETS
from faithdiff_model.restorer import Restorer

_MATRIX_CALLS = 20
_LEAST_SECONDS = 10  # with less, no further case is begun
_SPARE = 1.3  # a case may take this much longer than the one like it before


def speed(options: argparse.Namespace) -> None:
    """The reference's way, then ours eager and compiled at each batch: a row a case, as soon as it is measured."""
    exact_float32()
    sizes = SIZES[options.network]
    restorer = random_network(options)
    _matrix_rate(options, restorer.device, sizes.matrix)
    cost = count_cost(NETWORKS[options.network], sizes.size, RestoreOptions(guidance_scale=GUIDANCE))
    tflop = {way: cost.image(sizes.steps, 2, reference=way == "reference") for way in ("reference", "ours")}
    images = [picture(sizes.size, number) for number in range(max(sizes.batches))]
    cases = [Case("reference", 1, 1, lambda: [restore_like_reference(restorer, images[0], "", 0)])]
    for way in ways(options, restorer.device):
        cases += [
            Case(way, batch, batch * cost.windows, ours(restorer, images[:batch], batch * cost.windows))
            for batch in sizes.batches
        ]
    expected: np.ndarray | None = None
    seconds: float | None = None  # an image, the reference's way
    expects = {"eager": 0.0, "compiled": 0.0}  # seconds that a case may take, from what one like it took
    compiled = False
    for case in cases:
        way = case.row["way"]
        if left(options) < max(_LEAST_SECONDS, _SPARE * expects.get(way, 0)):
            add(options.out, {"what": "speed", **case.row, "failed": f"left out: {left(options):.0f} s left"})
            continue
        row: dict[str, Any] = {"what": "speed", "network": options.network, **case.row}
        row.update(dtype=name(working_dtype(restorer.device)), size=sizes.size, steps=sizes.steps)
        with surviving(options, row):
            if way == "compiled" and not compiled:
                compile_network(restorer)
                compiled = True
            result = case.first_call(restorer.device)[0]
            for _ in range(sizes.repeats):
                case.again(restorer.device)
            row.update(case.finished())
            row["tflop_s"] = tflop["reference" if way == "reference" else "ours"] / row["s_an_image"]
            if way == "reference":
                expected, seconds = result, row["s_an_image"]
            if expected is not None and seconds is not None:
                row["times_faster"] = seconds / row["s_an_image"]
                row["difference"] = float(np.abs(result - expected).max())
            if way == "compiled":
                expects[way] = max(expects[way], row["first_call_s"] + sizes.repeats * min(row["seconds"]))


def large(options: argparse.Namespace) -> None:
    """One photograph of several windows, from pixels to pixels, the codec window by window; eager, then compiled."""
    sizes = SIZES[options.network]
    # As users have it: `NETWORKS` widens tiny's codec window for the reference's sake.
    restorer = random_network(options, config=PRESETS[options.network])
    image = picture(sizes.large, 0)
    windows = len(restorer.grid(*image.shape[:2]).windows())
    for way in ways(options, restorer.device):
        for batch in sizes.window_batches if way == "eager" else sizes.window_batches[:1]:
            row: dict[str, Any] = {"what": "large", "way": way, "size": sizes.large, "windows": windows}
            row["windows_a_call"] = batch
            if left(options) < _LEAST_SECONDS:
                add(options.out, {**row, "failed": f"left out: {left(options):.0f} s left"})
                continue
            with surviving(options, row):
                if way == "compiled":
                    compile_network(restorer)
                row.update(_large(restorer, image, batch))


def _large(restorer: Restorer, image: np.ndarray, batch: int) -> dict[str, Any]:
    call = ours(restorer, [image], batch)
    first, _ = timed(call, restorer.device)
    seconds, peak = timed(call, restorer.device)
    megapixels = image.shape[0] * image.shape[1] / 1e6
    return {"first_call_s": first, "seconds": seconds, "s_a_megapixel": seconds / megapixels, "peak_gib": peak}


def _matrix_rate(options: argparse.Namespace, device: torch.device, side: int) -> None:
    """A row: what this device makes of large matrices, best of some calls."""
    dtype = working_dtype(device)
    row: dict[str, Any] = {"what": "matrix", "network": options.network, "dtype": name(dtype), "side": side}
    with surviving(options, row):
        a, b = (torch.randn(side, side, device=device, dtype=dtype) for _ in range(2))
        torch.mm(a, b)

        def call() -> None:  # many at once, so that starting and waiting do not count
            for _ in range(_MATRIX_CALLS):
                torch.mm(a, b)

        seconds = min(timed(call, device)[0] for _ in range(3)) / _MATRIX_CALLS
        row["tflop_s"] = 2 * side**3 / seconds / 1e12
