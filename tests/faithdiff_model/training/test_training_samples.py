"""Samples: functions of seed and number, aligned, in range, and each seen by one process alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from archive_steps import save_photo
from training_runs import small_data

from faithdiff_model.degradation import recipes
from faithdiff_model.degradation.result import Degraded
from faithdiff_model.training.config import DataConfig
from faithdiff_model.training.samples import TrainingSamples, sample_loader


def batches(config: DataConfig, count: int, **options: Any) -> list[dict[str, Any]]:
    loader = iter(sample_loader(config, 7, **{"batch": 2, **options}))
    return [next(loader) for _ in range(count)]


def same(first: dict[str, Any], second: dict[str, Any]) -> bool:
    tensors = all(torch.equal(first[name], second[name]) for name in ("hq", "lq", "time_ids"))
    return tensors and first["prompt"] == second["prompt"]


@pytest.fixture
def degraded_by(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Give the name `made` to a degradation of the test's own."""

    def add(degrade: Any) -> dict[str, float]:
        monkeypatch.setitem(recipes.DEGRADATIONS, "made", degrade)
        return {"made": 1.0}

    return add


@pytest.mark.parametrize("degradation", ["level-I", "level-II", "level-III", "archive"])
def test_a_sample_is_two_images_of_one_size_in_range(hq: Path, degradation: str) -> None:
    samples = TrainingSamples(small_data(hq, degradations={degradation: 1.0}, shrink=1.1), 0)
    for number in range(3):
        sample = samples[number]
        for name in ("hq", "lq"):
            assert sample[name].shape == (3, 32, 32)
            assert sample[name].dtype == torch.float32
            assert -1 <= sample[name].min() < -0.05
            assert 0.05 < sample[name].max() <= 1
        height, width, row, column, *target = sample["time_ids"].tolist()
        assert (height, width, target) == (72, 80, [32, 32])
        assert 0 <= row <= 72 - 64
        assert 0 <= column <= 80 - 64


def test_without_degradation_lq_is_hq(hq: Path) -> None:
    sample = TrainingSamples(small_data(hq, degradations={}), 0)[5]
    assert torch.equal(sample["hq"], sample["lq"])


def test_lq_has_the_place_and_the_brightness_of_hq(hq: Path, degraded_by: Any) -> None:
    """A degradation that does nothing leaves nothing but the rounding of a file."""
    same_image = degraded_by(lambda image, _: Degraded(hq=image, lq=image, original=image))
    samples = TrainingSamples(small_data(hq, degradations=same_image, shrink=1.1), 0)
    for number in range(4):
        torch.testing.assert_close(samples[number]["lq"], samples[number]["hq"], rtol=0, atol=1.01 / 255)


def test_a_smaller_lq_image_is_enlarged_to_its_place(hq: Path, degraded_by: Any) -> None:
    halved = degraded_by(
        lambda image, _: Degraded(hq=image, lq=image.reshape(32, 2, 32, 2, 3).mean(axis=(1, 3)), original=image)
    )
    samples = TrainingSamples(small_data(hq, degradations=halved), 0)
    for number in range(4):
        sample = samples[number]
        assert sample["lq"].mean().item() == pytest.approx(sample["hq"].mean().item(), abs=0.02)
        assert np.corrcoef(sample["lq"].flatten(), sample["hq"].flatten())[0, 1] > 0.9


def test_a_degradation_may_change_the_hq_image(hq: Path, degraded_by: Any) -> None:
    """The archive recipe greys a photograph before it ages it, and wants the grey one back."""
    grey = degraded_by(lambda image, _: Degraded(hq=np.full_like(image, 0.25), lq=image, original=image))
    assert torch.equal(TrainingSamples(small_data(hq, degradations=grey), 0)[0]["hq"], torch.full((3, 32, 32), -0.5))


def test_degradations_are_drawn_by_their_weights(hq: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("often", 0.0), ("seldom", 1.0)):
        made = lambda image, _, value=value: Degraded(hq=image, lq=np.full_like(image, value), original=image)  # noqa: E731
        monkeypatch.setitem(recipes.DEGRADATIONS, name, made)
    samples = TrainingSamples(small_data(hq, degradations={"often": 3.0, "seldom": 1.0}), 0)
    drawn = [samples[number]["lq"].mean().item() for number in range(200)]
    assert set(drawn) == {-1.0, 1.0}
    assert drawn.count(1.0) == pytest.approx(50, abs=19)  # 3 deviations


def test_a_sample_is_a_function_of_seed_and_number(hq: Path) -> None:
    config = small_data(hq, shrink=1.1)
    first, again, other = TrainingSamples(config, 0), TrainingSamples(config, 0), TrainingSamples(config, 1)
    again[9]  # what was asked before does not matter
    assert same(first[4], again[4])
    assert not torch.equal(first[4]["hq"], other[4]["hq"])
    assert not torch.equal(first[4]["hq"], first[5]["hq"])


def test_crops_reach_every_photograph_and_every_corner(hq: Path) -> None:
    samples = TrainingSamples(small_data(hq, degradations={}), 0)
    places = np.array([samples[number]["time_ids"][2:4].tolist() for number in range(150)])
    assert places.min(axis=0).tolist() == [0, 0]
    assert places.max(axis=0).tolist() == [72 - 64, 80 - 64]


def test_shrinking_takes_in_more_of_a_photograph(tmp_path: Path) -> None:
    ramp = np.broadcast_to(np.linspace(0, 255, 160).astype(np.uint8)[None, :, None], (160, 160, 3))
    save_photo(tmp_path / "ramp.png", np.ascontiguousarray(ramp))
    for shrink, least, most in ((1.0, 31, 33), (2.5, 34, 80)):
        samples = TrainingSamples(small_data(tmp_path, degradations={}, shrink=shrink), 0)
        images = [samples[number]["hq"] for number in range(12)]
        widths = [(image.max() - image.min()).item() / 2 * 160 for image in images]
        assert least <= np.median(widths) <= most
        assert max(widths) <= 32 * shrink + 1


@pytest.mark.filterwarnings("ignore:This DataLoader will create")
@pytest.mark.parametrize("workers", [1, 2])
def test_workers_and_interruptions_change_nothing(hq: Path, workers: int) -> None:
    expected = batches(small_data(hq), 5)
    found = batches(small_data(hq, workers=workers), 3, first=2)
    assert all(same(*pair) for pair in zip(found, expected[2:], strict=True))


def test_processes_share_the_samples_without_overlap(hq: Path) -> None:
    """Two processes of two samples see, between them, what one of four sees."""
    alone = batches(small_data(hq), 3, batch=4, first=1)
    first, second = (batches(small_data(hq), 3, first=1, rank=rank, processes=2) for rank in (0, 1))
    for whole, one, two in zip(alone, first, second, strict=True):
        assert torch.equal(whole["hq"], torch.cat([one["hq"], two["hq"]]))
        assert torch.equal(whole["lq"], torch.cat([one["lq"], two["lq"]]))
