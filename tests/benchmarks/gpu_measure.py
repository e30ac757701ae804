"""What the measuring steps of `gpu.py` share: the device, the sizes, a clock, and what becomes of a case that fails."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from gpu import add
from networks import NETWORKS, random_restorer

from faithdiff_model.network.compiled import compile_parts
from faithdiff_model.network.config import NetworkConfig
from faithdiff_model.options import RestoreOptions
from faithdiff_model.restorer import Restorer

GUIDANCE = 5.0


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """What is measured of a network. Sides in pixels; tuples in order of value, since time may end.

    Attributes:
        size, steps: of an image of one window, as the goals have it.
        batches: of such images.
        repeats: timed calls after the first; the best counts.
        large: side of a photograph of several windows.
        window_batches: windows in one UNet call for that.
        nano: height and width of the photograph that nano restores.
        nano_batches: windows in one call of nano's UNet.
        matrix: side of the matrices whose rate is measured.
    """

    size: int
    steps: int
    batches: tuple[int, ...]
    repeats: int
    large: int
    window_batches: tuple[int, ...]
    nano: tuple[int, int]
    nano_batches: tuple[int, ...]
    matrix: int


SIZES = {
    "sdxl": Sizes(
        size=1024, steps=20, batches=(1, 4, 8, 2), repeats=2,
        large=2048, window_batches=(4, 9, 1), nano=(1536, 2048), nano_batches=(1, 16), matrix=8192,
    ),
    "tiny": Sizes(
        size=64, steps=1, batches=(1, 2), repeats=1,
        large=192, window_batches=(2,), nano=(96, 128), nano_batches=(1,), matrix=64,
    ),
}  # fmt: skip


def device_of(options: argparse.Namespace) -> torch.device:
    """Raises SystemExit: the full-size network without a GPU."""
    on_gpu = options.device == "auto" and torch.cuda.is_available()
    if not on_gpu and options.network == "sdxl":
        raise SystemExit("no usable GPU here for the full-size network: give --network tiny to try the script out")
    torch.set_num_threads(torch.get_num_threads() if on_gpu else 1)
    return torch.device("cuda" if on_gpu else "cpu")


def exact_float32() -> None:
    """float32 means float32, so that results can be compared."""
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cuda.matmul.allow_tf32 = False


def working_dtype(device: torch.device) -> torch.dtype:
    """bfloat16 on a GPU: random weights may overflow in float16, and both cost the same."""
    return torch.bfloat16 if device.type == "cuda" else torch.float32


def random_network(
    options: argparse.Namespace, *, config: NetworkConfig | None = None, steps: int | None = None
) -> Restorer:
    """The replica that is measured, with random weights, on the step's device."""
    device, sizes = device_of(options), SIZES[options.network]
    sampling = RestoreOptions(steps=steps or sizes.steps, guidance_scale=GUIDANCE)
    return random_restorer(config or NETWORKS[options.network], device, working_dtype(device), sampling)


def compile_network(restorer: Restorer) -> None:
    """As `--compile` does."""
    compile_parts(restorer.unet, restorer.vae, restorer.config)


def ways(options: argparse.Namespace, device: torch.device) -> tuple[str, ...]:
    """Compiling a UNet takes a CPU minutes, so there it is left out, and where it is not wanted."""
    return ("eager", "compiled") if device.type == "cuda" and not options.no_compile else ("eager",)


def left(options: argparse.Namespace) -> float:
    """Seconds until this step must have ended."""
    return float(options.ends - time.monotonic())


def name(dtype: torch.dtype) -> str:
    """`bfloat16`."""
    return str(dtype).removeprefix("torch.")


@contextmanager
def surviving(options: argparse.Namespace, row: dict[str, Any]) -> Iterator[None]:
    """Add a row to the results when its case has ended; what stops the case is said there, and the next one goes on.

    The body fills the row. Out of memory, what the case held on the GPU is given back.
    """
    try:
        yield
    except Exception as error:  # whatever it is: the next case may work
        first = (str(error).strip() or type(error).__name__).splitlines()[0]
        row["failed"] = f"{type(error).__name__}: {first}"
    add(options.out, row)
    if torch.cuda.is_available() and "failed" in row:
        torch.cuda.empty_cache()


def timed(call: Callable[[], Any], device: torch.device) -> tuple[float, float | None]:
    """Seconds of one call, and the peak of GPU memory in GiB while it ran (None on a CPU)."""
    on_gpu = device.type == "cuda"
    if on_gpu:
        torch.cuda.reset_peak_memory_stats(device)
        torch.cuda.synchronize(device)
    started = time.perf_counter()
    call()
    if on_gpu:
        torch.cuda.synchronize(device)
    seconds = time.perf_counter() - started
    return seconds, torch.cuda.max_memory_allocated(device) / 2**30 if on_gpu else None
