"""Pools of actors by settings: GPUs, shares of GPUs, CPUs, one kind for the captioner and another for the model; and labels."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest
from pydantic import ValidationError

import pipelines.run.pools
from pipelines.run.pools import Pool, Resources, _task_cpus, cluster_pools, replicas_for
from pipelines.settings import Settings
from pipelines.store.store import StoreError


def _node(labels: dict[str, str] | None = None, *, alive: bool = True, **resources: float) -> dict[str, Any]:
    return {"Alive": alive, "Labels": labels or {}, "Resources": resources}


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Has `cluster_pools` see the nodes that it is given, and an autoscaler's limits if there are any."""

    def seen(*nodes: dict[str, Any], limits: dict[str, float] | None = None) -> None:
        total: dict[str, float] = {}
        for node in nodes:
            for name, amount in node["Resources"].items():
                total[name] = total.get(name, 0) + amount
        monkeypatch.setattr(pipelines.run.pools.ray, "nodes", lambda: list(nodes))
        monkeypatch.setattr(pipelines.run.pools.ray, "cluster_resources", lambda: total)
        monkeypatch.setattr(pipelines.run.pools, "largest_cluster", lambda: limits)

    return seen


def _settings(**changes: Any) -> Settings:
    return Settings(preset="tiny", ray_address="auto", **changes)


def test_a_replica_a_gpu_as_many_as_come(cluster: Any) -> None:
    cluster(_node(CPU=8), _node(CPU=8, GPU=2))
    resources = cluster_pools(_settings())
    assert resources.restore == Pool(most=None, num_gpus=1.0, device="auto")
    assert (resources.rows_per_call, resources.threads) == (4, 0)
    assert cluster_pools(_settings(replicas=5)).restore.most == 5
    assert cluster_pools(_settings(replicas=2, min_replicas=3)).restore.least == 2


def test_shares_of_gpus(cluster: Any) -> None:
    cluster(_node(CPU=8, GPU=1))
    resources = cluster_pools(_settings(gpus_per_replica=0.7, gpus_per_captioner=0.3, captions="none"))
    assert (resources.restore.num_gpus, resources.caption.num_gpus) == (0.7, 0.3)
    assert (resources.restore.num_cpus, resources.caption.num_cpus) == (0, 0)


def test_cpus_alone_find_no_gpu(cluster: Any) -> None:
    """Ray hides no GPU from an actor that has taken none: torch must be told."""
    cluster(_node(CPU=8, GPU=1))
    resources = cluster_pools(_settings(gpus_per_replica=0, cpu_threads=3))
    assert resources.restore == Pool(most=None, num_cpus=3, device="cpu")
    assert resources.threads == 3
    cluster(_node(CPU=8))
    assert cluster_pools(_settings()).restore.device == "auto"  # a Mac's own, say


def test_the_captioner_on_cpus_and_the_model_on_gpus(cluster: Any) -> None:
    cluster(_node(CPU=8, GPU=1))
    resources = cluster_pools(_settings(gpus_per_captioner=0, caption_replicas=0))
    assert resources.restore.num_gpus == 1
    assert resources.caption == Pool(most=None, num_cpus=2, device="cpu")


def test_each_on_its_own_kind_of_node(cluster: Any) -> None:
    cluster(_node({"gpu": "H100"}, CPU=4, GPU=1), _node({"gpu": "L4"}, GPU=1))
    chosen = {"captions": "llava", "preset": "sdxl", "replica_label": "gpu=H100"}
    resources = cluster_pools(Settings(ray_address="auto", caption_label="gpu=L4", **chosen))
    assert (resources.restore.labels, resources.caption.labels) == ({"gpu": "H100"}, {"gpu": "L4"})
    with pytest.raises(
        StoreError, match=r"a captioner needs a node with 1 GPU and the label gpu=A100, and none of .* 2 has"
    ):
        cluster_pools(Settings(ray_address="auto", caption_label="gpu=A100", **chosen))


def test_what_no_node_has(cluster: Any) -> None:
    cluster(_node({"gpu": "H100"}, GPU=4, alive=False), _node(CPU=2, GPU=2))
    with pytest.raises(StoreError, match="a replica needs a node with 4 GPU, and none of the cluster's 1 has that"):
        cluster_pools(_settings(gpus_per_replica=4))
    with pytest.raises(StoreError, match="2 GPU and the label gpu=H100"):
        cluster_pools(_settings(gpus_per_replica=2, replica_label="gpu=H100"))


def test_nodes_that_an_autoscaler_may_bring(cluster: Any) -> None:
    """A GPU group that is empty now still means GPUs, and nothing is said to be missing."""
    cluster(_node(CPU=2), limits={"CPU": 100.0, "GPU": 16.0})
    resources = cluster_pools(_settings(replica_label="gpu=H100"))
    assert (resources.restore.num_gpus, resources.restore.most) == (1.0, None)


@pytest.mark.parametrize("label", ["H100", "=H100", "gpu=", "gpu=H100,L4", "gpu=!H100", "Bad Key=x"])
def test_labels_that_are_none(label: str) -> None:
    with pytest.raises(ValidationError, match="is no node label: give key=value"):
        Settings(replica_label=label)


def test_labels_of_several_parts() -> None:
    assert Settings(replica_label=" ray.io/accelerator-type=H100 , zone=a").replica_label == (
        "ray.io/accelerator-type=H100,zone=a"
    )


def test_a_replica_does_not_take_the_last_cpu(cluster: Any) -> None:
    """On a cluster of two CPUs it took both, and decoding waited for ever."""
    cluster(_node(CPU=2))
    resources = cluster_pools(_settings(cpu_threads=2))
    assert (resources.restore.num_cpus, resources.threads) == (1, 2)  # its threads are a part of what makes equal bytes
    cluster(_node(CPU=3))
    assert cluster_pools(_settings(cpu_threads=2)).restore.num_cpus == 2
    cluster(_node(CPU=8))
    assert cluster_pools(_settings(cpu_threads=4, min_replicas=3)).restore.num_cpus == 2
    cluster(_node(CPU=2), limits={"CPU": 64})
    assert cluster_pools(_settings(cpu_threads=2)).restore.num_cpus == 2


def test_a_cluster_without_room_for_a_pass_is_refused_before_the_start(cluster: Any) -> None:
    cluster(_node(CPU=1))
    with pytest.raises(
        StoreError, match=r"a pass needs 2 CPUs \(1 for each of its 1 models and 1 to read .* has 1: add a"
    ):
        cluster_pools(_settings())
    cluster(_node(CPU=3))
    with pytest.raises(StoreError, match=r"a pass needs 4 CPUs .* and the cluster has 3"):
        cluster_pools(_settings(min_replicas=3))
    cluster(_node(GPU=1))
    with pytest.raises(StoreError, match=r"a pass needs 1 CPU \(1 to read and write with\), and the cluster has 0"):
        cluster_pools(_settings())


def test_tasks_take_less_where_each_stage_could_not_have_one() -> None:
    """On two CPUs the write stage waited until nothing was left to restore, and results came at the end."""
    pool = Pool(least=1, num_cpus=1)
    few = Resources(restore=pool, caption=pool, replicas=1, rows_per_call=1, threads=1)
    assert _task_cpus(2, few, captions=False) == 0.5
    assert _task_cpus(4, few, captions=False) == 1.0
    assert _task_cpus(4, few, captions=True) == 0.6
    assert _task_cpus(1, few, captions=True) == 0.1


@pytest.mark.parametrize(
    ("kinds", "sizes", "least"),
    [
        (["photo"] * 2, [1000, 2000], 2),
        (["photo"] * 9, [1000] * 9, 4),
        (["photo"], [5_000_000], 4),
        (["film"], [1000], 4),
        (["photo"], [None], 4),
    ],
)
def test_a_local_pool_is_whole_from_the_start(kinds: list[str], sizes: list[int | None], least: int) -> None:
    """It grows only into CPUs that other stages leave, which never end in a stream that is fed: one of two replicas did all."""
    pool = Pool(least=1, most=4, num_cpus=1)
    resources = Resources(restore=pool, caption=pool, replicas=4, rows_per_call=1, threads=1)
    rows = pa.table({"media_kind": kinds, "source_size": pa.array(sizes, pa.int64())})
    assert replicas_for(resources, rows).restore == Pool(least=least, most=4, num_cpus=1)
