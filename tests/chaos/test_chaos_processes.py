"""Worker processes that die: actors mid-batch, tasks out of memory, and photographs that kill whatever touches them."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from chaos_runs import Run, census, make_archive

pytestmark = [pytest.mark.ray, pytest.mark.chaos, pytest.mark.timeout(600)]


def test_restoring_actors_killed_mid_batch(tmp_path: Path) -> None:
    settings = make_archive(tmp_path, 30)
    killed = 0
    with Run(settings, {"slow": 0.15}) as run:
        for done in (3, 12, 20):
            run.wait_for(done)
            victim = random.Random(done).choice(run.workers("Restore"))
            victim.kill()
            killed += 1
        outcome = run.wait()
    assert killed == 3
    assert (outcome["restored"], outcome["failed"], outcome["left"]) == (30, 0, 0)
    census(settings).assert_exact()


def test_a_decoding_process_out_of_memory_once(tmp_path: Path) -> None:
    settings = make_archive(tmp_path, 24)
    (tmp_path / "once").mkdir()
    with Run(settings, {"eat_decode": "box 0/", "once_eat": str(tmp_path / "once")}) as run:
        outcome = run.wait()
    assert len(list((tmp_path / "once").iterdir())) == 4  # each of them did kill a process
    assert (outcome["restored"], outcome["failed"]) == (24, 0)
    census(settings).assert_exact()


@pytest.mark.parametrize("stage", ["decode", "restore"])
def test_poison_is_isolated_and_its_neighbours_unharmed(tmp_path: Path, stage: str) -> None:
    settings = make_archive(tmp_path, 24)
    scans = Path(settings.source)
    (scans / "box 3" / "00003.png").rename(scans / "box 3" / "poison.png")
    with Run(settings, {f"kill_{stage}": "poison"}) as run:
        outcome = run.wait()
    assert (outcome["restored"], outcome["failed"], outcome["by_code"]) == (23, 1, {"crashed": 1})
    found = census(settings)
    found.assert_exact()
    assert found.statuses == {"restored": 23, "crashed": 1}
    assert "box 3/poison.png" not in found.digests
