"""Scans whose damage is known: deterministic, undamaged where nothing is said, scenery is no damage, crops resume."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from faithdiff_model.damage.crops import SIDE, Crops, make_crops
from faithdiff_model.damage.network import FAMILIES
from faithdiff_model.damage.scans import FAMILY_OF, UNSURE, Scan, ScanSettings, make_scan, mark, target_of
from faithdiff_model.damage.scenery import SCENERY
from faithdiff_model.degradation.archive.wear import KINDS
from jobs.samples.archive import original


@pytest.fixture(scope="module")
def photo() -> np.ndarray:
    return np.ascontiguousarray(original("coffee.png")[100:300, 150:370])


def test_every_kind_has_a_family() -> None:
    assert set(FAMILY_OF) == {*KINDS, "dust", "scratches", "crease"}
    assert set(FAMILY_OF.values()) == set(FAMILIES)


def test_a_seed_names_a_scan(photo: np.ndarray) -> None:
    before = photo.copy()
    for seed in range(12):
        first, second = (make_scan(photo, ScanSettings(), np.random.default_rng(seed)) for _ in range(2))
        np.testing.assert_array_equal(first.image, second.image)
        np.testing.assert_array_equal(target_of(first), target_of(second))
        assert first.image.shape == photo.shape
        assert first.image.dtype == np.uint8
    np.testing.assert_array_equal(photo, before)
    assert not np.array_equal(first.image, make_scan(photo, ScanSettings(), np.random.default_rng(99)).image)


def test_undamaged_scans_have_no_target(photo: np.ndarray) -> None:
    settings = ScanSettings(damaged=0, scenery=1)
    for seed in range(10):
        scan = make_scan(photo, settings, np.random.default_rng(seed))
        assert scan.changes == {}
        assert not target_of(scan).any()


@pytest.mark.parametrize("kind", FAMILY_OF)
def test_the_change_of_a_kind_is_the_difference_that_it_makes(photo: np.ndarray, kind: str) -> None:
    marked, change = mark(photo, kind, np.random.default_rng(4), (1, 1))
    np.testing.assert_array_equal(change, np.abs(marked - photo).max(axis=2))


def test_targets_name_families_and_leave_out_what_is_faint_or_at_an_edge() -> None:
    change = np.zeros((60, 60), np.float32)
    change[15:18, 15:18] = 0.5
    change[45, 45] = 0.03
    image = np.full((60, 60, 3), 100, np.uint8)
    image[15:18, 15:18] = image[42:45, 15:18] = 227
    scan = Scan(image, {"dust": change, "mould": np.flipud(change)}, 0.0)
    target = target_of(scan)
    assert target[16, 16] == 1 << FAMILIES.index("specks")
    assert target[43, 16] == 1 << FAMILIES.index("areas")
    assert target[14, 15] == target[45, 45] == UNSURE
    assert target[2, 2] == 0
    noisy = target_of(scan._replace(noise=0.4))  # no mark of a half shows in noise of 0.4
    assert set(np.unique(noisy)) == {0, UNSURE}


def test_what_does_not_stand_out_is_unsure() -> None:
    """The same speck on a flat grey, and on a checkerboard that has its grey in every second square."""
    change = np.zeros((80, 80), np.float32)
    change[40:44, 40:44] = 0.3
    flat = np.full((80, 80, 3), 100, np.uint8)
    board = np.where(np.indices((80, 80)).sum(axis=0)[..., None] // 2 % 2, np.uint8(40), np.uint8(190)).repeat(
        3, axis=2
    )
    for image, expected in ((flat, 1), (board, UNSURE)):
        image[40:44, 40:44] = 160
        assert (target_of(Scan(image, {"dust": change}, 0.0))[41:43, 41:43] == expected).all()


@pytest.mark.parametrize("name", SCENERY)
def test_scenery_is_drawn_into_the_scene(photo: np.ndarray, name: str) -> None:
    changed = 0.0
    for seed in range(6):
        before = photo.copy()
        drawn, again = (SCENERY[name](photo, np.random.default_rng(seed)) for _ in range(2))
        np.testing.assert_array_equal(drawn, again)
        np.testing.assert_array_equal(photo, before)
        assert drawn.shape == photo.shape
        assert drawn.dtype == np.float32
        assert 0 <= drawn.min() <= drawn.max() <= 1
        changed += float((np.abs(drawn - photo) > 0.05).mean())
    assert changed > 0.01


@pytest.mark.parametrize("change", [{"damaged": 1.2}, {"scenery": -1}, {"closer": float("nan")}])
def test_settings_out_of_range_are_refused(change: dict) -> None:
    with pytest.raises(ValueError, match="choose 0 to 1"):
        ScanSettings(**change)


def test_crops_go_on_where_they_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("faithdiff_model.damage.crops.CHUNK", 3)
    photograph = tmp_path / "photo.png"
    cv2.imwrite(str(photograph), (original("coffee.png")[:300, :320, ::-1] * 255).astype(np.uint8))
    settings = ScanSettings()
    assert list(make_crops([str(photograph)], tmp_path / "a", 6, settings)) == [3, 6]
    written = (tmp_path / "a" / "00000.npy").stat().st_mtime_ns
    (tmp_path / "a" / "00001.npy").unlink()
    list(make_crops([str(photograph)], tmp_path / "a", 6, settings))
    assert (tmp_path / "a" / "00000.npy").stat().st_mtime_ns == written
    list(make_crops([str(photograph)], tmp_path / "b", 6, settings))
    first, second = Crops(tmp_path / "a"), Crops(tmp_path / "b")
    assert len(first) == 6
    assert first[5].shape == (SIDE, SIDE, 4)
    np.testing.assert_array_equal(np.stack([*first]), np.stack([*second]))
    with pytest.raises(ValueError, match="other photographs or settings"):
        list(make_crops([str(photograph)], tmp_path / "a", 6, replace(settings, damaged=0.1)))
    with pytest.raises(ValueError, match="has no crops"):
        Crops(tmp_path / "none")
