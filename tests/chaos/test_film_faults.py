"""A film under way when its run dies: what was durable stays, what was in flight is done again, and nothing else."""

from __future__ import annotations

import json
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from chaos_runs import Run, census
from film_clips import decoded, moving_frames, times_and_sound, write_film

from pipelines.manifest.reader import current_rows
from pipelines.settings import Settings
from pipelines.store.store import Store

pytestmark = pytest.mark.ray
_FRAMES = 60
_FAST: dict[str, Any] = {
    "preset": "nano", "replicas": 2, "cpus": 4, "lease_seconds": 3.0, "cpu_threads": 1,
    "upscale": 1, "segment_frames": 8, "segment_overlap": 2, "steady": "shared-noise",
}  # fmt: skip


def _settings(folder: Path) -> Settings:
    write_film(folder / "in/reel.mkv", moving_frames(_FRAMES))
    return Settings(source=str(folder / "in"), output=str(folder / "out"), **_FAST)


def _durable(settings: Settings) -> set[int]:
    return {int(path.stem) for path in Path(settings.output, "_faitharchive/parts").rglob("*.mkv")}


def _begun(log: Path) -> Counter[int]:
    return Counter(int(line.split()[-1]) for line in log.read_text().splitlines()) if log.exists() else Counter()


@pytest.mark.chaos
@pytest.mark.timeout(600)
def test_a_run_killed_mid_film_loses_the_segments_in_flight_alone(tmp_path: Path) -> None:
    settings = _settings(tmp_path)
    log = tmp_path / "begun"
    with Run(settings, {"segments": str(log), "slow_segment": 1.0}) as run:
        until = time.monotonic() + 120
        while len(_durable(settings)) < 4:
            assert time.monotonic() < until, run.errors()
            time.sleep(0.05)
        run.kill()
    durable, first = _durable(settings), _begun(log)
    assert 4 <= len(durable) < 10
    assert not Path(settings.output, "reel.mkv").exists()  # published only as a whole
    in_flight = set(first) - durable
    assert len(in_flight) <= 2  # one a replica

    log.unlink()
    with Run(settings, {"segments": str(log)}) as run:
        outcome = run.wait()
    assert (outcome["restored"], outcome["failed"], outcome["left"]) == (1, 0, 0)
    (row,) = current_rows(Store(settings.output)).values()
    second = _begun(log)
    assert set(second) == set(range(row["parts"])) - durable
    assert set(second.values()) == {1}
    census(settings).assert_exact()
    assert times_and_sound(tmp_path / "out/reel.mkv") == times_and_sound(tmp_path / "in/reel.mkv")

    undisturbed = settings.model_copy(update={"output": str(tmp_path / "again")})
    with Run(undisturbed) as run:
        run.wait()
    frames = [decoded(Path(folder, "reel.mkv")) for folder in (settings.output, undisturbed.output)]
    assert len(frames[0]) == len(frames[1]) == _FRAMES
    assert all((one == other).all() for one, other in zip(*frames, strict=True))


@pytest.mark.chaos
@pytest.mark.timeout(300)
def test_a_replica_that_dies_costs_its_segment_once_more(tmp_path: Path) -> None:
    settings = _settings(tmp_path)
    log, once = tmp_path / "begun", tmp_path / "once"
    once.mkdir()
    with Run(settings, {"segments": str(log), "kill_segment": 3, "once_kill": str(once)}) as run:
        outcome = run.wait()
    assert (outcome["restored"], outcome["failed"]) == (1, 0)
    begun = _begun(log)
    assert begun[3] == 2
    assert sum(begun.values()) <= len(begun) + 2
    assert json.loads(next(iter(current_rows(Store(settings.output)).values()))["film"])["segments"] == len(begun)
    census(settings).assert_exact()
