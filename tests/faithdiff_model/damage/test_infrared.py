"""The infrared channel: missing light is damage, leaks of the picture are not, and a silver picture says nothing."""

from __future__ import annotations

import numpy as np
import pytest

from faithdiff_model.damage.infrared import combine, infrared_evidence
from faithdiff_model.degradation.archive.fibres import specks
from faithdiff_model.degradation.archive.tone import grey
from jobs.samples.archive import original


@pytest.fixture(scope="module")
def luma() -> np.ndarray:
    return np.ascontiguousarray(grey(original("coffee.png"))[..., 0])


def channel(luma: np.ndarray, leak: float) -> tuple[np.ndarray, np.ndarray]:
    """An infrared channel of a colour film that is unevenly lit and noisy, with dust, and the dust's cover."""
    height, width = luma.shape
    dusty = specks(np.full((height, width, 3), 0.5, np.float32), np.random.default_rng(3), 60)
    lit = 0.75 + 0.15 * np.linspace(-1, 1, width, dtype=np.float32)
    passed = lit * (1 + leak * (luma - luma.mean())) * (1 - 0.7 * dusty.cover)
    noise = np.random.default_rng(0).normal(0, 0.006, luma.shape)
    return np.clip(passed + noise, 0, 1).astype(np.float32), dusty.cover


@pytest.mark.parametrize("leak", [0.0, 0.06])
def test_missing_light_is_dust(luma: np.ndarray, leak: float) -> None:
    infrared, cover = channel(luma, leak)
    evidence = infrared_evidence(infrared, luma)
    assert evidence is not None
    assert evidence.shape == luma.shape
    assert 0 <= evidence.min() <= evidence.max() <= 1
    assert (evidence[cover > 0.5] > 0.5).mean() > 0.97
    assert (evidence[cover == 0] > 0.3).mean() < 2e-4


def test_a_silver_picture_says_nothing(luma: np.ndarray) -> None:
    noise = np.random.default_rng(0).normal(0, 0.01, luma.shape).astype(np.float32)
    assert infrared_evidence(np.clip(0.1 + 0.8 * luma + noise, 0, 1), luma) is None


def test_a_dark_channel_says_nothing(luma: np.ndarray) -> None:
    assert infrared_evidence(np.zeros_like(luma), luma) is None


def test_an_even_channel_finds_nothing(luma: np.ndarray) -> None:
    evidence = infrared_evidence(np.full_like(luma, 0.8), luma)
    assert evidence is not None
    assert evidence.max() == 0


def test_evidence_adds_and_its_absence_makes_doubtful() -> None:
    probability = np.array([[0.0, 0.6, 0.6] + [0.6] * 4], np.float32)
    evidence = np.array([[1.0, 1.0, 0.0] + [0.0] * 4], np.float32)
    together = combine(probability, evidence)
    assert together[0, 0] == 1
    assert together[0, 2] == pytest.approx(0.6)  # beside a mark
    assert together[0, 5] == pytest.approx(0.45)
