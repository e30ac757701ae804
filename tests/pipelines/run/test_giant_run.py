"""A giant photograph through real Ray: read by region, the same file as when it is read whole, resumed after a loss."""

from __future__ import annotations

from pathlib import Path

import pytest
import tifffile
from archive_steps import picture, table_of

from pipelines.manifest.reader import current_rows
from pipelines.manifest.runs import new_run_id
from pipelines.plan.plan import make_plan
from pipelines.rows import PART_DONE, Row, parts_key
from pipelines.run.driver import run
from pipelines.settings import Settings
from pipelines.stages.adapter import run_stage
from pipelines.stages.decode import Decode
from pipelines.stages.restore import Restore
from pipelines.stages.tile import Tile
from pipelines.stages.tile_parts import part_path
from pipelines.stages.write import Write
from pipelines.store.store import Store

pytestmark = pytest.mark.ray
FAST = {"preset": "tiny", "steps": 1, "guidance_scale": 1.0, "replicas": 1, "tile_halo": 64, "tile": 192}


def restored(settings: Settings) -> Row:
    run(make_plan(settings), settings, run_id=new_run_id())
    (row,) = current_rows(Store(settings.output)).values()
    return row


@pytest.mark.slow
def test_a_giant_is_restored_as_any_photograph_and_resumed(tmp_path: Path, ray_session: None) -> None:
    scans = tmp_path / "scans"
    scans.mkdir()
    options = {"tile": (64, 64), "compression": "zlib", "photometric": "rgb", "metadata": None}
    tifffile.imwrite(scans / "a.tif", picture(190, 150), description="The mill at Sloten", **options)
    whole = Settings(source=str(scans), output=str(tmp_path / "whole"), **FAST)
    giant = Settings(source=str(scans), output=str(tmp_path / "giant"), giant_pixels=1000, max_pixels=1000, **FAST)
    expected = restored(whole)

    # A run that died has left one tile.
    (row,) = make_plan(giant).pending
    tiles = run_stage(Tile(giant), run_stage(Decode(giant), table_of({**row, "run_id": "died", "flow_run_id": ""})))
    one = run_stage(Restore(giant, threads=giant.cpu_threads), tiles.slice(1, 1))
    assert run_stage(Write(giant), one).to_pylist()[0]["status"] == PART_DONE
    store, made = Store(giant.output), list[int]()
    assert store.exists(part_path(parts_key(expected), 1))

    def note(part: Row) -> None:
        if part["seconds_restore"] is not None:  # else it was there
            made.append(part["part"])

    run(make_plan(giant), giant, run_id=new_run_id(), on_part=note)
    (row,) = current_rows(store).values()
    assert (row["status"], row["parts"]) == ("restored", 4), row["error_reason"]
    assert sorted(made) == [0, 2, 3]
    assert row["identity"] == expected["identity"]
    assert store.read("a.tif") == Store(whole.output).read("a.tif")
    with tifffile.TiffFile(tmp_path / "giant" / "a.tif") as result:
        assert result.pages.first.description == "The mill at Sloten"  # metadata goes with a giant, too
    assert not list(store.list("_faitharchive/parts"))
