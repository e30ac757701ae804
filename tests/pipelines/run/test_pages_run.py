"""TIFF files of several pages through real Ray: killed and resumed, one broken beside good ones, verified."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import tifffile
from archive_steps import picture
from PIL import Image
from tiff_pages import tiff_pages

from pipelines.audit.findings import Findings
from pipelines.audit.verify import verify
from pipelines.manifest.reader import current_rows
from pipelines.manifest.runs import new_run_id
from pipelines.media.limits import DecodeLimits
from pipelines.media.photo.decode import decode_page
from pipelines.media.photo.tiff_directories import list_pages
from pipelines.plan.plan import make_plan
from pipelines.rows import PART_DONE, Row
from pipelines.run.driver import run
from pipelines.run.joiner import Joiner
from pipelines.settings import Settings
from pipelines.store.layout import PARTS
from pipelines.store.store import Store

pytestmark = pytest.mark.ray
FAST = {"preset": "tiny", "steps": 2, "guidance_scale": 1.0, "replicas": 1, "tile_halo": 64, "tile": 192}
# Of several sizes and modes; the second is cut into 2 x 2 tiles.
PAGES = (picture(40, 48, 1), picture(190, 150, 3, seed=1), picture(33, 40, 3, np.uint16, seed=2))
PARTS_OF_ALL = 6


@pytest.fixture
def scans(tmp_path: Path) -> Path:
    folder = tmp_path / "scans"
    folder.mkdir()
    (folder / "album.tif").write_bytes(tiff_pages([(page, {}) for page in PAGES]))
    broken = bytearray(tiff_pages([(page, {"compression": "deflate"}) for page in PAGES]))
    with tifffile.TiffFile(io.BytesIO(broken)) as file:
        start, count = file.pages[1].dataoffsets[0], file.pages[1].databytecounts[0]
    broken[start : start + count] = bytes(count)
    (folder / "broken.tif").write_bytes(bytes(broken))
    for number, page in enumerate(PAGES, 1):
        (folder / f"page{number}.tif").write_bytes(tiff_pages([(page, {})]))
    return folder


def restored(settings: Settings) -> dict[str, Row]:
    run(make_plan(settings), settings, run_id=new_run_id())
    return {row["source_path"]: row for row in current_rows(Store(settings.output)).values()}


@pytest.mark.slow
def test_pages_of_a_run_that_was_killed_are_not_restored_again(
    scans: Path, tmp_path: Path, ray_session: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    import pipelines.run.driver

    settings = Settings(source=str(scans), output=str(tmp_path / "out"), **FAST)

    def die(self: Joiner, row: Row) -> None:
        if row["source_path"] == "album.tif":  # all of its parts are durable, and nothing is joined
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Joiner, "add", die)
        with pytest.raises(KeyboardInterrupt):
            run(make_plan(settings), settings, run_id=new_run_id())
    store = Store(settings.output)
    (folder,) = {
        path.rpartition("/")[0] for path in (entry.path for entry in store.list(PARTS)) if path.endswith("/00005.npz")
    } & {path.rpartition("/")[0] for path in (entry.path for entry in store.list(PARTS)) if path.endswith("/00002.npz")}
    (Path(settings.output) / folder / "00002.npz").unlink()  # a tile of the second page

    seen: list[tuple[int, float | None]] = []
    original = pipelines.run.driver.final_rows

    def watched(stream: object):
        for row in original(stream):
            if row["status"] == PART_DONE and row["source_path"] == "album.tif":
                seen.append((row["part"], row["seconds_restore"]))
            yield row

    monkeypatch.setattr(pipelines.run.driver, "final_rows", watched)
    rows = restored(settings)
    assert sorted(number for number, _ in seen) == list(range(PARTS_OF_ALL))
    assert [number for number, seconds in seen if seconds is not None] == [2]
    statuses = {path: row["status"] for path, row in rows.items()}
    assert statuses == dict.fromkeys(("album.tif", "page1.tif", "page2.tif", "page3.tif"), "restored") | {
        "broken.tif": "failed"
    }
    assert rows["broken.tif"]["error_reason"].startswith("broken.tif, page 2 of 3: ")

    # Each page as it is where it is a file by itself, whichever reader looks.
    data = (Path(settings.output) / "album.tif").read_bytes()
    found = list_pages(data)
    assert len(found.pages) == 3
    with tifffile.TiffFile(io.BytesIO(data)) as file, Image.open(io.BytesIO(data)) as image:
        assert (len(file.pages), image.n_frames) == (3, 3)
        for number in range(3):
            image.seek(number)
            image.load()
            alone = tifffile.imread(Path(settings.output) / f"page{number + 1}.tif")
            np.testing.assert_array_equal(file.pages[number].asarray(), alone)
            ours = decode_page(data, "album", DecodeLimits(), found, number).pixels
            np.testing.assert_array_equal(ours.reshape(alone.shape), alone)
    findings = verify(settings, Findings())
    assert (findings.items, findings.unsound) == (4, set())
    assert [row["source_path"] for row in make_plan(settings).pending] == ["broken.tif"]
