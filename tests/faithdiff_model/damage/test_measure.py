"""Thresholds are chosen by what they find, among those that mark little after every treatment that damages nothing."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from faithdiff_model.damage.detect import DamageDetector, Thresholds
from faithdiff_model.damage.measure import UNDAMAGED, choose_thresholds, measure_false, measure_kinds
from faithdiff_model.damage.network import DamageNetwork, DetectorConfig
from jobs.samples.archive import original

CANDIDATES = [Thresholds(sure=sure, part=part, smallest=2) for sure, part in ((140, 110), (150, 130), (170, 140))]


@pytest.fixture(scope="module")
def detector() -> DamageDetector:
    """A small network that says something of every pixel."""
    torch.manual_seed(1)
    network = DamageNetwork(DetectorConfig(widths=(8, 12), depths=(1, 1)))
    torch.nn.init.normal_(network.judge.weight)
    torch.nn.init.constant_(network.leave.bias, -1.5)
    return DamageDetector(network, Thresholds())


@pytest.fixture(scope="module")
def photos() -> list[np.ndarray]:
    return [np.ascontiguousarray(original("coffee.png")[40:104, 200:264])]


def test_the_most_misleading_treatment_decides(detector: DamageDetector, photos: list[np.ndarray]) -> None:
    _, rows = choose_thresholds(detector, photos, CANDIDATES, 1.0)
    for limits, row in zip(CANDIDATES, rows, strict=True):
        measured = DamageDetector(detector.network, limits)
        false = measure_false(measured, photos)
        assert set(false) == set(UNDAMAGED)
        assert row["false"] == pytest.approx(max(false.values()))
        assert row["recall"] == pytest.approx(
            np.mean([found.recall for found in measure_kinds(measured, photos).values()])
        )
    assert rows[0]["false"] > rows[-1]["false"] > 0


def test_the_best_of_those_that_may_be_is_chosen(detector: DamageDetector, photos: list[np.ndarray]) -> None:
    chosen, rows = choose_thresholds(detector, photos, CANDIDATES, 1.0)
    assert chosen == CANDIDATES[int(np.argmax([row["f1"] for row in rows]))]
    least = min(row["false"] for row in rows)
    chosen, _ = choose_thresholds(detector, photos, CANDIDATES, least)
    assert rows[CANDIDATES.index(chosen)]["false"] == least
    with pytest.raises(ValueError, match="train longer"):
        choose_thresholds(detector, photos, CANDIDATES, least / 2)
