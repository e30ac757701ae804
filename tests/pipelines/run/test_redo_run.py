"""A real run honours what a review chose: each item with its own settings, resumed where it stopped, and never twice."""

from __future__ import annotations

from pathlib import Path

import pytest
from archive_steps import archive_settings, restore_without_model, save_photo

from pipelines.manifest.decision import REDO, Decision
from pipelines.manifest.decisions import DecisionLog
from pipelines.manifest.reader import current_rows
from pipelines.manifest.runs import new_run_id
from pipelines.manifest.sidecar import parse_sidecar
from pipelines.plan.plan import make_plan
from pipelines.rows import Row
from pipelines.run.driver import run
from pipelines.run.stop import Stop
from pipelines.settings import Settings
from pipelines.store.layout import sidecar_path
from pipelines.store.store import Store


def rows_of(settings: Settings) -> dict[str, Row]:
    return {row["source_path"]: row for row in current_rows(Store(settings.output)).values()}


@pytest.mark.ray
def test_a_redo_is_done_the_next_night_and_goes_on_after_a_stop(tmp_path: Path, ray_session: None) -> None:
    for name in ("a.png", "b.png", "c.png"):
        save_photo(tmp_path / "scans" / name)
    settings = archive_settings(tmp_path, preset="nano", replicas=1)
    restore_without_model(settings, ended=True)
    first = rows_of(settings)
    chosen = {"a.png": {"upscale": 3}, "b.png": {"grain": "keep", "seed": 4}}
    DecisionLog(Store(settings.output)).record(
        Decision.about(first[path], REDO, reviewer="Ada", choices=choices) for path, choices in chosen.items()
    )

    stop = Stop()
    outcome = run(
        make_plan(settings), settings, run_id=new_run_id(), stop=stop, on_row=lambda row: stop.request("enough")
    )
    assert (outcome.restored, outcome.left) == (1, 1)
    outcome = run(make_plan(settings), settings, run_id=new_run_id())
    assert (outcome.restored, outcome.failed, outcome.left) == (1, 0, 0)
    assert len(make_plan(settings).pending) == 0

    now = rows_of(settings)
    assert now["c.png"] == first["c.png"]
    assert (now["a.png"]["output_width"], first["a.png"]["output_width"]) == (72, 48)
    assert now["b.png"]["seed"] == 4
    for path, choices in chosen.items():
        row = now[path]
        assert row["output_sha256"] != first[path]["output_sha256"]
        own = settings.model_copy(update=choices)
        assert row["settings_digest"] == own.result_digest()
        sidecar = parse_sidecar(Path(settings.output, sidecar_path(row["output_path"])).read_bytes())
        assert sidecar["settings_digest"] == row["settings_digest"]
