"""Nodes that leave a simulated cluster in the middle of a run, and others that join."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from chaos_runs import Run, census, make_archive
from elastic import ELASTIC, follow

pytestmark = [pytest.mark.ray, pytest.mark.chaos, pytest.mark.timeout(600)]


def test_a_node_leaves_and_another_joins(tmp_path: Path) -> None:
    settings = make_archive(tmp_path, 40).model_copy(
        update={"replicas": 0, "gpus_per_replica": 1.0, "ray_address": "auto"}
    )
    with Run(settings, {"slow": 0.3}, {6: -1, 14: 1}) as run:
        outcome = run.wait()
    assert (outcome["restored"], outcome["failed"], outcome["left"]) == (40, 0, 0)
    found = census(settings)
    found.assert_exact()
    assert found.statuses == {"restored": 40}


def test_replicas_use_a_node_that_joins(tmp_path: Path) -> None:
    """A run that begins on one node uses one that comes, and lives through its end. Both wait until both are at work."""
    settings = make_archive(tmp_path, 28).model_copy(update=ELASTIC)
    where, gate = tmp_path / "where", tmp_path / "gate"
    # Slow enough that the node which joined finishes a photograph before it leaves: its replica's first one takes seconds.
    hook = {"where": str(where), "gated": "box 1", "gate": str(gate), "slow": 0.5}
    with Run(settings, hook, {"nodes": 0, 2: 1, 20: -1}) as run:
        end = time.monotonic() + 240
        while len(run.workers("Restore)).submit")) < 2:
            assert time.monotonic() < end, "the node that joined was not used"
            time.sleep(0.2)
        gate.touch()
        outcome = run.wait()
    assert (outcome["restored"], outcome["failed"], outcome["left"]) == (28, 0, 0)
    census(settings).assert_exact()
    nodes = [line.split()[1] for line in where.read_text().splitlines()]
    assert len(set(nodes[:2])) == 1
    assert len(set(nodes)) == 2


@pytest.mark.timeout(1800)
def test_one_to_eight_nodes_and_back(tmp_path: Path) -> None:
    """Nothing is lost, and throughput follows the nodes up and down."""
    figures = follow(tmp_path)
    rates = {phase["nodes"]: phase["items_a_second"] for phase in figures["growing"]}
    assert rates[2] > 1.5 * rates[1], rates
    assert rates[4] > 1.5 * rates[2], rates
    assert rates[8] > 1.1 * rates[4], rates  # some of the eight still load while it is measured, on two cores for all
    shrunk = {phase["nodes"]: phase["items_a_second"] for phase in figures["shrinking"]}
    assert shrunk[2] < 0.75 * shrunk[4], shrunk
    assert shrunk[1] < 0.75 * shrunk[2], shrunk
    assert shrunk[1] < 0.5 * shrunk[4], shrunk
    assert figures["nodes_used"] == 8
