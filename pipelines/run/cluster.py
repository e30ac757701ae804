"""Connects to Ray: starts one for a run, joins the cluster that this machine is part of, or one over `ray://`."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import ray
from ray.exceptions import RayError

from pipelines.run import ray_patches
from pipelines.run.pools import local_cpus
from pipelines.run.terminal import stdin_from_null
from pipelines.settings import Settings
from pipelines.store.store import StoreError

__all__ = ["alive_nodes", "connected", "own_address"]

_MB = 1 << 20
# Rows in flight on one machine: enough for a few large photographs, small beside the model.
_OBJECT_STORE_MB = 1024
# Seconds before a client tries again.
_PAUSES = (1.0, 5.0)
_QUIET: dict[str, object] = {"log_to_driver": False, "logging_level": "ERROR", "configure_logging": True}


@contextmanager
def connected(settings: Settings, at: str = "") -> Iterator[None]:
    """A Ray session for a run; one that we started is shut down at the end, one that was there stays.

    Args:
        settings: say where Ray is.
        at: address of the local Ray of another process of this machine, to be joined instead (`own_address`).

    Raises:
        StoreError: the cluster cannot be reached, or the port for metrics cannot be had.
    """
    if ray.is_initialized():
        yield
        return
    agent = nullcontext() if at else _agent(settings)
    try:
        with stdin_from_null(), _silenced_core(), ray_patches.client_causes() as causes, agent:
            _init({"address": at, **_QUIET} if at else _init_arguments(settings))
    except (ConnectionError, RuntimeError, ValueError, OSError, RayError) as error:
        why = ": ".join(dict.fromkeys([_said(error), *causes[-1:]]))
        raise StoreError(
            f"ray address {at or settings.ray_address}: cannot connect ({why}); check that the cluster runs"
        ) from error
    try:
        yield
    finally:
        ray.shutdown()


def own_address() -> str:
    """Where other processes of this machine find the Ray that this one is connected to."""
    return str(ray.get_runtime_context().gcs_address)


def alive_nodes() -> set[str]:
    """Nodes that are there now; none if the cluster does not answer."""
    try:
        return {node["NodeID"] for node in ray.nodes() if node["Alive"]}
    except (RayError, RuntimeError, ConnectionError):
        return set()


def _init(arguments: dict[str, object]) -> None:
    """`ray.init`, again where the head could not start a process for a client.

    The head forks it beside gRPC's threads, and now and then it dies of that before it has begun.
    """
    for pause in _PAUSES:
        try:
            ray.init(**arguments)
        except ConnectionAbortedError:
            time.sleep(pause)
        else:
            return
    ray.init(**arguments)


def _said(error: Exception) -> str:
    """What an error says in one line; of a traceback from the head, what it ends in."""
    lines = str(error).strip().splitlines() or [""]
    return lines[-1 if isinstance(error, ConnectionAbortedError) else 0]


@contextmanager
def _silenced_core() -> Iterator[None]:
    """Keep Ray's C++ core off the terminal: it logs harmless things as errors there, and says so when its level is set."""
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


def _agent(settings: Settings) -> AbstractContextManager[None]:
    """A context in which a local Ray starts: with its agent if its metrics are wanted, else without."""
    if settings.ray_address != "local":
        return nullcontext()
    if not settings.metrics_port:
        return ray_patches.without_agent()
    ray_patches.check_metrics_port(settings.metrics_port)
    return nullcontext()


def _init_arguments(settings: Settings) -> dict[str, object]:
    if settings.ray_address != "local":
        return {"address": settings.ray_address, **_QUIET}
    return {
        "address": "local",
        "num_cpus": local_cpus(settings),
        "object_store_memory": (settings.object_store_mb or _OBJECT_STORE_MB) * _MB,
        "include_dashboard": False,
        **ray_patches.metrics_port_argument(settings.metrics_port),
        **_QUIET,
    }
