"""Rows are handed to one stream little by little: results come as they are made, and a stop leaves the rest."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

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
from pipelines.run import assembly, feeder
from pipelines.run.assembly import final_rows
from pipelines.run.driver import run
from pipelines.run.stop import Stop
from pipelines.run.streaming import FedStream
from pipelines.settings import Settings
from pipelines.store.store import Store

# The second is cut into tiles, which must be joined; the third is no picture.
NAMES = ["a.png", "b.png", "d.jpg", "e.png", "f.png"]


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ray_session: None) -> Settings:
    for number, name in enumerate(NAMES):
        save_photo(tmp_path / "scans" / name, picture(80, 120, seed=number) if name == "b.png" else None)
    (tmp_path / "scans" / "d.jpg").write_bytes(b"no picture")
    monkeypatch.setattr(assembly, "_BLOCK_ROWS", 1)
    monkeypatch.setattr(feeder, "_BLOCKS", 1)  # one in the stream at a time
    monkeypatch.setattr(feeder, "_BLOCKS_A_REPLICA", 0)
    monkeypatch.setattr(pipelines.audit.verify, "_WAVE_BLOCKS", 2)
    return archive_settings(tmp_path, preset="nano", replicas=1, tile=128, tile_halo=32)


@pytest.mark.ray
def test_what_is_handed_out_later_comes_out_later(settings: Settings) -> None:
    seen: list[Row] = []
    outcome = run(make_plan(settings), settings, run_id=new_run_id(), on_row=seen.append)
    assert (outcome.restored, outcome.failed, outcome.left, outcome.stopped) == (4, 1, 0, "")
    names = [row["source_path"] for row in seen]
    assert sorted(names) == NAMES
    names.remove("b.png")  # joined meanwhile
    assert names == ["a.png", "d.jpg", "e.png", "f.png"]
    statuses = {row["source_path"]: row["status"] for row in current_rows(Store(settings.output)).values()}
    assert statuses == {name: FAILED if name == "d.jpg" else RESTORED for name in NAMES}

    found = verify(settings, Findings(None))
    assert (found.items, found.unsound) == (4, set())


@pytest.mark.ray
def test_a_stop_leaves_what_was_not_handed_out_for_the_next_run(settings: Settings) -> None:
    stop, seen = Stop(), list[Row]()

    def enough(row: Row) -> None:
        seen.append(row)
        stop.request("enough")

    outcome = run(make_plan(settings), settings, run_id=new_run_id(), on_row=enough, stop=stop)
    done = {row["source_path"] for row in seen}
    assert "a.png" in done
    assert not done & {"e.png", "f.png"}
    assert (outcome.stopped, outcome.left) == ("enough", 5 - len(seen))
    assert {row["source_path"] for row in make_plan(settings).pending} == set(NAMES) - done


@pytest.mark.ray
def test_a_cluster_that_fails_again_and_again_is_not_asked_for_the_rest(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it had then fails as lost, and is tried again by the next run; the rest is left, not failed unseen."""

    def failing(stream: FedStream) -> Iterator[Row]:
        for row in final_rows(stream):
            if row["source_path"] == "d.jpg":
                raise RayError("the head is gone")
            yield row

    monkeypatch.setattr(pipelines.run.driver, "final_rows", failing)
    outcome = run(make_plan(settings), settings, run_id=new_run_id())
    assert (outcome.restored, outcome.by_code, outcome.left) == (2, {"lost": 1}, 2)
    assert outcome.stopped == "the cluster failed again and again (RayError); look at its nodes and logs"
    assert {row["source_path"] for row in make_plan(settings).pending} == {"d.jpg", "e.png", "f.png"}
