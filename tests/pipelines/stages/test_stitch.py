"""Photographs of several tiles, through the stages one by one: the same photograph as in one piece."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from archive_steps import archive_settings, picture, table_of

from pipelines.manifest.sidecar import read_sidecar
from pipelines.media.photo.decode import DecodeLimits, decode
from pipelines.media.photo.encode import encode
from pipelines.plan.plan import make_plan
from pipelines.rows import FAILED, MANIFEST_SCHEMA, PART_DONE, PENDING, RESTORED, Row, get_pixels, parts_key
from pipelines.settings import Settings
from pipelines.stages.adapter import run_stage
from pipelines.stages.decode import Decode
from pipelines.stages.restore import Restore
from pipelines.stages.stitch import Stitch
from pipelines.stages.tile import Tile
from pipelines.stages.tile_parts import part_path, read_part
from pipelines.stages.write import Write
from pipelines.store.layout import MANIFEST, PARTS, parts_folder, sidecar_path
from pipelines.store.store import Store

SIZE = (90, 70)  # of the scan; 180 x 140 restored, which is 2 x 2 tiles of 128
LAYOUTS = {
    "rgb": (3, np.uint8),
    "grey": (1, np.uint8),
    "grey alpha": (2, np.uint8),
    "rgba": (4, np.uint8),
    "rgb 16": (3, np.uint16),
    "grey 16": (1, np.uint16),
    "rgba 16": (4, np.uint16),
}


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Restore]:
    """One by colour fix."""
    at = tmp_path_factory.mktemp("model")
    return {
        fix: Restore(archive_settings(at, steps=2, guidance_scale=1.0, tile=128, colour_fix=fix), threads=1)
        for fix in ("adain", "wavelet", "none")
    }


def save_png(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encode(pixels, format="PNG", dpi=(300, 300)))


def parts_of(settings: Settings, model: Restore) -> list[Row]:
    """The only scan's rows after the write stage."""
    (row,) = make_plan(settings).pending
    table = table_of({**row, "run_id": "run1", "flow_run_id": ""})
    model.settings = settings
    for stage in (Decode(settings), Tile(settings), model, Write(settings)):
        table = run_stage(stage, table)
    return table.to_pylist()


def waiting(row: Row, **changes: Any) -> Row:
    """A part's row as the assembly hands it on."""
    return {**row, "status": PENDING, **changes}


def pixels_of_result(settings: Settings, row: Row) -> np.ndarray:
    data = (Path(settings.output) / row["output_path"]).read_bytes()
    assert hashlib.sha256(data).hexdigest() == row["output_sha256"]
    return decode(data, "result", DecodeLimits()).pixels


# Every layout, and every colour fix with and without colour: a fix sees the model's three channels, whatever the scan has.
CASES = [
    ("rgb", "adain"), ("rgb", "wavelet"), ("rgb", "none"), ("grey", "adain"), ("grey", "wavelet"), ("grey alpha", "none"),
    ("rgba", "wavelet"), ("rgb 16", "none"), ("grey 16", "adain"), ("rgba 16", "wavelet"),
]  # fmt: skip


@pytest.mark.parametrize(("layout", "colour_fix"), CASES)
def test_tiles_equal_one_piece(tmp_path: Path, models: dict[str, Restore], layout: str, colour_fix: str) -> None:
    channels, dtype = LAYOUTS[layout]
    save_png(tmp_path / "scans" / "a.png", picture(*SIZE, channels, dtype))
    whole = archive_settings(tmp_path, output=str(tmp_path / "whole"), colour_fix=colour_fix, steps=2)
    cut = archive_settings(tmp_path, output=str(tmp_path / "cut"), colour_fix=colour_fix, steps=2, tile=128)
    (alone,) = parts_of(whole, models[colour_fix])
    parts = parts_of(cut, models[colour_fix])
    assert [row["status"] for row in parts] == [PART_DONE] * 4
    (joined,) = run_stage(Stitch(cut), table_of(waiting(parts[-1]))).to_pylist()
    assert (alone["status"], joined["status"]) == (RESTORED, RESTORED), joined["error_reason"]
    first, second = pixels_of_result(whole, alone), pixels_of_result(cut, joined)
    assert first.shape == second.shape == (2 * SIZE[0], 2 * SIZE[1], channels)
    assert first.dtype == second.dtype == dtype
    level = np.iinfo(dtype).max / 255
    difference = np.abs(first.astype(float) - second.astype(float)) / level
    assert difference.max() <= 2
    assert difference.mean() < 0.05
    if channels in (2, 4):
        assert np.array_equal(first[..., -1], second[..., -1])
    assert abs(alone["lq_psnr_db"] - joined["lq_psnr_db"]) < 0.05
    same = (
        "source_sha256",
        "width",
        "height",
        "channels",
        "bit_depth",
        "output_width",
        "output_height",
        "output_format",
    )
    assert {name: alone[name] for name in same} == {name: joined[name] for name in same}


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    save_png(tmp_path / "scans" / "a.png", picture(*SIZE))
    return archive_settings(tmp_path, tile=128)


def test_stitching_publishes_and_clears_up(settings: Settings, models: dict[str, Restore]) -> None:
    output = Store(settings.output)
    parts = parts_of(settings, models["adain"])
    key = parts_key(parts[0])
    assert [entry.path for entry in output.list()] == [part_path(key, number) for number in range(4)]
    assert all(row["pixels"] is None for row in parts)
    core, _, record = read_part(output, key, 3)
    assert core.dtype == np.uint16
    assert record["part"] == 3
    output.publish(f"{PARTS}/other/00000.npz", b"of another photograph")
    (row,) = run_stage(Stitch(settings), table_of(waiting(parts[0], run_id="run2", attempt=2))).to_pylist()
    left = {entry.path for entry in output.list()}
    assert left == {"a.png", sidecar_path("a.png"), f"{PARTS}/other/00000.npz"}
    assert (row["status"], row["run_id"], row["attempt"], row["parts"]) == (RESTORED, "run2", 2, 4)
    assert row["seconds_restore"] == pytest.approx(sum(part["seconds_restore"] for part in parts))
    assert np.allclose(decode(output.read("a.png"), "a", DecodeLimits()).dpi, 600, atol=0.1)
    sidecar = read_sidecar(output.read(sidecar_path("a.png")))
    assert sidecar is not None
    assert {name: sidecar[name] for name in MANIFEST_SCHEMA.names} == {
        name: row[name] for name in MANIFEST_SCHEMA.names
    }
    assert not output.exists(parts_folder(key))
    assert not output.exists(MANIFEST)


def test_twins_have_tiles_of_their_own(settings: Settings, models: dict[str, Restore]) -> None:
    """The same scan under two names in one run: the first that was joined took the tiles of the other with it."""
    scans = Path(settings.source)
    (scans / "b.png").write_bytes((scans / "a.png").read_bytes())
    model = models["adain"]
    model.settings = settings
    parts = table_of(*({**row, "run_id": "run1", "flow_run_id": ""} for row in make_plan(settings).pending))
    for stage in (Decode(settings), Tile(settings), model, Write(settings)):
        parts = run_stage(stage, parts)
    rows: list[Row] = parts.to_pylist()
    assert [row["status"] for row in rows] == [PART_DONE] * 8
    assert len({row["identity"] for row in rows}) == 1
    for last in (rows[3], rows[7]):
        (joined,) = run_stage(Stitch(settings), table_of(waiting(last))).to_pylist()
        assert joined["status"] == RESTORED, joined["error_reason"]
    assert (Path(settings.output) / "a.png").read_bytes() == (Path(settings.output) / "b.png").read_bytes()


def test_durable_tiles_are_not_restored_again(settings: Settings, models: dict[str, Restore]) -> None:
    parts = parts_of(settings, models["adain"])
    output = Store(settings.output)
    output.fs.rm_file(output.key(part_path(parts_key(parts[0]), 2)))
    (row,) = make_plan(settings).pending
    again = run_stage(Tile(settings), run_stage(Decode(settings), table_of(row))).to_pylist()
    assert [part["status"] for part in again] == [PART_DONE, PART_DONE, PENDING, PART_DONE]
    assert [part["part"] for part in again] == [0, 1, 2, 3]
    assert get_pixels(again[2]).ndim == 3
    redo = Settings(**(settings.model_dump() | {"redo": True}))
    assert {part["status"] for part in run_stage(Tile(redo), run_stage(Decode(redo), table_of(row))).to_pylist()} == {
        PENDING
    }


@pytest.mark.parametrize("damage", ["missing", b"", b"PK\x03\x04 not whole", "half"])
def test_a_lost_or_damaged_tile_is_made_again(settings: Settings, models: dict[str, Restore], damage: Any) -> None:
    parts = parts_of(settings, models["adain"])
    path = Path(settings.output) / part_path(parts_key(parts[0]), 1)
    if damage == "missing":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:-3000] if damage == "half" else damage)
    (failed,) = run_stage(Stitch(settings), table_of(waiting(parts[0]))).to_pylist()
    assert (failed["status"], failed["error_code"], failed["error_stage"]) == (FAILED, "write_error", "stitch")
    assert "; run again" in failed["error_reason"]
    assert not (Path(settings.output) / "a.png").exists()
    again = parts_of(settings, models["adain"])
    (row,) = run_stage(Stitch(settings), table_of(waiting(again[0]))).to_pylist()
    assert row["status"] == RESTORED, row["error_reason"]


def test_a_store_that_refuses_a_tile_is_a_row(settings: Settings, models: dict[str, Restore]) -> None:
    path = Path(settings.output) / PARTS
    path.parent.mkdir(parents=True)
    path.write_bytes(b"a file where the parts_folder should be")
    rows = parts_of(settings, models["adain"])
    assert {(row["status"], row["error_code"]) for row in rows} == {(FAILED, "write_error")}
