"""Crops that mislead a detector: the most misleading are kept, none is damaged, and training draws from several folders."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from faithdiff_model.damage import hard_crops
from faithdiff_model.damage.crops import SIDE, Crops
from faithdiff_model.damage.hard_crops import mine_hard_crops
from faithdiff_model.damage.measure import UNDAMAGED
from jobs.samples.archive import original


@pytest.fixture(scope="module")
def photograph(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("photographs") / "photo.png"
    cv2.imwrite(str(path), (original("coffee.png")[:300, :320, ::-1] * 255).astype(np.uint8))
    return str(path)


@pytest.fixture(autouse=True)
def _few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("faithdiff_model.damage.crops.CHUNK", 2)
    monkeypatch.setattr(hard_crops, "_TRIES", 4)


def test_what_the_judge_marks_most_is_kept(photograph: str, tmp_path: Path) -> None:
    seen: list[float] = []

    def brightness(picture: np.ndarray) -> float:
        assert (picture.shape, picture.dtype) == ((SIDE, SIDE, 3), np.uint8)
        seen.append(float(picture.mean()))
        return seen[-1]

    mine_hard_crops([photograph], tmp_path, 2, brightness)
    kept = Crops(tmp_path)
    assert len(seen) == 8
    assert [crop[..., :3].mean() for crop in kept] == pytest.approx(sorted(seen, reverse=True)[:2])
    assert not any(crop[..., 3].any() for crop in kept)


def test_mining_goes_on_where_it_stopped(photograph: str, tmp_path: Path) -> None:
    mine_hard_crops([photograph], tmp_path, 4, lambda picture: float(picture.std()), seed=3)
    whole = np.stack([*Crops(tmp_path)])
    (tmp_path / "00001.npy").unlink()
    mine_hard_crops([photograph], tmp_path, 4, lambda picture: float(picture.std()), seed=3)
    np.testing.assert_array_equal(np.stack([*Crops(tmp_path)]), whole)


def test_every_treatment_is_drawn() -> None:
    assert set(hard_crops._OFTEN) == set(UNDAMAGED)


def test_folders_follow_one_another(photograph: str, tmp_path: Path) -> None:
    for seed, name in enumerate("ab"):
        mine_hard_crops([photograph], tmp_path / name, 2, lambda picture: float(picture.std()), seed=seed)
    both = Crops(tmp_path / "a", tmp_path / "b")
    assert len(both) == 4
    np.testing.assert_array_equal(both[3], Crops(tmp_path / "b")[1])
    with pytest.raises(ValueError, match="c: has no crops"):
        Crops(tmp_path / "a", tmp_path / "c")
