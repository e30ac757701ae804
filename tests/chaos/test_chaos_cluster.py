"""Nodes that leave a simulated cluster in the middle of a run, and others that join."""

from __future__ import annotations

from pathlib import Path

import pytest
from chaos_runs import Run, census, make_archive

pytestmark = [pytest.mark.ray, pytest.mark.timeout(600)]


def test_a_node_leaves_and_another_joins(tmp_path: Path) -> None:
    settings = make_archive(tmp_path, 40).model_copy(
        update={"replicas": 0, "gpus_per_replica": 1.0, "ray_address": "auto"}
    )
    with Run(settings, {"slow": 0.3}, {6: "leave", 14: "join"}) as run:
        outcome = run.wait()
    assert (outcome["restored"], outcome["failed"], outcome["left"]) == (40, 0, 0)
    found = census(settings)
    found.assert_exact()
    assert found.statuses == {"restored": 40}


def test_replicas_follow_the_nodes(tmp_path: Path) -> None:
    """A run that begins on one node uses those that come, and lives through their end."""
    settings = make_archive(tmp_path, 200).model_copy(
        update={"replicas": 0, "gpus_per_replica": 1.0, "ray_address": "auto", "rows_per_call": 1}
    )
    where = tmp_path / "where"
    events = {"nodes": 0, 3: "join", 4: "join", 5: "join", 140: "leave", 150: "leave"}
    with Run(settings, {"slow": 0.5, "where": str(where)}, events) as run:
        outcome = run.wait()
    assert (outcome["restored"], outcome["failed"], outcome["left"]) == (200, 0, 0)
    found = census(settings)
    found.assert_exact()
    nodes = [line.split()[1] for line in where.read_text().splitlines()]
    assert len(set(nodes[:4])) == 1
    assert len(set(nodes)) == 4, "nodes that joined were not used"
