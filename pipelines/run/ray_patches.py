"""Actors that Ray Data lets go end at once.

Its pools drop an idle actor's handle and wait for the garbage to be collected. Lineage may keep the handle, and then the actor
keeps its GPU: seen on a cluster that shrank from eight nodes to two, where two idle replicas held both GPUs, and those that the
pool still counted, with the last photographs, waited for one for ever. What such an actor produced lies in the object store,
not in it; if that goes with its node, the rows are found missing and tried again.
"""

from __future__ import annotations

from typing import Any

import ray
from ray.data._internal.execution.operators.actor_pool_map_operator import _ActorPool
from ray.exceptions import RayError

from pipelines.telemetry import traces

_release = _ActorPool._release_running_actor
# Seconds that an idle actor has to answer; on a node that went none does.
_ANSWER = 1.0


def _release_and_end(pool: Any, actor: Any) -> None:
    state = pool._running_actors.get(actor)
    _release(pool, actor)
    if state is None or state.num_tasks_in_flight:
        return
    if state.is_restarting or not _told(actor):
        ray.kill(actor)
        return
    # Killed, it would take along what it has counted since its metrics were last exported.
    actor.__ray_terminate__.options(max_task_retries=0).remote()


def _told(actor: Any) -> bool:
    """Whether an actor lives and has told a collector what it had to.

    One that does not is never asked to end by itself: asked on a node that is going, it starts again on another, keeps that
    one's GPU, and does not know that it was asked.
    """
    answer = actor.__ray_call__.options(max_task_retries=0).remote(_tell)
    try:
        ray.get(answer, timeout=_ANSWER)
    except RayError:
        return False
    return True


def _tell(actor: Any) -> None:
    traces.flush()


def end_released_actors() -> None:
    """From now on, in this process. Ray 2.60 has no setting for it."""
    _ActorPool._release_running_actor = _release_and_end
