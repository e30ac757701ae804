"""Leases: one holder at a time, whoever dies or dawdles; and what workers are told."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
import uuid
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pipelines.store.layout import LEASES, lease_path
from pipelines.store.lease import DRAINING, HELD, LOST, RELEASED, LeaseError, hold_lease
from pipelines.store.lease_files import LeasePlace, LeaseRecord, newest_lease, process_mark
from pipelines.store.store import Store


@pytest.fixture(params=["local", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    return Store(str(tmp_path / "out") if request.param == "local" else f"memory://{uuid.uuid4().hex}")


def record(store: Store, number: int) -> LeaseRecord:
    found = LeaseRecord.loads(store.read(lease_path(number)))
    assert found is not None
    return found


def another_host(store: Store, number: int, **changes: Any) -> None:
    """A lease as a run on another machine, whose processes nobody here can see, would have left it."""
    base = LeaseRecord(
        run_id="theirs", host="elsewhere", process=1, process_mark="x", taken_at=time.time(),
        expires_at=time.time() + 60, state=HELD,
    )  # fmt: skip
    store.publish(lease_path(number), replace(base, **changes).dumps())


def until(condition: Any, seconds: float = 10.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "nothing happened"
        time.sleep(0.02)


def test_one_at_a_time_and_then_the_next(store: Store) -> None:
    with hold_lease(store, run_id="one", seconds=30) as lease:
        with pytest.raises(LeaseError) as caught, hold_lease(store, run_id="two", seconds=30):
            pass
        text = str(caught.value)
        assert "run one" in text
        assert f"process {os.getpid()}" in text
        assert "--steal-lease" in text
        assert lease.fence().state() == HELD
    assert record(store, 1).state == RELEASED
    with hold_lease(store, run_id="two", seconds=30) as lease:
        assert (lease.number, lease.run_id) == (2, "two")


def test_it_is_given_back_after_an_error(store: Store) -> None:
    with pytest.raises(ZeroDivisionError), hold_lease(store, run_id="one", seconds=30):
        raise ZeroDivisionError
    assert record(store, 1).state == RELEASED


def test_it_is_renewed(store: Store) -> None:
    with hold_lease(store, run_id="one", seconds=1.2) as lease:
        time.sleep(2.0)
        assert record(store, 1).expires_at > time.time()
        assert not lease.lost
        with pytest.raises(LeaseError), hold_lease(store, run_id="two", seconds=1):
            pass


@pytest.mark.parametrize(
    ("changes", "free"),
    [
        ({}, False),
        ({"state": DRAINING}, False),
        ({"state": RELEASED}, True),
        ({"expires_at": time.time() - 1}, True),
    ],
)
def test_what_another_machine_left(store: Store, changes: dict[str, Any], free: bool) -> None:
    another_host(store, 7, **changes)
    if free:
        with hold_lease(store, run_id="mine", seconds=30) as lease:
            assert lease.number == 8
    else:
        with pytest.raises(LeaseError, match="theirs on elsewhere"), hold_lease(store, run_id="mine", seconds=30):
            pass


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b'{"run_id": "x"}', b"\xff"])
def test_a_damaged_lease_holds_nothing_back(store: Store, content: bytes) -> None:
    store.publish(lease_path(1), content)
    store.publish(f"{LEASES}/notes.txt", b"not a lease")
    with hold_lease(store, run_id="one", seconds=30) as lease:
        assert lease.number == 2


def test_nobody_waits_for_a_process_that_was_killed(tmp_path: Path) -> None:
    code = (
        "import sys, time\nfrom pipelines.store.lease import hold_lease\nfrom pipelines.store.store import Store\n"
        "with hold_lease(Store(sys.argv[1]), run_id='dead', seconds=600):\n    print('held', flush=True)\n    time.sleep(60)\n"
    )
    child = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE)
    assert child.stdout
    assert child.stdout.readline() == b"held\n"
    store = Store(str(tmp_path))
    with pytest.raises(LeaseError, match=f"process {child.pid}"), hold_lease(store, run_id="mine", seconds=30):
        pass
    child.send_signal(signal.SIGKILL)
    child.wait()
    with hold_lease(store, run_id="mine", seconds=30) as lease:
        assert lease.number == 2


def test_a_later_process_of_the_same_number_is_another() -> None:
    assert process_mark(os.getpid()) == process_mark(os.getpid()) != ""
    assert process_mark(os.getpid()) != process_mark(1)
    assert process_mark(2**22 + 1) == ""


def _contend(folder: str, name: str, results: Any) -> None:
    try:
        with hold_lease(Store(folder), run_id=name, seconds=30):
            results.put(name)
            time.sleep(1.5)
    except LeaseError:
        results.put("")


def test_of_many_that_begin_at_once_one_gets_it(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    results: Any = context.Queue()
    processes = [context.Process(target=_contend, args=(str(tmp_path), f"run {i}", results)) for i in range(5)]
    for process in processes:
        process.start()
    taken = [results.get(timeout=60) for _ in processes]
    for process in processes:
        process.join()
    owners = [name for name in taken if name]
    # Those that started only after an owner was done may hold it after: never two in the same second and a half.
    assert owners
    assert len(list(Store(str(tmp_path)).list(LEASES))) == len(owners)


def test_a_thief_takes_over_and_the_robbed_is_told(store: Store) -> None:
    told = threading.Event()
    with hold_lease(store, run_id="one", seconds=1.2) as one:
        one.when_lost(told.set)
        fence = pickle.loads(pickle.dumps(one.fence()))
        assert fence.state() == HELD
        with hold_lease(store, run_id="two", seconds=1.2, steal=True) as two:
            assert told.wait(5)
            assert one.lost
            until(lambda: fence.state() == LOST)
            assert two.fence().state() == HELD
            assert not two.lost
    assert record(store, 1).state == record(store, 2).state == RELEASED


def test_a_thief_waits_for_the_robbed_to_stop(store: Store) -> None:
    """It gets the store once the robbed has let go, and not only when its patience ends."""
    taken: list[float] = []

    def rob() -> None:
        with hold_lease(store, run_id="two", seconds=6, steal=True):
            taken.append(time.monotonic())

    thief = threading.Thread(target=rob)
    with hold_lease(store, run_id="one", seconds=6) as one:
        thief.start()
        until(lambda: one.lost)
        assert not taken
        let_go = time.monotonic()
    thief.join()
    assert 0 <= taken[0] - let_go < 1.5


def test_workers_are_told_to_drain_and_that_it_is_over(store: Store) -> None:
    with hold_lease(store, run_id="one", seconds=0.6) as lease:
        fence = lease.fence()
        lease.drain()
        until(lambda: fence.state() == DRAINING)
        time.sleep(0.5)
        assert record(store, 1).state == DRAINING  # renewed as such
    until(lambda: fence.state() == LOST)


def test_who_cannot_renew_for_too_long_has_lost_it(tmp_path: Path) -> None:
    """The store goes away under a run: a file stands where its folder was."""
    folder = tmp_path / "out"
    told = threading.Event()
    with hold_lease(Store(str(folder)), run_id="one", seconds=0.6) as lease:
        lease.when_lost(told.set)
        fence = lease.fence()
        (folder / "_faitharchive").rename(folder / "moved")
        (folder / "_faitharchive").write_bytes(b"")
        assert told.wait(10)
        until(lambda: fence.state() == LOST)


def test_old_leases_are_forgotten(store: Store) -> None:
    another_host(store, 1, state=RELEASED)
    another_host(store, 40, state=RELEASED)
    with hold_lease(store, run_id="one", seconds=30):
        assert [entry.path for entry in store.list(LEASES)] == [lease_path(40), lease_path(41)]


def test_parts_of_a_runs_work_have_leases_of_their_own(store: Store) -> None:
    """Of the same part one at a time, of others meanwhile; the output's own lease does not notice."""
    first, second = (LeasePlace(f"_faitharchive/plans/run/shard-{number:04d}", 1) for number in (1, 2))
    with (
        hold_lease(store, run_id="run", seconds=30) as whole,
        hold_lease(store, run_id="run-1", seconds=30, place=first) as one,
        hold_lease(store, run_id="run-2", seconds=30, place=second) as two,
    ):
        assert (whole.number, one.number, two.number) == (1, 1, 1)
        with pytest.raises(LeaseError, match="run run-1 "), hold_lease(store, run_id="x", seconds=30, place=first):
            pass
        assert {lease.fence().state() for lease in (whole, one, two)} == {HELD}
        assert newest_lease(store, first.folder)[0] == newest_lease(store)[0] == 1
    with hold_lease(store, run_id="run-1", seconds=30, place=first) as again:
        assert again.number == 2


def test_the_lease_of_a_part_is_lost_with_that_of_the_whole(store: Store) -> None:
    told = threading.Event()
    place = LeasePlace("_faitharchive/plans/run/shard-0001", 1)
    another_host(store, 1)
    with hold_lease(store, run_id="run-1", seconds=0.6, place=place) as lease:
        lease.when_lost(told.set)
        fence = pickle.loads(pickle.dumps(lease.fence()))
        assert fence.state() == HELD
        another_host(store, 2)
        assert told.wait(10)
        until(lambda: fence.state() == LOST)
        assert lease.lost
        with pytest.raises(LeaseError, match="another run took it over meanwhile"):
            lease.check("go on")
