"""Connecting to Ray, and how its resources become replicas."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import ray

from faithdiff_model.presets import PRESETS
from pipelines.settings import Settings
from pipelines.storage import StoreError

_MB = 1 << 20
# Rows in flight on one machine: enough for a few large photographs, small beside the model.
_OBJECT_STORE_MB = 1024


@dataclass(frozen=True, kw_only=True)
class Resources:
    """What one replica takes, how many there are at most, and how many rows each is given at a time."""

    replicas: int
    rows_per_call: int
    num_cpus: float
    num_gpus: float
    threads: int


@contextmanager
def connected(settings: Settings) -> Iterator[None]:
    """A Ray session for a run; one that we started is shut down at the end, one that was there stays.

    Raises:
        StoreError: the cluster cannot be reached.
    """
    if ray.is_initialized():
        yield
        return
    try:
        with _silenced_core():
            ray.init(**_init_arguments(settings))
    except (ConnectionError, RuntimeError, ValueError, OSError) as error:
        text = (str(error).strip().splitlines() or [""])[0]
        raise StoreError(
            f"ray address {settings.ray_address}: cannot connect ({text}); check that the cluster runs"
        ) from error
    try:
        yield
    finally:
        ray.shutdown()


@contextmanager
def _silenced_core() -> Iterator[None]:
    """Keep Ray's C++ core off the terminal: it logs harmless things as errors there, and announces being told not to."""
    if "RAY_BACKEND_LOG_LEVEL" in os.environ:
        yield
        return
    os.environ["RAY_BACKEND_LOG_LEVEL"] = "fatal"
    sys.stderr.flush()
    kept = os.dup(2)
    with open(os.devnull, "wb") as nowhere:  # noqa: PTH123 (its descriptor is what counts)
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        del os.environ["RAY_BACKEND_LOG_LEVEL"]


def _init_arguments(settings: Settings) -> dict[str, Any]:
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR", "configure_logging": True}
    if settings.ray_address != "local":
        return {"address": settings.ray_address, **quiet}
    return {
        "address": "local",
        # Logical CPUs: one an actor, and as many as there are for decoding while actors wait on their models.
        "num_cpus": _cores(settings) + _local_replicas(settings) + settings.caption_replicas,
        "object_store_memory": (settings.object_store_mb or _OBJECT_STORE_MB) * _MB,
        "include_dashboard": False,
        **quiet,
    }


def replica_resources(settings: Settings) -> Resources:
    """How to place replicas on the connected cluster."""
    available = ray.cluster_resources()
    gpus = float(available.get("GPU", 0))
    share = settings.gpus_per_replica
    if share < 0:
        share = 1.0 if gpus and settings.device != "cpu" else 0.0
    rows = settings.rows_per_call or (4 if share else 1)
    if share:
        replicas = settings.replicas or max(1, int(gpus / share))
        return Resources(replicas=replicas, rows_per_call=rows, num_cpus=0, num_gpus=share, threads=0)
    threads = settings.cpu_threads
    if settings.ray_address == "local":
        replicas = _local_replicas(settings)
        return Resources(replicas=replicas, rows_per_call=rows, num_cpus=1, num_gpus=0, threads=threads)
    fitting = max(1, int(available.get("CPU", 1)) // (threads + 1))  # each leaves a CPU to decode for it
    replicas = settings.replicas or fitting
    return Resources(replicas=replicas, rows_per_call=rows, num_cpus=threads, num_gpus=0, threads=threads)


def _cores(settings: Settings) -> int:
    return settings.cpus or os.cpu_count() or 1


def _local_replicas(settings: Settings) -> int:
    """As many as the cores and the memory of this machine carry."""
    if settings.replicas:
        return settings.replicas
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    by_memory = int(memory / 2 / PRESETS[settings.preset].host_memory_gib)  # half is for pixels and everything else
    return max(1, min(_cores(settings) // settings.cpu_threads, by_memory))
