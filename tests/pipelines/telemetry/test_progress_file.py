"""A run's sign of life in its store, and what is read from it: no result, no danger to the run, and not for ever."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from archive_steps import archive_settings, restore_without_model, save_photo

from pipelines.audit.status import STALLED_SECONDS, run_status
from pipelines.manifest.rebuild import rebuild_manifest
from pipelines.manifest.runs import all_runs_ended, new_run_id, write_run_record, write_run_start
from pipelines.plan.plan import make_plan
from pipelines.settings import Settings
from pipelines.store.layout import PROGRESS, lease_path, progress_path
from pipelines.store.lease import hold_lease
from pipelines.store.lease_files import newest_lease
from pipelines.store.store import Store
from pipelines.telemetry.progress import DRAINING, Progress, Publisher, read_progress, run_ids


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(str(tmp_path / "out"))


def publish(store: Store, run_id: str, **values: Any) -> Progress:
    progress = Progress(run_id=run_id, started_at=time.time() - 60, **values)
    Publisher(store, lambda: progress).publish()
    return progress


def test_it_comes_back_as_it_was(store: Store) -> None:
    assert read_progress(store, "one") is None
    films = {"reel\n[bold]\udcff.mkv": (3, 7), "Семья.mov": (0, 2)}
    written = publish(store, "one", planned=9, restored=4, failed=1, parts=3, replicas=2, films=films)
    found = read_progress(store, "one")
    assert found is not None
    assert found.done == 5
    assert {path: tuple(parts) for path, parts in found.films.items()}["Семья.mov"] == (0, 2)
    assert (found.planned, found.replicas, found.written_at) == (9, 2, written.written_at)
    assert abs(found.written_at - time.time()) < 10
    for damaged in (b"", b"\xff", b"[]", b"{}", b'{"run_id": "x", "of another version": 1}'):
        store.publish(progress_path("two"), damaged)
        assert read_progress(store, "two") is None


def test_it_is_written_every_ten_seconds_and_the_oldest_go(store: Store) -> None:
    for number in range(25):
        publish(store, f"run-{number:02d}")
    assert run_ids(store) == [f"run-{number:02d}" for number in range(5, 25)]
    asked: list[int] = []

    def read() -> Progress:
        asked.append(1)
        return Progress(run_id="next")

    publisher = Publisher(store, read)
    publisher.beat()
    publisher.beat()
    assert len(asked) == 1
    publisher.publish()
    assert len(asked) == 2


def test_a_store_that_fails_disturbs_nobody(tmp_path: Path) -> None:
    (tmp_path / "out").write_bytes(b"a file where the folder should be")
    started = time.monotonic()
    publish(Store(str(tmp_path / "out")), "one")
    assert time.monotonic() - started < 10


def test_it_counts_as_nothing(tmp_path: Path) -> None:
    """Not as a result, not as a run, not as something to rebuild or to hold back for."""
    settings = archive_settings(tmp_path)
    save_photo(tmp_path / "scans" / "a.png")
    restore_without_model(settings, ended=True)
    store = Store(settings.output)
    before = rebuild_manifest(store, run_id=new_run_id(), lease_seconds=30)
    number, _ = newest_lease(store)
    publish(store, new_run_id(), planned=3)
    assert all_runs_ended(store)
    plan = make_plan(settings)
    assert (len(plan.pending), len(plan.final_rows), plan.done) == (0, 0, 1)
    after = rebuild_manifest(store, run_id=new_run_id(), lease_seconds=30)
    assert (after.sidecars, after.known, after.written, after.unusable) == (before.sidecars, before.known, 0, 0)
    assert newest_lease(store)[0] == number + 1  # the rebuild's own
    assert len(list(store.list(PROGRESS))) == 1


def test_a_store_without_a_run(store: Store) -> None:
    found = run_status(store)
    assert (found.state, found.live, found.run_id) == ("none", False, "")


def test_a_run_from_its_plan_to_its_record(store: Store) -> None:
    run_id = new_run_id()
    with hold_lease(store, run_id=run_id, seconds=30) as lease:
        assert (run_status(store).state, run_status(store).run_id) == ("planning", run_id)
        write_run_start(store, run_id, {})
        publish(store, run_id, planned=2)
        found = run_status(store)
        assert (found.state, found.live) == ("running", True)
        assert found.lease is not None
        assert found.lease.run_id == run_id
        publish(store, run_id, planned=2, state=DRAINING, stopping="interrupted by SIGTERM")
        assert run_status(store).state == "draining"
        publish(store, run_id, planned=2, state="ended")
        assert run_status(store).state == "finishing"
        write_run_record(store, run_id, {"restored": 2, "failed": 0})
        assert lease.number == 1
    found = run_status(store)
    assert (found.state, found.live, found.record["restored"], found.advice) == ("ended", False, 2, "")


def test_a_run_that_holds_on_but_tells_nothing_is_stalled(store: Store) -> None:
    with hold_lease(store, run_id="one", seconds=30):
        progress = publish(store, "one", planned=2)
        progress.written_at -= STALLED_SECONDS + 5
        store.publish(progress_path("one"), progress.dumps())
        found = run_status(store)
    assert (found.state, found.live) == ("stalled", True)
    assert "look at process" in found.advice


@pytest.mark.parametrize("begun", [True, False])
def test_a_run_that_died_is_told_when_its_lease_is_over(store: Store, begun: bool) -> None:
    write_run_start(store, "20250101T000000.000Z-000000", {})
    write_run_record(store, "20250101T000000.000Z-000000", {"restored": 1})
    run_id = new_run_id()
    with hold_lease(store, run_id=run_id, seconds=30):
        dead = store.read(lease_path(1))
    store.publish(lease_path(1), dead.replace(b'"host": "', b'"host": "elsewhere-'))
    if begun:
        write_run_start(store, run_id, {})
    assert run_status(store).state == "planning"  # nobody here can know
    text = dead.decode()
    expired = text[: text.index('"expires_at"')] + '"expires_at": 1.0,\n "state": "held"\n}\n'
    store.publish(lease_path(1), expired.encode())
    found = run_status(store)
    assert (found.state, found.run_id, found.live) == ("died", run_id, False)
    assert "the same restore command continues" in found.advice
    assert found.lease is not None


def test_how_the_last_run_ended(store: Store) -> None:
    for number, (record, state, advice) in enumerate(
        [
            ({"failed": 2}, "ended", "manifest show OUTPUT --status failed"),
            ({"quarantined": 1}, "ended", "--redo"),
            ({"stopped": "the output store is full", "left": 4}, "stopped", "the output store is full"),
            ({"restored": 4}, "ended", ""),
        ]
    ):
        run_id = f"2025010{number + 1}T000000.000Z-000000"
        write_run_start(store, run_id, {})
        write_run_record(store, run_id, record)
        found = run_status(store)
        assert (found.state, found.run_id, found.record) == (state, run_id, record)
        assert advice in found.advice
    write_run_start(store, "20250109T000000.000Z-000000", {})
    assert run_status(store).state == "died"  # it released its lease, but not after a record: it failed as a whole
    assert Settings().lease_seconds < STALLED_SECONDS
