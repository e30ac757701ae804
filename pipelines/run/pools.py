"""How a cluster's resources become pools of actors: which nodes, what of them, how many."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypedDict

import pyarrow as pa
import pyarrow.compute as pc
import ray

from faithdiff_model.presets import PRESETS
from pipelines.run.ray_patches import largest_cluster
from pipelines.setting_types import node_labels
from pipelines.settings import Settings
from pipelines.store.store import StoreError

# CPUs that files are read, cut, joined and written with beside the models: without one of them nothing ever reaches a model.
_ROOM = 1
# Blocks are made for as many replicas as a growing cluster may have: a run of fewer rows must not lie in a few blocks.
_ELASTIC_REPLICAS = 64
_SMALL = 1 << 20  # bytes of a photograph's file that is surely one tile


__all__ = [
    "Pool",
    "Resources",
    "cluster_pools",
    "local_cpus",
    "local_replicas",
    "memory_gib",
    "replicas_for",
    "replicas_now",
]


@dataclass(frozen=True, kw_only=True)
class Pool:
    """Actors of one stage.

    Attributes:
        least, most: actors; `most` None grows with the cluster.
        num_cpus, num_gpus: that each takes.
        labels: that a node must have to hold one.
        device: what its model runs on; an actor without a GPU must not find one by itself.
    """

    least: int = 1
    most: int | None = 1
    num_cpus: float = 0
    num_gpus: float = 0
    labels: Mapping[str, str] = field(default_factory=dict)
    device: str = "auto"


@dataclass(frozen=True, kw_only=True)
class Resources:
    """Pools of the models.

    Attributes:
        restore, caption: of FaithDiff and of LLaVA.
        replicas: of FaithDiff that are to be kept busy, now or later.
        rows_per_call: that each is given at a time.
        threads: CPU threads of a replica; 0 leaves torch's choice.
        task_cpus: that a task without a model takes. Less than one where each stage could not have a task at a time: Ray keeps
            a place for those that come first, and what is restored would be written when nothing is left to restore.
    """

    restore: Pool
    caption: Pool
    replicas: int
    rows_per_call: int
    threads: int
    task_cpus: float = 1.0


def cluster_pools(settings: Settings) -> Resources:
    """How to place models on the connected cluster.

    Raises:
        StoreError: no node could ever hold one.
    """
    local = settings.ray_address == "local"
    growing = None if local else largest_cluster()
    gpus = max(ray.cluster_resources().get("GPU", 0.0), (growing or {}).get("GPU", 0.0))
    auto = 1.0 if gpus and settings.device != "cpu" else 0.0
    share = auto if settings.gpus_per_replica < 0 else settings.gpus_per_replica
    caption_share = share if settings.gpus_per_captioner < 0 else settings.gpus_per_captioner
    fitting = None  # on a cluster as many as there are nodes for, also those that come later
    if local:
        fitting = max(1, int(gpus / share)) if share else local_replicas(settings)
    threads = 0 if share else settings.cpu_threads

    def device(taken: float) -> str:
        return "cpu" if gpus and not taken and settings.device == "auto" else settings.device

    least = min(settings.min_replicas, settings.replicas or fitting or settings.min_replicas)
    # A local Ray counts a CPU an actor beside those for decoding (see `local_cpus`); a cluster's CPUs are real.
    cpus = 1.0 if local else float(settings.cpu_threads)
    total = max(ray.cluster_resources().get("CPU", 0.0), (growing or {}).get("CPU", 0.0))
    if not local:
        actors = 0 if share else least
        actors += settings.captions == "llava" and not caption_share
        cpus = _leave_room(total, actors, cpus)
    resources = Resources(
        restore=Pool(
            least=least,
            most=settings.replicas or fitting,
            num_cpus=0 if share else cpus,
            num_gpus=share,
            labels=node_labels(settings.replica_label),
            device=device(share),
        ),
        caption=Pool(
            most=settings.caption_replicas or (1 if local else None),
            num_cpus=0 if caption_share else cpus,
            num_gpus=caption_share,
            labels=node_labels(settings.caption_label),
            device=device(caption_share),
        ),
        replicas=settings.replicas or fitting or _ELASTIC_REPLICAS,
        rows_per_call=settings.rows_per_call or (4 if share else 1),
        threads=threads,
    )
    resources = replace(resources, task_cpus=_task_cpus(total, resources, captions=settings.captions == "llava"))
    pools = {"replica": resources.restore}
    if settings.captions == "llava":
        pools["captioner"] = resources.caption
    if growing is None:
        for name, pool in pools.items():
            _check_placeable(name, pool, ray.nodes())
    return resources


def _task_cpus(total: float, resources: Resources, *, captions: bool) -> float:
    """CPUs of a task: one, or a part of those that the models leave of so few."""
    taken = resources.restore.num_cpus * resources.restore.least
    stages = 2  # one that reads and cuts, one that writes
    if captions:  # between reading and cutting
        taken, stages = taken + resources.caption.num_cpus * resources.caption.least, 3
    return max(0.1, min(1.0, math.floor((total - taken) / stages * 10) / 10))


def replicas_for(resources: Resources, rows: pa.Table) -> Resources:
    """A local Ray's pools for some rows: all replicas from the start, or as many as there are small photographs.

    Ray lets a pool grow into what other stages leave, and in a stream that is fed none of them ever ends. On a cluster, where
    models have GPUs that nothing else asks for, it grows.

    Args:
        resources: of the local Ray.
        rows: of the plan's pending table.
    """
    pool = resources.restore
    assert pool.most is not None
    small = pc.all(pc.and_(pc.equal(rows["media_kind"], "photo"), pc.less(rows["source_size"], _SMALL)))
    wanted = min(pool.most, rows.num_rows) if small.as_py() else pool.most
    return replace(resources, restore=replace(pool, least=max(pool.least, wanted)))


def replicas_now(resources: Resources) -> int:
    """Replicas that the cluster has room for as it is now, or those that it was planned with where they are more."""
    pool = resources.restore
    if pool.most is not None:
        return resources.replicas
    name, share = ("GPU", pool.num_gpus) if pool.num_gpus else ("CPU", pool.num_cpus or 1.0)
    return max(resources.replicas, int(ray.cluster_resources().get(name, 0.0) / share))


def _leave_room(total: float, actors: int, cpus: float) -> float:
    """CPUs that each actor on CPUs takes: those that it is meant to have, or fewer where files could not be read beside it. Its
    threads stay as many, since they are a part of what makes equal bytes.

    Args:
        total: CPUs that the cluster has, or may grow to.
        actors: on CPUs, that a pass cannot do without.
        cpus: that each is meant to have.

    Raises:
        StoreError: not even a CPU each leaves room: all would wait for one another, for ever.
    """
    if actors * cpus + _ROOM <= total:
        return cpus
    if actors + _ROOM > total:
        beside = f"1 for each of its {actors} models and " if actors else ""
        needs = f"{actors + _ROOM} CPUs" if actors else f"{_ROOM} CPU"
        raise StoreError(
            f"a pass needs {needs} ({beside}{_ROOM} to read and write with), and the cluster has {total:g}: add a "
            "node, start Ray with more --num-cpus, or lower --min-replicas"
        )
    return max(1.0, (total - _ROOM) // max(1, actors))


class _Node(TypedDict, total=False):
    """What is read of a node of `ray.nodes`."""

    Alive: bool
    Labels: dict[str, str]
    Resources: dict[str, float]


def _check_placeable(name: str, pool: Pool, nodes: Sequence[_Node]) -> None:
    """Without this, a run that asks for what no node has would wait for ever."""
    alive = [node for node in nodes if node["Alive"]]
    for node in alive:
        labels, has = node.get("Labels", {}), node["Resources"]
        if (
            all(labels.get(key) == value for key, value in pool.labels.items())
            and has.get("GPU", 0) >= pool.num_gpus
            and has.get("CPU", 0) >= pool.num_cpus
        ):
            return
    wanted = [f"{pool.num_gpus:g} GPU" if pool.num_gpus else f"{pool.num_cpus:g} CPU"]
    wanted += [f"the label {key}={value}" for key, value in pool.labels.items()]
    options = (
        "--gpus-per-captioner and --caption-label" if name == "captioner" else "--gpus-per-replica and --replica-label"
    )
    raise StoreError(
        f"a {name} needs a node with {' and '.join(wanted)}, and none of the cluster's {len(alive)} has that: look at "
        f"{options}, or add such a node"
    )


def local_cpus(settings: Settings) -> int:
    """Logical CPUs of a local Ray: one an actor, and as many as there are for decoding while actors wait on their models."""
    return _cores(settings) + local_replicas(settings) + max(1, settings.caption_replicas)


def memory_gib() -> float:
    """Memory of this machine."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30


def local_replicas(settings: Settings) -> int:
    """Replicas without a GPU that the cores and the memory of this machine carry: the one place of this rule."""
    if settings.replicas:
        return settings.replicas
    by_memory = int(
        memory_gib() / 2 / PRESETS[settings.preset].host_memory_gib
    )  # half is for pixels and everything else
    return max(1, min(_cores(settings) // settings.cpu_threads, by_memory))


def _cores(settings: Settings) -> int:
    """CPUs of this machine that a local run may use."""
    return settings.cpus or os.cpu_count() or 1
