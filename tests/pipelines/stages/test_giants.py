"""Giant photographs, which are read by region: the result that they have when they are read whole, byte for byte."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from archive_steps import archive_settings, picture, save_photo, table_of

from pipelines.errors import ItemError
from pipelines.plan.plan import make_plan
from pipelines.rows import FAILED, MANIFEST_SCHEMA, PART_DONE, PENDING, RESTORED, Row, parts_key
from pipelines.settings import Settings
from pipelines.stages import giants
from pipelines.stages.adapter import run_stage
from pipelines.stages.decode import Decode
from pipelines.stages.restore import Restore
from pipelines.stages.stitch import Stitch
from pipelines.stages.tile import Tile
from pipelines.stages.tile_parts import part_path
from pipelines.stages.write import Write
from pipelines.store.store import Store

SIZE = (90, 70)  # of the scan; 180 x 140 restored, which is 2 x 2 tiles of 128
GIANT = {"giant_pixels": 90 * 70 - 1}
TIMES = {"started_at", "finished_at", "output_uri"} | {name for name in MANIFEST_SCHEMA.names if "seconds" in name}


def nano_settings(folder: Path, **changes: Any) -> Settings:
    """Of the fastest network: what is compared are bytes of two ways to the same one."""
    return archive_settings(folder, **({"preset": "nano"} | changes))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Restore:
    return Restore(nano_settings(tmp_path_factory.mktemp("model"), tile=128), threads=1)


def save_scan(folder: Path, channels: int = 3, dtype: Any = np.uint8, **options: Any) -> Path:
    path = folder / "scans" / "a.tif"
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = picture(*SIZE, channels, dtype)
    values: dict[str, Any] = {"tile": (32, 32), "compression": "zlib", "predictor": True, "resolution": (300, 300)}
    extra = ["unassalpha"] if channels == 4 else None
    kind = "rgb" if channels >= 3 else "minisblack"
    pixels = pixels[..., 0] if channels == 1 else pixels
    tifffile.imwrite(path, pixels, photometric=kind, extrasamples=extra, metadata=None, **(values | options))
    return path


def decoded(settings: Settings) -> Row:
    (row,) = make_plan(settings).pending
    (found,) = run_stage(Decode(settings), table_of({**row, "run_id": "run1", "flow_run_id": ""})).to_pylist()
    return found


def restored(settings: Settings, model: Restore) -> Row:
    """The only scan's final row."""
    model.settings = settings
    table = table_of(decoded(settings))
    for stage in (Tile(settings), model, Write(settings)):
        table = run_stage(stage, table)
    rows = table.to_pylist()
    if rows[0]["status"] == PART_DONE:
        return run_stage(Stitch(settings), table_of({**rows[-1], "status": PENDING})).to_pylist()[0]
    return rows[0]


def same(first: Row, second: Row) -> bool:
    return {n: first[n] for n in MANIFEST_SCHEMA.names if n not in TIMES} == {
        n: second[n] for n in MANIFEST_SCHEMA.names if n not in TIMES
    }


@pytest.mark.parametrize(
    ("channels", "dtype", "format"),
    [
        (3, np.uint8, "auto"),
        (1, np.uint8, "auto"),
        (4, np.uint16, "auto"),
        (3, np.uint16, "png"),
        (3, np.uint8, "jpeg"),
    ],
)
def test_by_region_is_as_whole(tmp_path: Path, model: Restore, channels: int, dtype: type, format: str) -> None:
    save_scan(tmp_path, channels, dtype)
    rows, files = [], []
    for name, changes in (("whole", {}), ("regions", GIANT)):
        settings = nano_settings(tmp_path, output=str(tmp_path / name), tile=128, format=format, **changes)
        assert (decoded(settings)["pixels"] is None) == (name == "regions")
        row = restored(settings, model)
        assert (row["status"], row["parts"]) == (RESTORED, 4), row["error_reason"]
        rows.append(row)
        files.append((tmp_path / name / row["output_path"]).read_bytes())
    assert files[0] == files[1]
    assert same(*rows)
    assert rows[0]["lq_psnr_db"] == rows[1]["lq_psnr_db"] is not None


def test_a_giant_of_one_tile_is_as_whole(tmp_path: Path, model: Restore) -> None:
    save_scan(tmp_path, rowsperstrip=16, tile=None)
    files = []
    for name, changes in (("whole", {}), ("regions", GIANT)):
        settings = nano_settings(tmp_path, output=str(tmp_path / name), **changes)
        row = restored(settings, model)
        assert (row["status"], row["parts"]) == (RESTORED, 1), row["error_reason"]
        files.append((tmp_path / name / row["output_path"]).read_bytes())
    assert files[0] == files[1]


def test_a_large_file_is_looked_into_before_it_is_read(
    tmp_path: Path, model: Restore, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_scan(tmp_path)
    monkeypatch.setattr("pipelines.stages.decode.SMALL_BYTES", 100)
    giant = decoded(nano_settings(tmp_path, **GIANT))
    whole = decoded(nano_settings(tmp_path))
    assert giant["pixels"] is None
    assert whole["pixels"] is not None
    assert giant["source_sha256"] == whole["source_sha256"]
    read = Store.read

    def no_scan(store: Store, path: str) -> bytes:
        return pytest.fail(f"{path} is read whole") if path.endswith(".tif") else read(store, path)

    monkeypatch.setattr(Store, "read", no_scan)
    assert decoded(nano_settings(tmp_path, **GIANT, max_bytes=1))["source_size"] == giant["source_size"]


def test_only_tiles_that_are_missing_are_made_again(tmp_path: Path, model: Restore) -> None:
    save_scan(tmp_path)
    settings = nano_settings(tmp_path, tile=128, **GIANT)
    model.settings = settings
    row = decoded(settings)
    tiles = run_stage(Tile(settings), table_of(row))
    parts = run_stage(Write(settings), run_stage(model, tiles)).to_pylist()
    output = Store(settings.output)
    output.fs.rm_file(output.key(part_path(parts_key(parts[0]), 2)))
    again = run_stage(Tile(settings), table_of(row)).to_pylist()
    assert [part["status"] for part in again] == [PART_DONE, PART_DONE, PENDING, PART_DONE]
    assert again[2]["pixels"] == tiles.to_pylist()[2]["pixels"]


def test_a_giant_in_another_store_is_read_by_ranges(
    tmp_path: Path, model: Restore, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = save_scan(tmp_path).read_bytes()
    remote = Store(f"memory://{tmp_path.name}/scans")
    remote.publish("a.tif", data)
    local = restored(nano_settings(tmp_path, output=str(tmp_path / "local"), tile=128, **GIANT), model)
    read = Store.read

    def no_scan(store: Store, path: str) -> bytes:
        return pytest.fail(f"{path} is read whole") if path == "a.tif" else read(store, path)

    monkeypatch.setattr("pipelines.stages.decode.SMALL_BYTES", 100)
    monkeypatch.setattr(Store, "read", no_scan)  # nor when its tiles are joined
    far = restored(nano_settings(tmp_path, source=remote.url, tile=128, **GIANT), model)
    assert (far["status"], far["output_sha256"]) == (RESTORED, local["output_sha256"]), far["error_reason"]


def test_a_giant_that_changes_meanwhile_fails_and_leaves_no_tile(tmp_path: Path) -> None:
    path = save_scan(tmp_path)
    settings = nano_settings(tmp_path, tile=128, **GIANT)
    row = decoded(settings)
    os.utime(path, (1, 1))
    (failed,) = run_stage(Tile(settings), table_of(row)).to_pylist()
    assert (failed["status"], failed["error_code"], failed["error_stage"]) == (FAILED, "unreadable", "tile")
    assert "changed while it was being restored" in failed["error_reason"]


@pytest.mark.parametrize(
    ("changes", "scan", "reason"),
    [
        ({"tone": "restore"}, {}, "--tone restore looks at the whole photograph"),
        ({"repair_damage": "fill"}, {}, "--repair-damage looks at the whole photograph"),
        ({"format": "jpeg"}, {}, "JPEG of 140 x 180 pixels is written as a whole, --format tiff is not"),
        ({}, {"dtype": np.uint32}, "its samples have 32 bits"),
    ],
)
def test_what_needs_the_whole_is_refused_by_a_clear_line(
    tmp_path: Path, changes: dict[str, Any], scan: dict[str, Any], reason: str
) -> None:
    save_scan(tmp_path, channels=1, **scan)
    settings = nano_settings(tmp_path, max_pixels=1000, **GIANT, **changes)
    row = decoded(settings)
    assert (row["status"], row["error_code"]) == (FAILED, "too_many_pixels")
    assert reason in row["error_reason"]
    assert "raise --max-pixels" in row["error_reason"]
    assert ("export it as tiled TIFF" in row["error_reason"]) == (not changes)
    whole = decoded(nano_settings(tmp_path, output=str(tmp_path / "other"), **GIANT, **changes))
    # Small enough for what is done to the whole; what is written as a whole is read by region even so.
    assert (whole["status"], whole["pixels"] is None) == (PENDING, "format" in changes)


@pytest.mark.parametrize("pages", ["all", "first"])
def test_a_giant_of_several_pages(tmp_path: Path, model: Restore, pages: str) -> None:
    path = save_scan(tmp_path)
    with tifffile.TiffWriter(path, append=True) as writer:
        writer.write(picture(40, 50), photometric="rgb", metadata=None)
    first = decoded(nano_settings(tmp_path, max_pixels=1000, pages=pages, **GIANT))
    if pages == "first":
        whole = decoded(nano_settings(tmp_path, pages=pages))
        assert (first["status"], first["pixels"], first["frames"]) == (PENDING, None, 2)
        assert first["warnings"] == whole["warnings"]
    else:
        assert first["error_code"] == "too_many_pixels"
        assert "all its pages are wanted, --pages first takes the first alone" in first["error_reason"]


def test_a_giant_has_limits_of_its_own(tmp_path: Path) -> None:
    save_scan(tmp_path)
    row = decoded(nano_settings(tmp_path, max_giant_pixels=6000, max_pixels=1000, **GIANT))
    assert (row["status"], row["error_code"]) == (FAILED, "too_many_pixels")
    assert "--max-giant-pixels" in row["error_reason"]
    assert decoded(nano_settings(tmp_path, max_pixels=1000, **GIANT))["status"] == PENDING


def test_other_formats_are_told_of_tiled_tiff(tmp_path: Path) -> None:
    save_photo(tmp_path / "scans" / "a.png", picture(*SIZE))
    row = decoded(nano_settings(tmp_path, max_pixels=1000, **GIANT))
    assert row["error_code"] == "too_many_pixels"
    assert "raise --max-pixels" in row["error_reason"]
    assert "export it as tiled TIFF" in row["error_reason"]


def test_what_a_store_says_is_one_line() -> None:
    with (
        pytest.raises(ItemError, match=r"a\.tif: cannot be read .Permission denied.; check access"),
        giants.reading_source("a.tif"),
    ):
        raise PermissionError(13, "Permission denied")
