"""Of a machine's processes one asks the store after the lease, and all know what it heard, as early as if each had asked."""

from __future__ import annotations

import os
import pickle
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipelines.store.lease import DRAINING, HELD, LOST, Fence, Lease, hold_lease
from pipelines.store.lease_answers import Answer, NodeAnswers
from pipelines.store.store import Store

SECONDS = 60.0


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine's folder for temporary files that nobody else has been in."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "gettempdir", lambda: str(folder))
    return folder


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(str(tmp_path / "out"))


@pytest.fixture
def lease(store: Store) -> Iterator[Lease]:
    with hold_lease(store, run_id="one", seconds=SECONDS) as lease:
        yield lease


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> list[Fence]:
    """The fences that asked the store, from now on."""
    asked: list[Fence] = []
    look = Fence._look

    def counted(fence: Fence) -> None:
        asked.append(fence)
        look(fence)

    monkeypatch.setattr(Fence, "_look", counted)
    return asked


def later(fence: Fence, seconds: float = 11) -> Fence:
    """As another process has it, which last looked so long ago."""
    copy: Fence = pickle.loads(pickle.dumps(fence))
    copy._looked -= seconds
    copy._sure -= seconds
    return copy


def test_one_process_asks_for_all(lease: Lease, looks: list[Fence]) -> None:
    assert [later(lease.fence()).state() for _ in range(20)] == [HELD] * 20
    assert len(looks) == 1


def test_an_answer_grows_old_for_all_at_the_same_time(lease: Lease, looks: list[Fence]) -> None:
    """One that took over an answer nine seconds old looks again a second later, and not in ten."""
    answers = NodeAnswers(lease._store.url, lease.number, "one")
    asked = time.monotonic() - 9
    answers.write(Answer(HELD, asked, asked))
    fence = later(lease.fence())
    assert (fence.state(), len(looks)) == (HELD, 0)
    assert fence._looked == asked
    answers.write(Answer(HELD, asked - 2, asked - 2))
    fence._looked -= 2
    assert (fence.state(), len(looks)) == (HELD, 1)


def test_what_one_hears_all_know(store: Store, lease: Lease, looks: list[Fence]) -> None:
    store.publish(f"_faitharchive/lease/{lease.number + 1:08d}.json", b"{}")
    assert [later(lease.fence()).state() for _ in range(3)] == [LOST] * 3
    assert len(looks) == 1


def test_draining_is_known_and_never_taken_back(lease: Lease, looks: list[Fence]) -> None:
    lease._publish(DRAINING)
    fence = later(lease.fence())
    assert fence.state() == DRAINING
    NodeAnswers(lease._store.url, lease.number, "one").write(Answer(HELD, time.monotonic(), time.monotonic()))
    fence._looked -= 11
    assert fence.state() == DRAINING


def test_a_store_that_has_been_silent_for_too_long_is_lost_to_all(lease: Lease, looks: list[Fence]) -> None:
    now = time.monotonic()
    NodeAnswers(lease._store.url, lease.number, "one").write(Answer(HELD, now, now - SECONDS - 1))
    assert later(lease.fence(), SECONDS + 2).state() == LOST
    assert not looks


def test_while_one_asks_the_others_wait_for_its_answer_but_not_for_ever(lease: Lease, looks: list[Fence]) -> None:
    answers = NodeAnswers(lease._store.url, lease.number, "one")
    for age, asked in ((15, 0), (25, 1)):
        moment = time.monotonic() - age
        answers.write(Answer(HELD, moment, moment))
        with answers.alone() as first:
            assert first
            assert later(lease.fence(), 30).state() == HELD
        assert len(looks) == asked


def test_an_answer_about_another_lease_of_the_same_number_is_none(lease: Lease, looks: list[Fence]) -> None:
    """The output was removed and made anew within seconds."""
    NodeAnswers(lease._store.url, lease.number, "an older run").write(Answer(LOST, time.monotonic(), time.monotonic()))
    assert later(lease.fence()).state() == HELD


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b'{"state": "held"}', b'{"state": "held", "asked": 1e12, "sure": 1e12}']
)
def test_what_is_no_answer_is_asked_again(lease: Lease, looks: list[Fence], temporary: Path, content: bytes) -> None:
    assert later(lease.fence()).state() == HELD
    (told,) = temporary.rglob("*.json")
    told.write_bytes(content)
    assert later(lease.fence()).state() == HELD
    assert len(looks) == 2


def test_a_folder_that_others_can_write_to_is_not_believed(lease: Lease, looks: list[Fence], temporary: Path) -> None:
    (temporary / f"faitharchive-{os.getuid()}").mkdir()
    (temporary / f"faitharchive-{os.getuid()}").chmod(0o777)
    assert [later(lease.fence()).state() for _ in range(3)] == [HELD] * 3
    assert len(looks) == 3


def test_answers_of_other_days_are_removed(lease: Lease, looks: list[Fence], temporary: Path) -> None:
    NodeAnswers("elsewhere", 1, "").write(Answer(HELD, 0, 0))
    (old,) = temporary.rglob("*.json")
    os.utime(old, (0, 0))
    later(lease.fence()).state()
    assert not old.exists()
    assert len(list(temporary.rglob("*.json"))) == 1
