"""Step 7 of `gpu.py`: what each approximation gains. Weights are random, so how far results are off says nothing of quality."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

import numpy as np
from gpu_measure import SIZES, left, name, random_network, surviving, timed, working_dtype
from replica import ours, picture

from faithdiff_model.network.float8 import check_float8, compute_in_float8
from faithdiff_model.restorer import Restorer

_LEAST_SECONDS = 6


def run(options: argparse.Namespace) -> None:
    """One image of one window, eager: exact, then each approximation, and at last float8, which changes the network."""
    restorer, exact = random_network(options), list[np.ndarray]()
    ways: dict[str, Callable[[], Restorer]] = {
        "exact": lambda: restorer,
        "features of every 2. step": lambda: restorer.with_options(feature_reuse=2),
        "features of every 3. step": lambda: restorer.with_options(feature_reuse=3),
        "guidance in the middle half": lambda: restorer.with_options(guidance_start=0.25, guidance_end=0.75),
        "float8 arithmetic": lambda: _in_float8(restorer),
    }
    for way, prepared in ways.items():
        row: dict[str, Any] = {"what": "approximation", "way": way}
        if left(options) < _LEAST_SECONDS:
            row["failed"] = f"left out: {left(options):.0f} s left"
        with surviving(options, row):
            if "failed" not in row:
                _measure(options, prepared(), exact, row)


def _in_float8(restorer: Restorer) -> Restorer:
    check_float8(restorer.device)
    compute_in_float8(restorer.unet.diffusers_core("float8 arithmetic"))
    return restorer


def _measure(options: argparse.Namespace, restorer: Restorer, exact: list[np.ndarray], row: dict[str, Any]) -> None:
    sizes = SIZES[options.network]
    call = ours(restorer, [picture(sizes.size, 0)], 1)
    result = call()[0]
    if not exact:
        exact.append(result)
    row["s_an_image"], row["peak_gib"] = timed(call, restorer.device)
    row["difference"] = float(np.abs(result - exact[0]).max())
    row.update(dtype=name(working_dtype(restorer.device)), size=sizes.size, steps=sizes.steps)
