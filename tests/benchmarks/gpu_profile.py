"""Step 4 of `gpu.py`: where the time of one image goes. Step 6: what nano costs a megapixel."""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from gpu_measure import (
    SIZES,
    compile_network,
    device_of,
    left,
    random_network,
    surviving,
    timed,
    ways,
)
from replica import ours, picture
from torch import nn
from torch.autograd import DeviceType
from torch.profiler import ProfilerActivity, profile

from faithdiff_model.build import build_restorer
from faithdiff_model.presets import DEFAULTS
from faithdiff_model.restorer import Restorer
from faithdiff_model.spec import ModelSpec

_LONGEST = 10
_LEAST_SECONDS = 8
_NANO_DTYPES = ("float32", "float16")


def run(options: argparse.Namespace) -> None:
    """One image: shares of the parts and of idling, and the longest kernels; eager, then compiled."""
    sizes = SIZES[options.network]
    restorer = random_network(options)
    call = ours(restorer, [picture(sizes.size, 0)], 1)
    call()  # warm
    for way in ways(options, restorer.device):
        row: dict[str, Any] = {"what": "profile", "way": way, "steps": sizes.steps, "size": sizes.size}
        if left(options) < _LEAST_SECONDS:
            row["failed"] = f"left out: {left(options):.0f} s left"
        with surviving(options, row):
            if "failed" in row:
                continue
            if way == "compiled":
                compile_network(restorer)
                call()
            seconds, _ = timed(call, restorer.device)
            busy, row["longest"] = _kernels(call, restorer.device)
            row.update(seconds=seconds, busy_s=busy, idle=max(0.0, 1 - busy / seconds), shares={})
            if way == "eager":
                row["shares"] = _shares(restorer, call)
                row["synchronisations_a_step"] = _synchronisations_a_step(restorer, sizes.size)


def nano(options: argparse.Namespace) -> None:
    """The default network as users load it, seconds a megapixel; eager, then compiled."""
    device = device_of(options)
    height, width = SIZES[options.network].nano
    image = picture(max(height, width), 0)[:height, :width]
    for way in ways(options, device):
        for dtype in _NANO_DTYPES if device.type == "cuda" else ("float32",):
            spec = ModelSpec(preset="nano", device=device.type, dtype=dtype, compile=way == "compiled")
            for batch in SIZES[options.network].nano_batches:
                row: dict[str, Any] = {"what": "nano", "way": way, "dtype": dtype, "windows_a_call": batch}
                if left(options) < _LEAST_SECONDS:
                    row["failed"] = f"left out: {left(options):.0f} s left"
                with surviving(options, row):
                    if "failed" not in row:
                        restorer = build_restorer(spec, DEFAULTS["nano"])
                        call = ours(restorer, [image], batch)
                        call()
                        seconds, peak = min((timed(call, device) for _ in range(3)), key=lambda found: found[0])
                        row.update(s_a_megapixel=seconds / (height * width / 1e6), peak_gib=peak, size=[height, width])


def _kernels(call: Callable[[], Any], device: torch.device) -> tuple[float, list[dict[str, Any]]]:
    """Seconds in which the device computed, and what took most of them: kernels on a GPU, operators on a CPU."""
    on_gpu = device.type == "cuda"
    activities = [ProfilerActivity.CUDA] if on_gpu else [ProfilerActivity.CPU]
    with profile(activities=activities) as profiler:
        call()
        if on_gpu:
            torch.cuda.synchronize(device)
    found = []
    for event in profiler.key_averages():
        if (event.device_type == DeviceType.CUDA) == on_gpu:
            micros = event.self_device_time_total if on_gpu else event.self_cpu_time_total
            found.append({"name": event.key, "ms": micros / 1000, "calls": event.count})
    found.sort(key=lambda kernel: -kernel["ms"])
    return sum(kernel["ms"] for kernel in found) / 1000, found[:_LONGEST]


def _shares(restorer: Restorer, call: Callable[[], Any]) -> dict[str, float]:
    """Each part's share of a call's time, from entering the part to leaving it; `other` is the rest."""
    vae, unet = restorer.vae, restorer.unet
    parts = {
        "unet": [unet.core],
        "alignment": [unet.alignment, unet.alignment.lq_embedding],
        "codec": [unet.lq_encoder, vae.encoder, vae.decoder],
    }
    marks: dict[str, list[tuple[Any, Any]]] = {part: [] for part in parts}
    with _marked(parts, marks, restorer.device):
        seconds, _ = timed(call, restorer.device)
    shares = {part: sum(_between(*each) for each in found) / seconds for part, found in marks.items()}
    return {**shares, "other": 1 - sum(shares.values())}


@contextmanager
def _marked(
    parts: dict[str, list[nn.Module]], marks: dict[str, list[tuple[Any, Any]]], device: torch.device
) -> Iterator[None]:
    """While this lasts, each call of a part leaves a mark before and one behind it, without waiting for the device."""

    def mark() -> Any:
        if device.type != "cuda":
            return time.perf_counter()
        event = torch.cuda.Event(enable_timing=True)
        event.record()
        return event

    handles = []
    for part, modules in parts.items():
        entered: list[Any] = []
        for module in modules:
            handles.append(module.register_forward_pre_hook(lambda *_, entered=entered: entered.append(mark())))
            handles.append(
                module.register_forward_hook(
                    lambda *_, entered=entered, part=part: marks[part].append((entered.pop(), mark()))
                )
            )
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _between(start: Any, end: Any) -> float:
    """Seconds."""
    return float(end - start) if isinstance(start, float) else float(start.elapsed_time(end)) / 1000


def _synchronisations_a_step(restorer: Restorer, size: int) -> float | None:
    """How often a denoising step makes the host wait for the GPU: what two more steps add, halved. None on a CPU."""
    if restorer.device.type != "cuda":
        return None
    found = {}
    for steps in (2, 4):
        call = ours(restorer.with_options(steps=steps), [picture(size, 0)], 1)
        torch.cuda.set_sync_debug_mode("warn")
        try:
            with warnings.catch_warnings(record=True) as heard:
                warnings.simplefilter("always")
                call()
        finally:
            torch.cuda.set_sync_debug_mode("default")
        found[steps] = sum("synchroniz" in str(warning.message) for warning in heard)
    return (found[4] - found[2]) / 2
