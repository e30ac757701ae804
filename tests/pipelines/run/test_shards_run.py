"""Runs in shards on Ray: the same bytes as in one piece, each item once, also with a second machine at it and a stop halfway.

Drivers are threads here, which is as much as the coordinator knows of those on other machines; processes that are killed are in
tests/chaos/test_chaos_shards.py.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from sharded import make_archive

from jobs.flows.shards import ShardResult, restore_shard, work_through
from pipelines.manifest.reader import read_rows
from pipelines.manifest.runs import new_run_id
from pipelines.plan.header import PlanHeader
from pipelines.plan.plan import make_plan
from pipelines.run.coordinator import Coordinator
from pipelines.run.driver import run
from pipelines.run.outcome import Outcome
from pipelines.run.stop import Stop
from pipelines.settings import Settings
from pipelines.store.lease import hold_lease
from pipelines.store.store import Store
from pipelines.telemetry.progress import read_progress

pytestmark = [pytest.mark.ray, pytest.mark.timeout(300)]

PHOTOS = 8


class ThreadDriver(threading.Thread):
    """A driver that, like one elsewhere, gets no signals: it looks into the store to see whether its run goes on."""

    def terminate(self) -> None: ...

    def kill(self) -> None: ...


class Work:
    """Starts drivers, and keeps what became of them.

    Args:
        settings: of the run.
        more: called with the first header, in a thread of its own.
    """

    def __init__(self, settings: Settings, more: Callable[[PlanHeader], None] = lambda header: None) -> None:
        self.settings, self.more = settings, more
        self.results: list[ShardResult] = []
        self.helper: threading.Thread | None = None

    def start(self, header: PlanHeader, shard: int) -> ThreadDriver:
        if self.helper is None:
            self.helper = threading.Thread(target=self.more, args=(header,))
            self.helper.start()
        driver = ThreadDriver(target=self.drive, args=(self.settings.output, header.run_id, shard))
        driver.start()
        return driver

    def drive(self, *arguments: object) -> ShardResult:
        self.results.append(restore_shard.fn(*arguments))
        return self.results[-1]


def go(settings: Settings, shards: int, work: Work, stop: Stop, tell: Callable[[int, int], None]) -> Outcome:
    store = Store(settings.output)
    with hold_lease(store, run_id=new_run_id(), seconds=settings.lease_seconds) as lease:
        outcome = Coordinator(make_plan(settings), settings, lease, stop, shards).go(work.start, tell, 1)
        if work.helper is not None:
            work.helper.join()
        assert [entry.path for entry in store.list("_faitharchive/plans")] == []
        progress = read_progress(store, lease.run_id)
        assert progress is not None
        assert (progress.state, progress.done) == ("ended", outcome.restored + outcome.failed)
    return outcome


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    settings = make_archive(tmp_path_factory.mktemp("archive"), PHOTOS, lease_seconds=3.0)
    (Path(settings.source) / "bad.jpg").write_bytes(b"no picture")
    return settings


def results(settings: Settings) -> dict[str, bytes]:
    """All files of the output but our own and the sidecars, which name the run."""
    found = (entry.path for entry in Store(settings.output).list() if not entry.path.startswith("_faitharchive/"))
    return {path: Store(settings.output).read(path) for path in found if not path.endswith(".restoration.json")}


@pytest.mark.slow
def test_the_same_bytes_as_in_one_piece_with_two_machines_at_it(
    archive: Settings, tmp_path: Path, ray_session: None
) -> None:
    whole, settings = (archive.model_copy(update={"output": str(tmp_path / name)}) for name in ("whole", "sharded"))
    run(make_plan(whole), whole, run_id=new_run_id())

    def second(header: PlanHeader) -> None:
        work_through(settings.output, 0, {"replicas": 1}, work.drive)

    work, told = Work(settings, second), list[tuple[int, int]]()
    outcome = go(settings, 3, work, Stop(), lambda done, failed: told.append((done, failed)))
    assert (outcome.restored, outcome.failed, outcome.left, outcome.stopped) == (PHOTOS, 1, 0, "")
    assert outcome.by_code == {"not_an_image": 1}
    assert told[-1] <= (PHOTOS + 1, 1)
    assert results(settings) == results(whole)
    assert {each["shard"] for each in work.results if not each["fault"]} == {1, 2, 3}

    rows = read_rows(Store(settings.output)).to_pylist()
    assert len(rows) == len({row["item_id"] for row in rows}) == PHOTOS + 1
    same = (
        "item_id",
        "identity",
        "output_path",
        "output_sha256",
        "settings_digest",
        "model_digest",
        "attempt",
        "error_code",
    )
    theirs = read_rows(Store(whole.output)).to_pylist()
    assert sorted(tuple(str(row[name]) for name in same) for row in rows) == sorted(
        tuple(str(row[name]) for name in same) for row in theirs
    )
    again = make_plan(settings)
    assert (again.done, [row["source_path"] for row in again.pending]) == (PHOTOS, ["bad.jpg"])


def test_a_stop_is_heard_by_all_drivers_and_leaves_the_rest(
    archive: Settings, tmp_path: Path, ray_session: None
) -> None:
    settings, stop = archive.model_copy(update={"output": str(tmp_path / "out")}), Stop()

    def tell(done: int, failed: int) -> None:
        if any(each["left"] == 0 for each in work.results):
            stop.request("enough")

    work = Work(settings)
    outcome = go(settings, 4, work, stop, tell)
    assert outcome.stopped == "enough"
    assert outcome.restored + outcome.failed + outcome.left == PHOTOS + 1
    assert 0 < outcome.left < PHOTOS + 1
    assert not any(each["fault"] for each in work.results)
    assert len(make_plan(settings).pending) == outcome.left + outcome.failed


def test_a_shard_that_nobody_can_work_on_is_given_up_and_the_others_are_done(
    archive: Settings, tmp_path: Path, ray_session: None
) -> None:
    settings = archive.model_copy(update={"output": str(tmp_path / "out"), "only": "box 0/*"})

    def damage(header: PlanHeader) -> None:
        store = Store(settings.output)
        store.publish(f"_faitharchive/plans/{header.run_id}/{header.slices[1].name}", b"no slice")

    outcome = go(settings, 2, Work(settings, damage), Stop(), lambda done, failed: None)
    slices = len(make_plan(settings).pending)
    assert (outcome.failed, outcome.left) == (0, slices)
    assert outcome.restored == PHOTOS // 2 - slices > 0
    assert outcome.stopped.startswith("shard 2 of 2 failed 3 times (plan file ")
    assert "shard-0002.parquet: is damaged" in outcome.stopped
