"""Items appear when their last part is there: not when the wave ends, and also while the run drains."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from film_clips import decoded, moving_frames, write_film
from PIL import Image

from pipelines.manifest.reader import current_rows
from pipelines.manifest.runs import new_run_id
from pipelines.plan.plan import make_plan
from pipelines.rows import Row
from pipelines.run.driver import Outcome, run
from pipelines.run.frame_counts import FramesDone
from pipelines.run.stop import Stop
from pipelines.settings import Settings
from pipelines.store.store import Store

pytestmark = pytest.mark.ray
FAST: dict[str, Any] = {
    "preset": "nano", "replicas": 1, "upscale": 1, "cpu_threads": 1, "segment_frames": 8, "segment_overlap": 2,
    "steady": "none",
}  # fmt: skip


def settings_of(folder: Path, **changes: Any) -> Settings:
    return Settings(source=str(folder / "in"), output=str(folder / "out"), **(FAST | changes))


def night(settings: Settings) -> tuple[Outcome, list[str]]:
    """A run whose time is over in the moment in which the last part of any item is there; what it made final."""
    stop, seen, parts = Stop(), list[str](), dict[str, int]()

    def on_part(row: Row) -> None:
        parts[row["source_path"]] = parts.get(row["source_path"], 0) + 1
        if parts[row["source_path"]] == row["parts"]:
            stop.request("the time budget of 8 hours is spent")

    outcome = run(
        make_plan(settings), settings, run_id=new_run_id(), stop=stop, on_part=on_part,
        on_row=lambda row: seen.append(row["source_path"]),
    )  # fmt: skip
    return outcome, seen


def test_a_short_film_does_not_wait_for_a_long_one(tmp_path: Path, ray_session: None) -> None:
    write_film(tmp_path / "in/a-short.mkv", moving_frames(9))
    write_film(tmp_path / "in/b-long.mkv", moving_frames(300))
    events: list[str] = []
    frames: list[FramesDone] = []
    settings = settings_of(tmp_path)
    outcome = run(
        make_plan(settings), settings, run_id=new_run_id(),
        on_row=lambda row: events.append(f"{row['source_path']} is there"),
        on_part=lambda row: events.append(f"{row['source_path']} {row['part']}"), on_frames=frames.append,
    )  # fmt: skip
    assert outcome.restored == 2
    last_part = max(number for number, event in enumerate(events) if not event.endswith("there"))
    assert events.index("a-short.mkv is there") < last_part, events
    assert {film.total for film in frames} <= {9, 300}
    assert frames  # told once a second
    assert all(0 < film.done <= film.total for film in frames)


def test_nights_that_always_hit_their_budget_publish_what_is_complete(tmp_path: Path, ray_session: None) -> None:
    write_film(tmp_path / "in/a-short.mkv", moving_frames(9))
    write_film(tmp_path / "in/b-long.mkv", moving_frames(200))
    settings = settings_of(tmp_path, lease_seconds=6)  # workers look once a second whether it is over
    done: list[str] = []
    for number in range(1, 3):
        outcome, seen = night(settings)
        done += seen
        assert outcome.stopped == "the time budget of 8 hours is spent"
        assert (outcome.restored, len(done)) == (1, number), "a film whose last segment is there was not published"
    assert sorted(done) == ["a-short.mkv", "b-long.mkv"]
    assert len(decoded(tmp_path / "out/b-long.mkv")) == 200
    assert not make_plan(settings).pending
    assert {row["status"] for row in current_rows(Store(settings.output)).values()} == {"restored"}


def test_a_tiled_photograph_is_published_while_the_run_drains(tmp_path: Path, ray_session: None) -> None:
    (tmp_path / "in").mkdir()
    pixels = np.random.default_rng(0).integers(0, 256, (150, 190, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "in/large.png")
    settings = settings_of(tmp_path, tile=96, tile_halo=32)
    outcome, seen = night(settings)
    assert (outcome.stopped, outcome.restored, outcome.left) == ("the time budget of 8 hours is spent", 1, 0)
    assert seen == ["large.png"]
    assert (tmp_path / "out/large.png").exists()
