"""A giant photograph through real Ray: read by region, the same file as when it is read whole, resumed after a loss."""

from __future__ import annotations

from pathlib import Path

import pytest
import tifffile
from archive_steps import picture

from pipelines.manifest.reader import current_rows
from pipelines.manifest.runs import new_run_id
from pipelines.plan.plan import make_plan
from pipelines.rows import Row
from pipelines.run.driver import run
from pipelines.run.stop import Stop
from pipelines.settings import Settings
from pipelines.stages.tile_parts import part_path
from pipelines.store.store import Store

pytestmark = pytest.mark.ray
FAST = {"preset": "tiny", "steps": 1, "guidance_scale": 1.0, "replicas": 1, "tile_halo": 64, "tile": 192}


def restored(settings: Settings) -> Row:
    run(make_plan(settings), settings, run_id=new_run_id())
    (row,) = current_rows(Store(settings.output)).values()
    return row


def test_a_giant_is_restored_as_any_photograph_and_resumed(tmp_path: Path, ray_session: None) -> None:
    scans = tmp_path / "scans"
    scans.mkdir()
    options = {"tile": (64, 64), "compression": "zlib", "photometric": "rgb", "metadata": None}
    tifffile.imwrite(scans / "a.tif", picture(190, 150), **options)
    whole = Settings(source=str(scans), output=str(tmp_path / "whole"), **FAST)
    giant = Settings(source=str(scans), output=str(tmp_path / "giant"), giant_pixels=1000, max_pixels=1000, **FAST)
    expected = restored(whole)

    stop, durable = Stop(), list[int]()

    def stop_soon(part: Row) -> None:
        durable.append(part["part"])
        stop.request("enough for now")

    outcome = run(make_plan(giant), giant, run_id=new_run_id(), on_part=stop_soon, stop=stop)
    assert (outcome.restored, outcome.left) == (0, 1)
    store = Store(giant.output)
    before = {entry.path for entry in store.list("_faitharchive/parts")}
    assert part_path(expected["identity"], durable[0]) in before

    made = list[int]()

    def note(part: Row) -> None:
        if part["seconds_restore"] is not None:  # else it was there
            made.append(part["part"])

    run(make_plan(giant), giant, run_id=new_run_id(), on_part=note)
    (row,) = current_rows(store).values()
    assert (row["status"], row["parts"]) == ("restored", 4), row["error_reason"]
    assert {part_path(row["identity"], number) for number in set(range(4)) - set(made)} == before
    assert row["identity"] == expected["identity"]
    assert store.read("a.tif") == Store(whole.output).read("a.tif")
    assert not list(store.list("_faitharchive/parts"))
