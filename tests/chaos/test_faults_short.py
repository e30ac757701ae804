"""Each fault in short, several in one run to save time; at length, one by one, in the tests beside this (`make test-chaos`)."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
from chaos_runs import Run, census, leftovers, make_archive, restored_calmly

pytestmark = [pytest.mark.ray, pytest.mark.timeout(600)]


@pytest.mark.chaos
def test_worker_processes_die_in_every_way(tmp_path: Path) -> None:
    """One run: a source kills each process that decodes it, two take all memory once, and an actor is shot mid-batch."""
    settings = make_archive(tmp_path, 21)
    scans, once = Path(settings.source), tmp_path / "once"
    (scans / "box 3" / "00003.png").rename(scans / "box 3" / "poison.png")
    once.mkdir()
    hook = {"kill_decode": "poison", "eat_decode": "box 5/", "once_eat": str(once), "slow": 0.1}
    with Run(settings, hook) as run:
        run.wait_for(2)
        run.workers("Restore")[0].kill()
        outcome = run.wait()
    assert len(list(once.iterdir())) == 3
    assert (outcome["restored"], outcome["failed"], outcome["by_code"]) == (20, 1, {"crashed": 1})
    found = census(settings)
    found.assert_exact()
    assert found.statuses == {"restored": 20, "crashed": 1}
    assert found.digests == restored_calmly(settings, found.digests)


@pytest.mark.slow
def test_killed_then_interrupted_then_finished(tmp_path: Path) -> None:
    """Three runs: SIGKILL for the whole first, SIGTERM for the second, the third gets to the end."""
    settings = make_archive(tmp_path, 48).model_copy(update={"replicas": 1, "cpus": 2})  # fewer processes to start
    with Run(settings, {"slow": 0.1}) as first:
        first.wait_for(5)
        first.kill()
    done = len(list(Path(settings.output).rglob("*.restoration.json")))
    assert 5 <= done < 30
    with Run(settings, {"slow": 0.3}) as second:
        second.wait_for(3)
        second.process.send_signal(signal.SIGTERM)
        stopped = second.wait()
    assert (stopped["done"], stopped["planned"]) == (done, 48 - done)
    assert (stopped["signal"], stopped["failed"]) == (signal.SIGTERM, 0)
    assert stopped["restored"] + stopped["left"] == stopped["planned"]
    with Run(settings) as third:
        finished = third.wait()
    assert finished["planned"] == finished["restored"] == stopped["left"] > 0
    found = census(settings)
    found.assert_exact()
    assert found.statuses == {"restored": 48}
    assert found.digests == restored_calmly(settings, found.digests)
    assert leftovers(settings) == []
