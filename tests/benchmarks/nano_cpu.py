"""The ways in which a CPU may compute nano, in turns: processor seconds a photograph, and how far each is from the default.

python tests/benchmarks/nano_cpu.py --ways float32,channels-last,bfloat16,compiled
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import numpy as np
import torch
from facts import text_table
from replica import picture
from torch import nn

from faithdiff_model.build import build_restorer
from faithdiff_model.network.compiled import compile_parts
from faithdiff_model.presets import DEFAULTS
from faithdiff_model.restorer import Restorer
from faithdiff_model.spec import ModelSpec

WAYS = ("float32", "channels-last", "bfloat16", "compiled")  # the first is the default


def main(arguments: list[str] | None = None) -> list[dict[str, Any]]:
    """Parse, measure, print; returns a row a way."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ways", default=",".join(WAYS))
    parser.add_argument(
        "--size", type=int, default=512, help="side in pixels; 512 is one window, which is what is compiled"
    )
    parser.add_argument("--repeats", type=int, default=4)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    image = picture(options.size, 0)
    rows: list[dict[str, Any]] = []
    restorers: dict[str, Restorer] = {}
    for way in options.ways.split(","):
        started = time.process_time()
        restorers[way] = prepared(way)
        result = restorers[way].restore([image], [""], [0])[0]
        rows.append({"way": way, "first_call_cpu_s": time.process_time() - started, "result": result, "cpu_s": []})
    for _ in range(options.repeats):  # in turns, so that a noisy neighbour meets all
        for row in rows:
            started = time.process_time()
            again = restorers[row["way"]].restore([image], [""], [0])[0]
            row["cpu_s"].append(time.process_time() - started)
            row["same_bits"] = bool(np.array_equal(again, row["result"]))
    expected = rows[0]["result"]
    for row in rows:
        row["difference"] = float(np.abs(row.pop("result") - expected).max())
        row["cpu_s"] = min(row["cpu_s"])
    print(text_table(rows, ("way", "cpu_s", "difference", "same_bits", "first_call_cpu_s")))
    return rows


def prepared(way: str) -> Restorer:
    """nano on the CPU, made ready in one of `WAYS`. Raises ValueError for another."""
    if way not in WAYS:
        raise ValueError(f"way is {way!r}: choose one of {', '.join(WAYS)}")
    spec = ModelSpec(preset="nano", device="cpu", dtype="bfloat16" if way == "bfloat16" else "float32")
    restorer = build_restorer(spec, DEFAULTS["nano"])
    if way == "channels-last":
        nn.Module.to(restorer.unet, memory_format=torch.channels_last)  # type: ignore[call-overload]  # not in the stubs
    if way == "compiled":
        compile_parts(restorer.unet, restorer.vae, restorer.config)
    return restorer


if __name__ == "__main__":
    main()
