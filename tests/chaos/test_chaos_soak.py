"""Many small photographs under random kills: every item once, every byte as without them."""

from __future__ import annotations

import contextlib
import random
import time
from pathlib import Path

import psutil
import pytest
from chaos_runs import Run, census, leftovers, make_archive

pytestmark = [pytest.mark.ray, pytest.mark.chaos, pytest.mark.timeout(3000)]


@pytest.mark.parametrize(("count", "drivers", "workers"), [(100, 2, 5), (2000, 4, 30)])
def test_random_kills_change_nothing(tmp_path: Path, count: int, drivers: int, workers: int) -> None:
    """`drivers` runs are killed as a whole, each after a share of the items; `workers` processes, now and then."""
    chance = random.Random(count)
    settings = make_archive(tmp_path, count)
    left, killed, runs, done = workers, 0, 0, 0
    while True:
        runs += 1
        end = (runs * count) // (drivers + 2) - done  # items of this run after which its driver is killed
        with Run(settings, {"slow": 0.05}) as run:
            while run.process.poll() is None:
                time.sleep(chance.uniform(0.2, 1.0))
                if runs <= drivers and len(run.finished) >= max(2, end):
                    run.kill()
                elif left and run.finished and (victims := _workers(run)):
                    chance.choice(victims).kill()
                    left, killed = left - 1, killed + 1
            done += len(run.finished)
            if run.process.returncode == 0:
                outcome = run.wait()
                break
            assert runs <= drivers + 1, run.errors()
    assert (outcome["failed"], outcome["left"]) == (0, 0)
    assert runs == drivers + 1
    found = census(settings)
    found.assert_exact()
    assert found.statuses == {"restored": count}
    assert leftovers(settings) == []

    calm = settings.model_copy(update={"output": str(tmp_path / "calm")})
    with Run(calm) as run:
        run.wait(1200)
    assert census(calm).digests == found.digests
    print(f"{count} items, {runs - 1} drivers and {killed} workers killed: 0 lost, 0 twice, all bytes equal")


def _workers(run: Run) -> list[psutil.Process]:
    with contextlib.suppress(psutil.Error):
        return [*run.workers("Restore"), *run.workers("Decode"), *run.workers("Write")]
    return []
