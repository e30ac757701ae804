"""`faitharchive work`: what cannot be worked on is told in one line, and only what a machine has is its own."""

from __future__ import annotations

from pathlib import Path

import pytest
from sharded import make_archive, planned
from typer.testing import CliRunner, Result

from jobs.cli.main import app
from jobs.cli.work import OWN
from jobs.flows.shards import open_plan, restore_shard, work_through
from pipelines.plan.header import PlanFileError
from pipelines.settings import Settings
from pipelines.store.layout import plan_folder
from pipelines.store.lease import hold_lease
from pipelines.store.store import Store


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return make_archive(tmp_path, 3)


def work(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["work", *arguments])


def test_where_no_run_is_on_there_is_nothing_to_take(settings: Settings, tmp_path: Path) -> None:
    assert "there is no such folder" in str(work(str(tmp_path / "nowhere")).exception)
    assert "holds no _faitharchive/ folder" in str(work(settings.source).exception)
    assert "output is needed: faitharchive work OUTPUT" in str(work().exception)
    store = Store(settings.output)
    with hold_lease(store, run_id="run", seconds=30):
        assert "run run has no shards to take: it still plans, is in one piece" in str(work(settings.output).exception)
    said = str(work(settings.output).exception)
    assert (
        "no run is on, so there is no shard to take; begin one by faitharchive restore SOURCE OUTPUT --shards N" in said
    )


def test_a_shard_that_is_not_there_and_a_damaged_plan_are_told(settings: Settings) -> None:
    with planned(settings, 2) as run:
        assert open_plan(run.store) == run.header
        with pytest.raises(PlanFileError, match=r"shard 3: run .* has shards 1 to 2; choose one of them"):
            work_through(settings.output, 3, {}, restore_shard.fn)
        path = f"{plan_folder(run.header.run_id)}/plan.json"
        Path(run.store.key(path)).write_text("{")
        assert "plan.json: is damaged" in str(work(settings.output).exception)


def test_stores_that_are_elsewhere_on_this_machine_are_told(settings: Settings, tmp_path: Path) -> None:
    with planned(settings, 2) as run:
        other = tmp_path / "mounted"
        other.symlink_to(settings.output)
        result = restore_shard.fn(str(other), run.header.run_id, 1)
        assert f"/mounted: the run writes to file://{settings.output}; mount it at the same place" in result["fault"]
        Path(settings.source).rename(tmp_path / "moved")
        result = restore_shard.fn(settings.output, run.header.run_id, 1)
        assert result["fault"] == f"source {settings.source}: there is no such folder; check the path"
        result = restore_shard.fn(settings.output, run.header.run_id, 1, {"replicas": -1})
        assert "greater than or equal to 0" in result["fault"]


def test_a_machine_has_its_own_cluster_and_nothing_that_changes_results() -> None:
    assert {"ray_address", "replicas", "cpus", "log_format", "gpus_per_replica"} <= set(OWN)
    for name in ("cpu_threads", "device", "preset", "shards", "source", "output", "lease_seconds"):
        assert name not in OWN
    assert not set(OWN) & set(Settings().result_settings())
