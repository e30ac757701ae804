"""A replica loads its model once a run, however often rows are handed out, and whatever kind of media they are."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from chaos_runs import Run, census, make_archive
from film_clips import moving_frames, write_film

from pipelines.settings import Settings

pytestmark = [pytest.mark.ray, pytest.mark.timeout(600)]


def loads(log: Path) -> int:
    return len(log.read_text().splitlines())


def archive(folder: Path, count: int) -> tuple[Settings, dict[str, Any], Path]:
    """Two replicas from the start, and a hook that hands out three rows at a time."""
    log = folder / "loads"
    settings = make_archive(folder, count).model_copy(update={"min_replicas": 2})
    return settings, {"open_blocks": 3, "loads": str(log)}, log


def test_photographs_handed_out_in_many_turns_and_a_film_load_each_replica_once(tmp_path: Path) -> None:
    settings, hook, log = archive(tmp_path, 18)
    write_film(tmp_path / "scans" / "film.mkv", moving_frames(24))
    settings = settings.model_copy(update={"segment_frames": 8, "segment_overlap": 2, "steady": "shared-noise"})
    with Run(settings, hook) as run:
        outcome = run.wait()
    assert (outcome["restored"], outcome["failed"], outcome["left"]) == (19, 0, 0)
    assert loads(log) == settings.replicas


@pytest.mark.slow
def test_a_replica_that_dies_is_loaded_again_and_the_others_are_not(tmp_path: Path) -> None:
    settings, hook, log = archive(tmp_path, 24)
    with Run(settings, hook | {"slow": 0.2}) as run:
        run.wait_for(4)
        run.workers("Restore")[0].kill()
        outcome = run.wait()
    assert (outcome["restored"], outcome["failed"], outcome["left"]) == (24, 0, 0)
    assert loads(log) == settings.replicas + 1
    census(settings).assert_exact()


@pytest.mark.slow
def test_what_is_tried_again_alone_goes_to_the_replicas_that_are_there(tmp_path: Path) -> None:
    """A scan that kills each process that decodes it is lost in both rounds, and no model is loaded for it."""
    settings, hook, log = archive(tmp_path, 9)
    poison = tmp_path / "scans" / "box 3" / "poison.png"
    shutil.move(poison.with_name("00003.png"), poison)
    with Run(settings, hook | {"kill_decode": "poison"}) as run:
        outcome = run.wait()
    assert (outcome["restored"], outcome["by_code"]) == (8, {"crashed": 1})
    assert loads(log) == settings.replicas
