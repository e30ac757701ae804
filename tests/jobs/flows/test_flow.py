"""The flow `restore-archive` in real Prefect and real Ray, without a server."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
import threading
import time
import uuid
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from s3_server import FlakyProxy

from pipelines.manifest.reader import current_rows
from pipelines.settings import Settings
from pipelines.store.lease import LeaseError
from pipelines.store.retries import RetriesExhaustedError
from pipelines.store.store import Store, StoreError

pytestmark = pytest.mark.ray


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    scans = tmp_path / "scans"
    scans.mkdir()
    rng = np.random.default_rng(0)
    for name in ("a.jpg", "b.png"):
        Image.fromarray(rng.integers(0, 256, (40, 48, 3), np.uint8)).save(scans / name)
    (scans / "bad.jpg").write_bytes(b"no picture")
    return Settings(source=str(scans), output=str(tmp_path / "out"), preset="nano", jpeg_quality=90, replicas=1)


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
    assert record["settings"]["jpeg_quality"] == 90

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


def test_what_a_spent_budget_left_is_in_the_states_words() -> None:
    from jobs.flows.states import in_words

    counts = {"restored": 2, "failed": 0, "already_done": 1, "quarantined": 0, "left": 3, "with_warnings": 0}
    said = in_words({**counts, "stopped": "the time budget of 8 hours is spent"})  # type: ignore[arg-type]
    assert said.endswith("3 left to the next run; stopped: the time budget of 8 hours is spent")


def _from(cause: Exception) -> StoreError:
    error = StoreError("output x: cannot be written")
    error.__cause__ = cause
    return error


GAVE_UP = RetriesExhaustedError(errno.ETIMEDOUT, "reading x failed for 60 s")


@pytest.mark.parametrize(
    ("error", "again"),
    [
        (GAVE_UP, True),
        (_from(GAVE_UP), True),
        (ConnectionResetError("reset"), True),
        (ValueError("upscale is wrong"), False),
        (StoreError("source x: there is no such folder"), False),
        (LeaseError("output x: another run holds it"), False),
        (_from(PermissionError(errno.EACCES, "no")), False),
        (OSError(errno.ENOSPC, "full"), False),
        (RuntimeError("a fault of ours"), False),
    ],
    ids=repr,
)
def test_what_is_tried_again(monkeypatch: pytest.MonkeyPatch, error: Exception, again: bool) -> None:
    from prefect.states import Failed

    from jobs.flows import backfill, restore, verify
    from jobs.flows import states as endings

    state = Failed(data=error)
    assert not endings.is_retryable(None, None, state)  # somebody sits before it, and sees the error
    monkeypatch.setenv("PREFECT__RUNTIME__DEPLOYMENT__ID", str(uuid.uuid4()))
    assert endings.is_retryable(None, None, state) is again
    for task in (restore.plan_task, restore.run_task, restore.commit_task, restore.report_task, verify.verify_task):
        assert task.retries
        assert task.retry_condition_fn is endings.is_retryable
    assert not restore.summary_task.retries
    assert not backfill.backfill_archive.retries  # flows know no condition


_NIGHT = """
import sys
from jobs.flows import restore
from pipelines.settings import Settings
restore.plan_task = restore.plan_task.with_options(retries=50, retry_delay_seconds=1)
settings = Settings(source=sys.argv[1], output=sys.argv[2], preset="tiny", retry_seconds=0)
state = restore.restore_archive(settings, return_state=True)
print("ended:", state.type.value, state.message)
"""


def test_a_store_that_is_down_at_first_is_waited_for(s3_server: str, tmp_path: Path) -> None:
    name = uuid.uuid4().hex[:8]
    source, output = f"s3://scans-{name}/a", f"s3://restored-{name}/a"
    for url in (source, output):
        Store(url).fs.mkdir(url.split("/")[2])
    Store(source).publish("readme.txt", b"no photograph")
    with FlakyProxy(s3_server) as proxy:
        proxy.fail_every(1)
        night = subprocess.Popen(
            [sys.executable, "-c", _NIGHT, source, output], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            env={
                **os.environ, "AWS_ENDPOINT_URL": proxy.url, "PREFECT_LOGGING_LEVEL": "INFO", "AWS_MAX_ATTEMPTS": "1",
                "PREFECT__RUNTIME__DEPLOYMENT__ID": str(uuid.uuid4()), "PREFECT_HOME": str(tmp_path / "prefect"),
            },
        )  # fmt: skip

        def recover() -> None:
            while proxy.refused < 3 and night.poll() is None:
                time.sleep(0.1)
            time.sleep(1)
            proxy.fail_every(0)

        recovery = threading.Thread(target=recover)
        recovery.start()
        said, _ = night.communicate(timeout=240)
        recovery.join()
    assert "ended: COMPLETED 0 restored, 0 failed, 0 already done" in said, said
    assert "Retry 1/50 will start 1" in said
