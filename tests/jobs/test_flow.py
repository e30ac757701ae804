"""The flow `restore-archive` in real Prefect and real Ray, without a server."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipelines.manifest import current_rows
from pipelines.settings import Settings
from pipelines.storage import Store, StoreError

pytestmark = pytest.mark.ray


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    scans = tmp_path / "scans"
    scans.mkdir()
    rng = np.random.default_rng(0)
    for name in ("a.jpg", "b.png"):
        Image.fromarray(rng.integers(0, 256, (40, 48, 3), np.uint8)).save(scans / name)
    (scans / "bad.jpg").write_bytes(b"no picture")
    return Settings(
        source=str(scans), output=str(tmp_path / "out"), preset="tiny", steps=2, guidance_scale=1.0, replicas=1
    )


def test_plan_run_commit_and_summary(settings: Settings, ray_session: None) -> None:
    from jobs.flows.restore import restore_archive

    state = restore_archive(settings.model_dump(), return_state=True)
    assert state.is_completed()
    summary = state.result()
    assert (summary["restored"], summary["failed"], summary["already_done"]) == (2, 1, 0)
    assert summary["failed_by_code"] == {"not_an_image": 1}
    assert [failure["source_path"] for failure in summary["failures"]] == ["bad.jpg"]
    store = Store(settings.output)
    rows = current_rows(store)
    assert len(rows) == 3
    assert {row["run_id"] for row in rows.values()} == {summary["run_id"]}
    assert {row["flow_run_id"] for row in rows.values()} == {str(state.state_details.flow_run_id)}
    record = json.loads(store.read(f"_faitharchive/runs/{summary['run_id']}.json"))
    assert record["restored"] == 2
    assert record["settings"]["steps"] == 2

    again = restore_archive(settings.model_copy(update={"only": "*.png"}).model_dump())
    assert (again["restored"], again["failed"], again["already_done"]) == (0, 0, 1)


def test_a_run_that_cannot_work_fails_before_any_work(settings: Settings) -> None:
    from jobs.flows.restore import restore_archive

    inside = settings.model_copy(update={"output": f"{settings.source}/out"})
    with pytest.raises(StoreError, match="sources are never written to"):
        restore_archive(inside.model_dump())
    assert not Path(inside.output).exists()


def test_tasks_are_named_for_people() -> None:
    from jobs.flows import restore

    names = [restore.plan_task.name, restore.run_task.name, restore.commit_task.name, restore.summary_task.name]
    assert names == ["plan", "run", "commit", "summary"]
    assert restore.restore_archive.name == "restore-archive"
