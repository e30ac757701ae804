"""Step 5 of `gpu.py`: what each placement of the parts takes on the GPU, and what it costs in time."""

from __future__ import annotations

import argparse
from typing import Any

import torch
from gpu_measure import SIZES, left, name, random_network, surviving, timed, working_dtype
from replica import ours, picture

from faithdiff_model.memory import PLACEMENTS, PlacedParts, store_as_float8
from faithdiff_model.restorer import Restorer

_LEAST_SECONDS = 8


def run(options: argparse.Namespace) -> None:
    """One image of one window, without text encoders: from the roomiest placement to the smallest, then float8 storage."""
    restorer = random_network(options)
    parts = _placed(restorer)
    for placement in PLACEMENTS:
        row: dict[str, Any] = {"what": "memory", "mode": placement}
        with surviving(options, row):
            if placement != parts.placement:
                parts.fall_back()
            _measure(options, restorer, row)
    del restorer, parts
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    row = {"what": "memory", "mode": "resident, float8 storage"}
    with surviving(options, row):
        restorer = random_network(options)
        store_as_float8(restorer.unet, working_dtype(restorer.device))
        _placed(restorer)
        _measure(options, restorer, row)


def _placed(restorer: Restorer) -> PlacedParts:
    restorer.parts = PlacedParts(restorer.unet, restorer.vae, None, restorer.device)
    return restorer.parts


def _measure(options: argparse.Namespace, restorer: Restorer, row: dict[str, Any]) -> None:
    """Fill a row: seconds of an image, and the peak of what PyTorch allocated (the weights that stay among it)."""
    if left(options) < _LEAST_SECONDS:
        row["failed"] = f"left out: {left(options):.0f} s left"
        return
    sizes = SIZES[options.network]
    call = ours(restorer, [picture(sizes.size, 0)], 1)
    call()
    row["s_an_image"], row["peak_gib"] = timed(call, restorer.device)
    row.update(dtype=name(working_dtype(restorer.device)), size=sizes.size, steps=sizes.steps)
