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

from pipelines import traces

_release = _ActorPool._release_running_actor
_last_words: list[ray.ObjectRef] = []


def _release_and_end(pool: Any, actor: Any) -> None:
    state = pool._running_actors.get(actor)
    _release(pool, actor)
    if state is None or state.num_tasks_in_flight:
        return
    if state.is_restarting:
        ray.kill(actor)
        return
    # Not killed: its last spans would go with it. Not repeated: that would start it again.
    if traces.wanted():
        _last_words.append(actor.__ray_call__.options(max_task_retries=0).remote(_tell))
    actor.__ray_terminate__.options(max_task_retries=0).remote()


def _tell(actor: Any) -> None:
    traces.flush()


def end_released_actors() -> None:
    """From now on, in this process. Ray 2.60 has no setting for it."""
    _ActorPool._release_running_actor = _release_and_end


def wait_for_last_words(seconds: float) -> None:
    """Until released actors have told a collector what they had to, or for so long."""
    told = _last_words[:]
    _last_words.clear()
    if told:
        ray.wait(told, num_returns=len(told), timeout=seconds)
