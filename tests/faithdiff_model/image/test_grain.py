"""Grain that was asked to stay stays, and marks do not come back with it."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch

from faithdiff_model.build import build_restorer
from faithdiff_model.image.grain import grain_of, with_grain
from faithdiff_model.image.resize import enlarge
from faithdiff_model.options import RestoreOptions
from faithdiff_model.presets import DEFAULTS
from faithdiff_model.restorer import Restorer
from faithdiff_model.spec import ModelSpec
from jobs.samples.archive import original


def clean_and_grainy(deviation: float = 0.03) -> tuple[np.ndarray, np.ndarray]:
    clean = cv2.GaussianBlur(original("coffee.png")[:200, :240], (0, 0), 2)
    grain = np.random.default_rng(0).normal(0, deviation, (200, 240, 1))
    return clean, (clean + grain).astype(np.float32)


def test_grain_comes_back_where_all_of_it_was_taken() -> None:
    clean, grainy = clean_and_grainy()
    back = grain_of(grainy, clean)
    gone = grainy - clean
    assert back.shape == gone.shape
    assert np.corrcoef(back.ravel(), gone.ravel())[0, 1] > 0.95
    assert 0.85 < back.std() / gone.std() < 1.05


def test_marks_and_tone_do_not() -> None:
    clean, grainy = clean_and_grainy(0.02)
    marked = grainy + np.float32(0.1)  # another tone
    cv2.line(marked, (20, 30), (200, 150), (1.0, 1.0, 1.0), 2)
    cv2.circle(marked, (60, 150), 4, (0.0, 0.0, 0.0), -1)
    back = grain_of(marked, clean)
    changed = np.abs(marked - grainy - 0.1).max(axis=2) > 0.2
    assert np.abs(marked - clean - 0.1)[changed].mean() > 0.3
    assert np.abs(back[changed]).max() < 0.09  # four times the grain around
    assert abs(back[~cv2.dilate(changed.astype(np.uint8), np.ones((15, 15))).astype(bool)].mean()) < 0.002


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [(1, 1), (2, 37), (40, 3)])
def test_any_size(size: tuple[int, int], channels: int) -> None:
    scan = np.random.default_rng(1).random((*size, channels), np.float32)
    assert grain_of(scan, scan * 0).shape == scan.shape
    assert not grain_of(scan, scan).any()


def test_a_result_is_clamped_before_its_grain() -> None:
    bright = torch.full((3, 40, 40), 1.2)
    assert torch.equal(with_grain(bright, torch.ones(40, 40, 3)), torch.ones(3, 40, 40))


def fine_energy(image: np.ndarray) -> float:
    return float((image - cv2.GaussianBlur(image, (0, 0), 2)).std())


def test_the_restorer_keeps_grain_when_asked() -> None:
    nano = build_restorer(ModelSpec(preset="nano", device="cpu"), DEFAULTS["nano"])
    keeping = nano.with_options(grain="keep")
    scan = enlarge(np.clip(clean_and_grainy(0.04)[1][:128, :160], 0, 1), 256, 320)
    reduced, kept = (each.restore([scan], [""], [0])[0] for each in (nano, keeping))
    assert fine_energy(reduced) < 0.6 * fine_energy(scan)
    assert fine_energy(kept) > 0.8 * fine_energy(scan)
    assert np.abs(kept.mean(axis=(0, 1)) - reduced.mean(axis=(0, 1))).max() < 0.002


def test_every_preset_keeps_it() -> None:
    tiny: Restorer = build_restorer(ModelSpec(preset="tiny"), RestoreOptions(steps=1, grain="keep"))
    scan = np.rint(np.clip(clean_and_grainy()[1][:64, :64], 0, 1) * 65535).astype(np.uint16)
    kept = tiny.restore([scan], [""], [0])[0]
    reduced = tiny.with_options(grain="reduce").restore([scan], [""], [0])[0]
    assert kept.dtype == np.uint16
    assert not np.array_equal(kept, reduced)


def test_another_word_is_refused() -> None:
    with pytest.raises(ValueError, match="grain is 'more': choose one of reduce, keep"):
        RestoreOptions(grain="more")  # type: ignore[arg-type]
