"""Every use of a name that Ray does not publish, each with its reason and, where known, Ray's issue. Written for Ray 2.60.

What is here may change with any release of Ray: look at each of them before `ray` in pyproject.toml is raised.
"""

from __future__ import annotations

import logging
import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager

import ray
import ray._private.utils
from ray.actor import ActorHandle
from ray.data._internal.execution.operators.actor_pool_map_operator import _ActorPool
from ray.exceptions import RayError

from pipelines.store.store import StoreError
from pipelines.telemetry import traces

__all__ = [
    "ON_THE_HEAD",
    "check_metrics_port",
    "client_causes",
    "end_released_actors",
    "is_worker",
    "largest_cluster",
    "metrics_port_argument",
    "without_agent",
]

# A resource that the head alone has: what asks for a little of it cannot end with a spot node. Ray's own libraries place their
# controllers by it, and there is no public name.
ON_THE_HEAD = {"node:__internal_head__": 0.001}

_release = _ActorPool._release_running_actor
# Seconds that an idle actor has to answer; on a node that went none does.
_ANSWER = 1.0


def end_released_actors() -> None:
    """Have idle actors that Ray Data lets go end at once, from now on, in this process.

    Its pools drop an idle actor's handle and wait for the garbage to be collected. Lineage may keep the handle, and then the
    actor keeps its GPU: seen on a cluster that shrank from eight nodes to two, where two idle replicas held both GPUs, and
    those that the pool still counted, with the last photographs, waited for one for ever. What such an actor produced lies in
    the object store, not in it; if that goes with its node, the rows are found missing and tried again.

    Ray ends them by force only where a whole dataset is shut down (ray-project/ray#51769); for a pool that shrinks there is no
    setting.
    """
    _ActorPool._release_running_actor = _release_and_end


def _release_and_end(pool: _ActorPool, actor: ActorHandle) -> None:
    state = pool._running_actors.get(actor)
    _release(pool, actor)
    if state is None or state.num_tasks_in_flight:
        return
    if state.is_restarting or not _flush_traces(actor):
        ray.kill(actor)
        return
    # Killed, it would take along what it has counted since its metrics were last exported.
    actor.__ray_terminate__.options(max_task_retries=0).remote()


def _flush_traces(actor: ActorHandle) -> bool:
    """Whether an actor lives and has sent its spans to the collector.

    One that does not is never asked to end by itself: asked on a node that is going, it starts again on another, keeps that
    one's GPU, and does not know that it was asked.
    """
    answer = actor.__ray_call__.options(max_task_retries=0).remote(lambda actor: traces.flush())
    try:
        ray.get(answer, timeout=_ANSWER)
    except RayError:
        return False
    return True


def is_worker() -> bool:
    """Whether this process is one of Ray's workers: its public API does not tell a worker from a driver."""
    return ray.is_initialized() and bool(ray.get_runtime_context().worker.mode == ray.WORKER_MODE)


def largest_cluster() -> dict[str, float] | None:
    """What the cluster has when its autoscaler has brought all nodes it may; None without an autoscaler.

    Ray's public API knows the nodes that are there, not those that may come.
    """
    if ray.util.client.ray.is_connected():  # only a process of the cluster can ask
        found: dict[str, float] | None = ray.get(ray.remote(num_cpus=0)(_autoscaler_maximum).remote())
        return found
    return _autoscaler_maximum()


def _autoscaler_maximum() -> dict[str, float] | None:
    from ray._private.state import state

    found = state.get_max_resources_from_cluster_config()
    return None if found is None else dict(found)


def metrics_port_argument(port: int) -> dict[str, int | None]:
    """What `ray.init` calls the port of a local Ray's metrics; 0 is none. `ray start` alone has a public flag for it."""
    return {"_metrics_export_port": port or None}


def check_metrics_port(port: int) -> None:
    """Raises StoreError where a local Ray could not export metrics on a port: it would say so in a file of its own alone."""
    if ray._private.utils.get_dashboard_dependency_error() is not None:
        raise StoreError(
            f"metrics port {port}: Ray's agent is not installed; pip install 'faitharchive[cluster]', or leave the port out"
        )
    with closing(socket.socket()) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the agent does
        try:
            probe.bind(("", port))
        except OSError as error:
            raise StoreError(f"metrics port {port}: cannot be used ({error.strerror}); choose another") from error


@contextmanager
def client_causes() -> Iterator[list[str]]:
    """What a Ray client was told while it tried to connect in this block, in the server's words.

    `ray.init` says "connection timeout" whatever it was, a token that is missing as well; the cause goes to a debug log alone.
    """
    causes: list[str] = []
    logger = logging.getLogger("ray.util.client.worker")
    kept, handler = (logger.level, logger.propagate), _Causes(causes)
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    logger.propagate = False
    try:
        yield causes
    finally:
        logger.removeHandler(handler)
        logger.setLevel(kept[0])
        logger.propagate = kept[1]


class _Causes(logging.Handler):
    """Keeps the errors that a client's log tells of."""

    _BEGINS = "Received when checking init: "

    def __init__(self, causes: list[str]) -> None:
        super().__init__(logging.DEBUG)
        self._causes = causes

    def emit(self, record: logging.LogRecord) -> None:
        text = " ".join(record.getMessage().split())
        if text.startswith(self._BEGINS):
            self._causes.append(text.removeprefix(self._BEGINS))


@contextmanager
def without_agent() -> Iterator[None]:
    """Have a local Ray that is started in this block do without the agent, as if `ray[default]` were not installed.

    It would take seconds to start and 100 MB, to export what nobody asked for. `include_dashboard=False` leaves out the
    dashboard alone (ray-project/ray#17770), and an option for the agent was declined (ray-project/ray#19420).
    """
    kept = ray._private.utils.get_dashboard_dependency_error
    ray._private.utils.get_dashboard_dependency_error = lambda: ImportError("nobody asked for Ray's agent")
    try:
        yield
    finally:
        ray._private.utils.get_dashboard_dependency_error = kept
