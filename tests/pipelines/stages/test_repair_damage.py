"""Damage on its way through the stages: found, filled or marked, published beside the result, and left out of its measure."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from archive_steps import archive_settings, picture, save_photo, table_of
from PIL import Image
from scratched import find_white, scratch_mask, scratched

from faithdiff_model.damage.detect import DamageDetector, Thresholds
from faithdiff_model.damage.fill import fill, fillable
from faithdiff_model.damage.network import DamageNetwork, DetectorConfig
from faithdiff_model.damage.shipped import detector_digest
from faithdiff_model.weights.download import WeightsError
from pipelines.manifest.sidecar import read_sidecar
from pipelines.media.photo.encode import encode
from pipelines.media.photo.mask import read_mask, write_mask
from pipelines.plan.plan import make_plan
from pipelines.rows import PENDING, RESTORED, Row, get_pixels, new_row, parts_key, put_pixels
from pipelines.settings import Settings
from pipelines.stages.adapter import run_stage
from pipelines.stages.decode import Decode
from pipelines.stages.faithfulness import psnr_db, squared_error, undamaged
from pipelines.stages.repair_damage import RepairDamage
from pipelines.stages.restore import Restore
from pipelines.stages.stitch import Stitch
from pipelines.stages.tile import Tile
from pipelines.stages.tile_parts import read_part
from pipelines.stages.write import Write
from pipelines.store.layout import damage_path, sidecar_path
from pipelines.store.store import Store

LAYOUTS = [(1, np.uint8), (2, np.uint16), (3, np.uint8), (3, np.uint16), (4, np.uint8)]


def row_of(pixels: np.ndarray) -> Row:
    row = new_row(source_path="a.png", seed=5, prompt="")
    put_pixels(row, pixels)
    return row


def repaired(settings: Settings, *rows: Row) -> list[Row]:
    found: list[Row] = run_stage(RepairDamage(settings), table_of(*rows)).to_pylist()
    return found


@pytest.mark.parametrize(("channels", "dtype"), LAYOUTS)
@pytest.mark.parametrize("mode", ["fill", "mark"])
def test_marks_are_found_and_filled_where_they_are_to_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: str, channels: int, dtype: Any
) -> None:
    find_white(monkeypatch)
    mask = scratch_mask(90, 70)
    scan = scratched(picture(90, 70, channels, dtype), mask)
    (row,) = repaired(archive_settings(tmp_path, repair_damage=mode), row_of(scan))
    assert (row["status"], row["damage_marks"]) == (PENDING, 3)
    assert row["damage_share"] == pytest.approx(mask.mean())
    assert np.array_equal(read_mask(row["damage_mask"] or b""), mask)
    assert row["seconds_damage"] is not None
    result = get_pixels(row)
    if mode == "mark":
        assert np.array_equal(result, scan)
        return
    assert np.array_equal(result, fill(scan, mask))
    chosen = fillable(mask)
    assert chosen[:30].any()
    assert not chosen[-15:, -15:].any()
    assert np.array_equal(result[~chosen], scan[~chosen])
    assert not np.array_equal(result, scan)


def test_an_undamaged_scan_stays_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    find_white(monkeypatch)
    scan = picture(40, 50)
    (row,) = repaired(archive_settings(tmp_path, repair_damage="fill"), row_of(scan))
    assert np.array_equal(get_pixels(row), scan)
    assert (row["damage_share"], row["damage_marks"], row["damage_mask"]) == (0.0, 0, None)


@pytest.fixture
def weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An untrained detector in the shipped one's place."""
    path = tmp_path / "detector.safetensors"
    DamageDetector(DamageNetwork(DetectorConfig(widths=(8, 12), depths=(1, 1))), Thresholds()).save(path)
    monkeypatch.setattr("pipelines.stages.repair_damage.SHIPPED", path)
    return path


@pytest.mark.parametrize("shape", [(1, 1, 3), (1, 30, 1), (2, 2, 4), (70, 50, 2)])
def test_a_real_detector_takes_scans_of_all_sizes(tmp_path: Path, weights: Path, shape: tuple[int, int, int]) -> None:
    threads = torch.get_num_threads()
    (row,) = repaired(archive_settings(tmp_path), row_of(np.full(shape, 255, np.uint8)))
    assert row["status"] == PENDING, row["error_reason"]
    assert get_pixels(row).shape == shape
    assert row["damage_share"] is not None
    assert torch.get_num_threads() == threads


def test_another_detector_than_the_planned_one_is_refused(tmp_path: Path, weights: Path) -> None:
    settings = archive_settings(tmp_path)
    RepairDamage(settings, digest=detector_digest(weights))
    with pytest.raises(WeightsError, match="planned with 000000000000; install the same version on all nodes"):
        RepairDamage(settings, digest="0" * 64)


def test_a_missing_detector_is_told_before_any_work(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"cannot be read .*--repair-damage off"):
        detector_digest(tmp_path / "none.safetensors")


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (33, 17), (64, 64)])
def test_masks_come_back_as_they_were(shape: tuple[int, int]) -> None:
    for mask in (np.zeros(shape, bool), np.ones(shape, bool), np.random.default_rng(0).random(shape) < 0.3):
        data = write_mask(mask)
        assert np.array_equal(read_mask(data), mask)
        assert read_mask(data).dtype == bool
        assert Image.open(io.BytesIO(data)).mode == "1"


def test_faithfulness_is_measured_where_nothing_was_damaged() -> None:
    mask = scratch_mask(64, 64)
    counted = undamaged(write_mask(mask))
    assert counted is not None
    assert not (counted & fillable(mask)).any()
    assert undamaged(None) is None
    rng = np.random.default_rng(0)
    lq = rng.random((128, 128, 3), np.float32)
    restored = lq.copy()
    restored[np.repeat(np.repeat(~counted, 2, axis=0), 2, axis=1)] += 0.5
    assert psnr_db(*squared_error(restored, lq, 2, counted)) == 100
    assert (psnr_db(*squared_error(restored, lq, 2)) or 0) < 20
    assert psnr_db(*squared_error(restored, lq, 2, np.zeros((64, 64), bool))) is None


class Masked:
    """A network that takes masks, and keeps those that it was given."""

    def __init__(self, model: Restore, monkeypatch: pytest.MonkeyPatch) -> None:
        self.seen: list[np.ndarray | None] = []
        real = model.restorer.restore

        def restore(images: Any, prompts: Any, seeds: Any, places: Any, *, masks: Any) -> Any:
            self.seen += masks
            return real(images, prompts, seeds, places)

        monkeypatch.setattr(model.restorer, "restore", restore)
        monkeypatch.setattr(type(model.restorer.config), "takes_mask", True)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Restore:
    folder = tmp_path_factory.mktemp("model")
    return Restore(archive_settings(folder, guidance_scale=1.0, tile=128, colour_fix="none"), threads=1)


def published(settings: Settings, model: Restore) -> Row:
    """The only scan's final row, from however many tiles."""
    (row,) = make_plan(settings).pending
    table = table_of({**row, "run_id": "run1", "flow_run_id": ""})
    model.settings = settings
    for stage in (Decode(settings), RepairDamage(settings), Tile(settings), model, Write(settings)):
        table = run_stage(stage, table)
    parts: list[Row] = table.to_pylist()
    if len(parts) == 1:
        return parts[0]
    masks = [read_part(Store(settings.output), parts_key(part), part["part"])[2]["damage_mask"] for part in parts]
    assert [mask is not None for mask in masks] == [True] + [False] * (len(parts) - 1)
    (done,) = run_stage(Stitch(settings), table_of({**parts[-1], "status": PENDING})).to_pylist()
    return done


def save(folder: Path, mask: np.ndarray) -> np.ndarray:
    scan = scratched(picture(*mask.shape), mask)
    (folder / "scans").mkdir(parents=True, exist_ok=True)
    (folder / "scans" / "a.png").write_bytes(encode(scan, format="PNG"))
    return scan


@pytest.mark.parametrize("mode", ["fill", "mark"])
def test_tiles_and_one_piece_publish_the_same_mask(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model: Restore, mode: str
) -> None:
    find_white(monkeypatch)
    mask = scratch_mask(90, 70)
    save(tmp_path, mask)
    fixed = {"colour_fix": "none", "repair_damage": mode}
    whole = archive_settings(tmp_path, output=str(tmp_path / "whole"), **fixed)
    cut = archive_settings(tmp_path, output=str(tmp_path / "cut"), tile=128, **fixed)
    masked = Masked(model, monkeypatch)
    alone = published(whole, model)
    (given,) = masked.seen
    enlarged = np.repeat(np.repeat(fillable(mask), 2, axis=0), 2, axis=1)
    if mode == "fill":
        assert given is not None
        assert np.array_equal(given, enlarged)
    else:
        assert given is None
    joined = published(cut, model)
    assert (alone["status"], joined["status"]) == (RESTORED, RESTORED), joined["error_reason"]
    assert (alone["parts"], joined["parts"]) == (1, 4)
    assert len(masked.seen) == 5
    if mode == "fill":
        assert all(part is None or part.any() for part in masked.seen)
    assert alone["lq_psnr_db"] is not None
    assert abs(alone["lq_psnr_db"] - joined["lq_psnr_db"]) < 0.05
    for settings, row in ((whole, alone), (cut, joined)):
        data = (Path(settings.output) / damage_path("a.png")).read_bytes()
        assert np.array_equal(read_mask(data), mask)
        assert row["damage_mask_sha256"] == hashlib.sha256(data).hexdigest()
        assert (row["damage_marks"], row["damage_share"]) == (3, pytest.approx(mask.mean()))
        assert row["damage_mask"] is None
        sidecar = read_sidecar((Path(settings.output) / sidecar_path("a.png")).read_bytes())
        assert sidecar is not None
        names = ("damage_share", "damage_marks", "damage_mask_sha256", "seconds_damage")
        assert {name: sidecar[name] for name in names} == {name: row[name] for name in names}  # type: ignore[literal-required]
    first, second = (np.asarray(Image.open(Path(s.output) / "a.png"), np.int16) for s in (whole, cut))
    assert np.abs(first - second).max() <= 2


def test_a_result_without_marks_takes_an_older_mask_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model: Restore
) -> None:
    find_white(monkeypatch)
    save(tmp_path, scratch_mask(40, 30))
    settings = archive_settings(tmp_path, colour_fix="none", repair_damage="fill")
    assert published(settings, model)["damage_mask_sha256"]
    mask = Path(settings.output) / damage_path("a.png")
    assert mask.exists()
    save_photo(tmp_path / "scans" / "a.png", picture(40, 30))
    again = published(settings, model)
    assert (again["status"], again["damage_marks"], again["damage_mask_sha256"]) == (RESTORED, 0, None)
    assert not mask.exists()


def test_the_mask_is_there_before_the_sidecar_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model: Restore
) -> None:
    find_white(monkeypatch)
    save(tmp_path, scratch_mask(40, 30))
    settings = archive_settings(tmp_path, colour_fix="none", repair_damage="fill")
    steps: list[str] = []
    real, new = Store.publish, Store.create

    def publish(store: Store, path: str, data: bytes) -> None:
        real(store, path, data)
        steps.append(path)

    def create(store: Store, path: str, data: bytes) -> bool:
        steps.append(path)
        return new(store, path, data)

    monkeypatch.setattr(Store, "publish", publish)
    monkeypatch.setattr(Store, "create", create)
    published(settings, model)
    assert steps == ["a.png", damage_path("a.png"), sidecar_path("a.png")]
