"""As `driver.py`, on a simulated cluster of several nodes on which nodes come and go.

The third argument says when, by final items: `{"5": -1, "9": 2}` for one that leaves and two that join, and under `nodes` with
how many it starts beside the head, two by default. Each node has two CPUs, and one GPU that exists on paper only.
"""

from __future__ import annotations

import json
import sys

from driver import environment, main
from ray.cluster_utils import Cluster

from pipelines.settings import Settings

NODE = {"num_cpus": 2, "num_gpus": 1, "object_store_memory": 100 << 20}


def run_on_cluster() -> None:
    """Start, run, and take it down whatever happens: a cluster killed hard leaves what makes later ones fail."""
    events = json.loads(sys.argv[3])
    begin = events.pop("nodes", 2)
    cluster = Cluster(initialize_head=True, head_node_args=NODE | {"include_dashboard": False})
    nodes = [cluster.add_node(**NODE) for _ in range(begin)]

    def start(settings: Settings) -> None:
        import ray

        cluster.wait_for_nodes()
        ray.init(address=cluster.address, **environment())

    def on_row(count: int) -> None:
        for _ in range(-events.get(str(count), 0)):
            cluster.remove_node(nodes.pop(0), allow_graceful=False)
        for _ in range(events.get(str(count), 0)):
            nodes.append(cluster.add_node(wait=False, **NODE))

    try:
        main(start, on_row)
    finally:
        cluster.shutdown()


if __name__ == "__main__":
    run_on_cluster()
