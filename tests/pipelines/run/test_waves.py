"""Rows go into Ray Data in waves: each ends whole before the next begins, and a stop leaves the rest."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from archive_steps import archive_settings, picture, save_photo
from ray.exceptions import RayError

import pipelines.audit.verify
import pipelines.run.driver
from pipelines.audit.findings import Findings
from pipelines.audit.verify import verify
from pipelines.manifest.reader import current_rows
from pipelines.manifest.runs import new_run_id
from pipelines.plan.plan import make_plan
from pipelines.rows import FAILED, RESTORED, Row
from pipelines.run.assembly import build_stream, final_rows
from pipelines.run.driver import run
from pipelines.run.stop import Stop
from pipelines.settings import Settings
from pipelines.store.store import Store

# The second of the first wave is cut into tiles, so that a wave must join what it cut; the first of the second is no picture.
WAVES = [{"a.png", "b.png"}, {"d.jpg", "e.png"}, {"f.png"}]


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ray_session: None) -> Settings:
    for number, name in enumerate(sorted(set.union(*WAVES))):
        save_photo(tmp_path / "scans" / name, picture(80, 120, seed=number) if name == "b.png" else None)
    (tmp_path / "scans" / "d.jpg").write_bytes(b"no picture")
    monkeypatch.setattr(pipelines.run.driver, "_WAVE_ROWS", 2)
    monkeypatch.setattr(pipelines.run.driver, "_WAVE_ROWS_A_REPLICA", 0)
    monkeypatch.setattr(pipelines.audit.verify, "_WAVE_BLOCKS", 2)
    # nano: each wave's replica is a process of its own, which loads neither diffusers nor transformers for it.
    return archive_settings(tmp_path, preset="nano", replicas=1, tile=128, tile_halo=32)


@pytest.mark.ray
def test_a_wave_is_whole_before_the_next(settings: Settings) -> None:
    seen: list[Row] = []
    outcome = run(make_plan(settings), settings, run_id=new_run_id(), on_row=seen.append)
    assert (outcome.restored, outcome.failed, outcome.left, outcome.stopped) == (4, 1, 0, "")
    names = [row["source_path"] for row in seen]
    assert [set(names[:2]), set(names[2:4]), set(names[4:])] == WAVES
    statuses = {row["source_path"]: row["status"] for row in current_rows(Store(settings.output)).values()}
    assert statuses == {name: FAILED if name == "d.jpg" else RESTORED for name in names}

    found = verify(settings, Findings(None))
    assert (found.items, found.unsound) == (4, set())


@pytest.mark.ray
def test_a_stop_leaves_the_waves_to_come_for_the_next_run(settings: Settings) -> None:
    stop, seen = Stop(), list[Row]()

    def enough(row: Row) -> None:
        seen.append(row)
        stop.request("enough")

    outcome = run(make_plan(settings), settings, run_id=new_run_id(), on_row=enough, stop=stop)
    assert {row["source_path"] for row in seen} <= WAVES[0]
    assert (outcome.stopped, outcome.left) == ("enough", 5 - len(seen))
    left = {row["source_path"] for row in make_plan(settings).pending}
    assert left == set.union(*WAVES) - {row["source_path"] for row in seen}


@pytest.mark.ray
def test_a_cluster_that_fails_in_a_wave_is_not_asked_for_the_next(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the wave held fails as lost, and is tried again by the next run; the rest is left, not failed unseen."""

    def failing(make: Any, options: Any) -> Iterator[Row]:
        if make.func is build_stream and "e.png" in make.args[0].table["source_path"].to_pylist():
            raise RayError("the head is gone")
        return final_rows(make, options)

    monkeypatch.setattr(pipelines.run.driver, "final_rows", failing)
    outcome = run(make_plan(settings), settings, run_id=new_run_id())
    assert (outcome.restored, outcome.by_code, outcome.left) == (2, {"lost": 2}, 1)
    assert outcome.stopped == "the cluster failed again and again (RayError); look at its nodes and logs"
    assert {row["source_path"] for row in make_plan(settings).pending} == WAVES[1] | WAVES[2]


def test_a_wave_travels_without_the_rest_of_the_plan(tmp_path: Path) -> None:
    names = [f"{number:05}.png" for number in range(1000)]
    settings = archive_settings(tmp_path)
    for name in names:
        (tmp_path / "scans" / name).touch()
    pending = make_plan(settings).pending
    sizes = [len(pickle.dumps(wave.table)) for wave in pending.waves(100)]
    assert len(sizes) == 10
    assert max(sizes) < len(pickle.dumps(pending.table)) / 5
    assert [row["source_path"] for wave in pending.waves(300) for row in wave] == names
