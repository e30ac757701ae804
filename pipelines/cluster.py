"""Connecting to Ray, and how its resources become replicas."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import ray

from pipelines.settings import Settings
from pipelines.storage import StoreError

_MB = 1 << 20
# Rows in flight on one machine: enough for a few large photographs, small beside the model.
_OBJECT_STORE_MB = 1024


@dataclass(frozen=True, kw_only=True)
class Resources:
    """What one replica takes, and how many there are at most."""

    replicas: int
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


def _init_arguments(settings: Settings) -> dict[str, Any]:
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR", "configure_logging": True}
    if settings.ray_address != "local":
        return {"address": settings.ray_address, **quiet}
    return {
        "address": "local",
        # One more than there are: a replica waits on its model while decoding goes on.
        "num_cpus": (settings.cpus or os.cpu_count() or 1) + 1,
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
    replicas = settings.replicas or (max(1, int(gpus / share)) if share else 1)
    # Replicas of a local CPU share its cores; elsewhere torch decides.
    threads = 0
    if not share and settings.ray_address == "local":
        threads = max(1, (settings.cpus or os.cpu_count() or 1) // replicas)
    return Resources(replicas=replicas, num_cpus=0 if share else 1, num_gpus=share, threads=threads)
