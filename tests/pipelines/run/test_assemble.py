"""Photographs of several tiles through real Ray: durable parts, no seam, resumed after a loss."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipelines.manifest.reader import current_rows
from pipelines.manifest.runs import new_run_id
from pipelines.plan.plan import make_plan
from pipelines.rows import PART_DONE, Row, parts_key
from pipelines.run.driver import run
from pipelines.settings import Settings
from pipelines.stages.tile_parts import part_path
from pipelines.store.layout import PARTS
from pipelines.store.store import Store

pytestmark = pytest.mark.ray
FAST = {"preset": "tiny", "steps": 2, "guidance_scale": 1.0, "replicas": 1, "tile_halo": 64}


@pytest.fixture
def scans(tmp_path: Path) -> Path:
    from skimage import data

    parts_folder = tmp_path / "scans"
    parts_folder.mkdir()
    Image.fromarray(data.astronaut()[:190, :150]).save(parts_folder / "large.png")
    Image.fromarray(data.camera()[:40, :40]).save(parts_folder / "small.png")
    (parts_folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    return parts_folder


def restored(settings: Settings) -> dict[str, Row]:
    run(make_plan(settings), settings, run_id=new_run_id())
    return {row["source_path"]: row for row in current_rows(Store(settings.output)).values()}


def pixels(settings: Settings, row: Row) -> np.ndarray:
    return np.asarray(Image.open(Path(settings.output) / row["output_path"])).astype(int)


@pytest.mark.slow
def test_tiles_are_joined_without_a_seam(scans: Path, tmp_path: Path, ray_session: None) -> None:
    one = Settings(source=str(scans), output=str(tmp_path / "one"), **FAST)
    cut = Settings(source=str(scans), output=str(tmp_path / "cut"), tile=192, **FAST)
    whole, tiled = restored(one), restored(cut)
    assert {path: row["status"] for path, row in tiled.items()} == {
        "large.png": "restored",
        "small.png": "restored",
        "broken.png": "failed",
    }
    assert whole["large.png"]["parts"] == 1
    assert tiled["large.png"]["parts"] == 4
    difference = np.abs(pixels(one, whole["large.png"]) - pixels(cut, tiled["large.png"])).max(axis=2)
    border = np.zeros(difference.shape, bool)
    border[192 - 16 : 192 + 16] = border[:, 128 - 16 : 128 + 16] = True
    print(
        f"largest difference in 8-bit levels: {difference[border].max()} at borders, {difference[~border].max()} inside"
    )
    assert difference[border].max() <= max(1, difference[~border].max())
    assert abs(tiled["large.png"]["lq_psnr_db"] - whole["large.png"]["lq_psnr_db"]) < 0.5
    assert not Store(cut.output).exists(PARTS) or not list(Store(cut.output).list(PARTS))


def test_finished_tiles_are_not_restored_again(
    scans: Path, tmp_path: Path, ray_session: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A driver that dies before assembly leaves its tiles; the next run restores none of them again."""
    import pipelines.run.driver
    from pipelines.run.joiner import Joiner

    quick = FAST | {"preset": "nano"}  # its worker processes load neither diffusers nor transformers
    settings = Settings(source=str(scans), output=str(tmp_path / "out"), tile=192, only="large.png", **quick)
    plan = make_plan(settings)

    def die(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Joiner, "add", die)
        with pytest.raises(KeyboardInterrupt):
            run(plan, settings, run_id=new_run_id())
    store = Store(settings.output)
    left = [entry.path for entry in store.list(PARTS)]
    assert len(left) == 4
    lost = left[2]
    (Path(settings.output) / lost).unlink()
    stamps = {path: store.info(path).version for path in left if path != lost}

    seen: list[tuple[int, float | None]] = []
    original = pipelines.run.driver.final_rows

    def watched(stream: object):
        for row in original(stream):
            if row["status"] == PART_DONE:
                seen.append((row["part"], row["seconds_restore"]))
                assert {path: store.info(path).version for path in stamps} == stamps
            yield row

    monkeypatch.setattr(pipelines.run.driver, "final_rows", watched)
    row = restored(settings)["large.png"]
    assert row["status"] == "restored"
    assert sorted(number for number, seconds in seen if seconds is not None) == [2]
    assert not store.exists(part_path(parts_key(row), 0))
