"""The driver itself: killed outright, asked to end, met by a second run, robbed."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from chaos_runs import Run, census, leftovers, make_archive

from pipelines.store.layout import LEASES
from pipelines.store.store import Store

pytestmark = [pytest.mark.ray, pytest.mark.chaos, pytest.mark.timeout(600)]


def test_killed_and_run_again(tmp_path: Path) -> None:
    settings = make_archive(tmp_path, 40)
    with Run(settings, {"slow": 0.15}) as first:
        first.wait_for(8)
        first.kill()
    files = [path for path in Path(settings.output).rglob("*.png.restoration.json")]
    assert 8 <= len(files) < 40
    with Run(settings) as second:
        outcome = second.wait()
    # Whatever had its sidecar was adopted and not restored again.
    assert outcome["done"] == len(files)
    assert outcome["planned"] == outcome["restored"] == 40 - len(files)
    found = census(settings)
    found.assert_exact()
    assert found.statuses == {"restored": 40}
    assert leftovers(settings) == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_asked_to_end_it_finishes_what_it_began(tmp_path: Path, number: signal.Signals) -> None:
    """SIGINT goes to the whole process group, as from a terminal; SIGTERM to the driver, as a spot node's end does."""
    settings = make_archive(tmp_path, 60)
    with Run(settings, {"slow": 0.2}) as first:
        first.wait_for(5)
        if number == signal.SIGINT:
            os.killpg(first.process.pid, number)
        else:
            first.process.send_signal(number)
        asked = time.monotonic()
        outcome = first.wait()
        took = time.monotonic() - asked
    assert outcome["signal"] == number
    assert outcome["stopped"] == f"interrupted by {number.name}"
    assert outcome["failed"] == 0
    assert outcome["restored"] + outcome["left"] == 60
    assert 5 <= outcome["restored"] < 40, "it did not stop"
    assert took < 30
    # What was begun is finished: each file has its sidecar and its row.
    kept = census(settings)
    assert (kept.duplicated, kept.unsound, kept.strays) == (set(), set(), set())
    assert len(kept.digests) == outcome["restored"]
    assert leftovers(settings) == []
    with Run(settings) as second:
        again = second.wait()
    assert (again["planned"], again["restored"]) == (outcome["left"], outcome["left"])
    found = census(settings)
    found.assert_exact()
    assert {path: found.digests[path] for path in kept.digests} == kept.digests


def test_a_second_signal_ends_it_at_once(tmp_path: Path) -> None:
    settings = make_archive(tmp_path, 12).model_copy(update={"rows_per_call": 4, "replicas": 1})
    with Run(settings, {"slow": 8}) as first:
        end = time.monotonic() + 120
        while not first.workers("Restore") and time.monotonic() < end:
            time.sleep(0.1)
        time.sleep(1.0)
        first.process.send_signal(signal.SIGTERM)
        time.sleep(0.5)
        first.process.send_signal(signal.SIGTERM)
        asked = time.monotonic()
        outcome = first.wait()
        assert time.monotonic() - asked < 20
    assert outcome["stopped"] == "interrupted by SIGTERM"
    assert outcome["left"] == 12 - outcome["restored"] > 0
    with Run(settings) as second:
        second.wait()
    census(settings).assert_exact()


def test_a_second_run_is_refused_and_the_first_goes_on(tmp_path: Path) -> None:
    settings = make_archive(tmp_path, 20)
    gate = tmp_path / "gate"
    with Run(settings, {"gated": "box 6", "gate": str(gate)}) as first:
        first.wait_for(3)
        with Run(settings) as second:
            second.process.wait(120)
            assert "LeaseError" in second.errors()
        assert not first.outcome, "the first was to be at work still"
        gate.touch()
        assert first.wait()["restored"] == 20
    census(settings).assert_exact()


def test_a_robbed_run_stops_and_the_thief_does_the_rest(tmp_path: Path) -> None:
    settings = make_archive(tmp_path, 40)
    gate = tmp_path / "gate"
    with Run(settings, {"gated": "box 6", "gate": str(gate), "slow": 0.1}) as first:
        first.wait_for(4)
        with Run(settings.model_copy(update={"steal_lease": True})) as thief:
            until(lambda: len(list(Store(settings.output).list(LEASES))) == 2)
            gate.touch()
            robbed, took = first.wait(), thief.wait()
    assert "another run has taken the output over" in robbed["stopped"]
    assert robbed["restored"] + robbed["left"] == 40
    # Beyond what was in flight when it began, nothing is restored twice.
    assert took["planned"] <= robbed["left"]
    assert took["restored"] <= robbed["left"]
    found = census(settings)
    found.assert_exact()
    assert found.statuses == {"restored": 40}


def until(condition: Callable[[], bool], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "nothing happened"
        time.sleep(0.02)
