"""The fields of `Settings` on how a run is carried out: faults, the cluster, and what is watched."""

from __future__ import annotations

from typing import Literal

from pipelines.setting_fields import SettingFields
from pipelines.setting_types import NodeLabels, setting

__all__ = ["RunFields"]


class RunFields(SettingFields):
    """Every setting with its default: those of `SettingFields`, and those of a run after them."""

    retry_seconds: float = setting(
        60.0, "Faults", "How long a store's passing errors are tried again, in seconds.", ge=0, le=3600
    )
    lease_seconds: float = setting(
        60.0, "Faults", "How long a run that fell silent keeps its hold on the output, in seconds.", ge=3, le=3600
    )
    drain_seconds: float = setting(
        60.0, "Faults", "How long an interrupted run may finish what it has begun, in seconds.", ge=0, le=3600
    )
    stall_minutes: float = setting(
        1440.0,
        "Faults",
        "How long nothing may be done before a run gives up, in minutes; 0 waits for ever.",
        ge=0,
        le=100_000,
    )

    ray_address: str = setting("local", "Cluster", "local starts Ray here; auto or ray://host:10001 joins a cluster.")
    cpus: int = setting(0, "Cluster", "CPUs for a local Ray; 0 takes all.", ge=0)
    replicas: int = setting(
        0, "Cluster", "Most model replicas; 0 is what GPUs, or cores and memory, carry, and grows with a cluster.", ge=0
    )
    min_replicas: int = setting(1, "Cluster", "Replicas that stay while there is little to do.", ge=1)
    cpu_threads: int = setting(
        2,
        "Cluster",
        "CPU threads of a replica without a GPU; part of what makes equal bytes.",
        ge=1,
        le=256,
        result=True,
    )
    caption_replicas: int = setting(1, "Cluster", "Most captioners; 0 grows with a cluster.", ge=0)
    gpus_per_replica: float = setting(
        -1.0, "Cluster", "GPUs of a replica, such as 0.5; 0 is CPUs alone, -1 one where there are GPUs.", ge=-1, le=64
    )
    gpus_per_captioner: float = setting(
        -1.0, "Cluster", "GPUs of a captioner; 0 is CPUs alone, -1 as of a replica.", ge=-1, le=64
    )
    replica_label: NodeLabels = setting(
        "", "Cluster", "Label of the nodes that hold replicas, such as ray.io/accelerator-type=H100; empty is any node."
    )
    caption_label: NodeLabels = setting("", "Cluster", "Label of the nodes that hold captioners.")
    rows_per_call: int = setting(
        0, "Cluster", "Photographs whose windows share UNet calls; 0 is 4 on a GPU and 1 elsewhere.", ge=0, le=256
    )
    shards: int = setting(
        0,
        "Cluster",
        "Parts that a large run is cut into, a driver each, also on other machines; 0 is one for each million items.",
        ge=0,
        le=9999,
    )
    shards_at_once: int = setting(
        0, "Cluster", "Shards that this machine works on at a time; 0 is 1, of a cluster one for 4 cores.", ge=0, le=256
    )
    object_store_mb: int = setting(0, "Cluster", "Memory for rows in flight of a local Ray, MB; 0 is chosen.", ge=0)

    log_format: Literal["text", "json"] = setting(
        "text", "Watch", "Logs on stderr, and in the files of Ray's workers: text, or a JSON object a line."
    )
    log_level: Literal["auto", "debug", "info", "warning", "error"] = setting(
        "auto", "Watch", "What is logged; auto is info, and of text on a terminal nothing beside the progress bar."
    )
    metrics_port: int = setting(
        0, "Watch", "Port of a local Ray's metrics for Prometheus; 0 is none. A cluster has its own.", ge=0, le=65535
    )
