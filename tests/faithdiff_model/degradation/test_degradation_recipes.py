"""Recipes by name: what they give back, what tone and damage each change, and that arrays do without torch."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_degradation_contract import random_image

from faithdiff_model.degradation.archive.recipe import ArchiveSettings, degrade_archive
from faithdiff_model.degradation.archive.rescan import rescan
from faithdiff_model.degradation.recipes import DEGRADATIONS, degrade
from faithdiff_model.degradation.settings import LEVELS
from faithdiff_model.degradation.two_pass import degrade_two_pass
from jobs.samples.archive import original

SCALES = {"level-I": (4,), "level-II": (4,), "level-III": (4,), "archive": (2,)}
SCALES |= {"archive-heavy": (2,), "archive-worn": (2,), "undamaged": (1, 2, 4)}
_PERFECT_SCAN = {"scan_blur": (0.1, 0.1), "scan_noise": (0, 0), "scan_halo": (0, 0), "scan_quality": (100, 100)}
_NO_DAMAGE = {"halftone": 0, "grain": 0, "dust": 0, "scratches": 0, "crease": 0}


@pytest.mark.parametrize("name", DEGRADATIONS)
@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**32), height=st.integers(16, 80), width=st.integers(16, 80))
def test_contract(name: str, seed: int, height: int, width: int) -> None:
    image = random_image(seed, height, width)
    before = image.copy()
    degraded = degrade(name, image, seed)
    assert degraded.original is image
    assert degraded.hq.shape == image.shape
    assert degraded.lq.shape in [(-(-height // scale), -(-width // scale), 3) for scale in SCALES[name]]
    for part in (degraded.hq, degraded.lq):
        assert part.dtype == np.float32
        assert 0 <= part.min() <= part.max() <= 1
    np.testing.assert_array_equal(image, before)
    again = degrade(name, image, seed)
    np.testing.assert_array_equal(degraded.lq, again.lq)
    np.testing.assert_array_equal(degraded.hq, again.hq)


def test_levels_are_the_two_pass_degradation() -> None:
    image = original("chelsea.png")[:96, :96]
    for level, chosen in LEVELS.items():
        degraded = degrade(f"level-{level}", image, 5)
        assert degraded.hq is image
        np.testing.assert_array_equal(degraded.lq, degrade_two_pass(image, chosen, np.random.default_rng(5)))


def test_an_unknown_name_lists_the_choices() -> None:
    with pytest.raises(ValueError, match=r"'level-IV'.*level-I, level-II, level-III, archive"):
        degrade("level-IV", random_image(0, 32, 32), 0)


def test_another_image_is_refused() -> None:
    with pytest.raises(ValueError, match="give float32"):
        degrade("archive", np.zeros((32, 32, 3), np.uint8), 0)


@pytest.mark.parametrize("scale", [1, 2, 4])
def test_without_damage_the_scan_is_the_toned_picture(scale: int) -> None:
    """So the tone is the same in both, and damage is all that sets them apart."""
    image = original("astronaut.png")[:256, :256]
    chosen = ArchiveSettings(scale=scale, **_NO_DAMAGE, **_PERFECT_SCAN)
    changed = 0
    for seed in range(12):
        degraded = degrade_archive(image, chosen, np.random.default_rng(seed))
        small = cv2.resize(degraded.hq, (256 // scale, 256 // scale), interpolation=cv2.INTER_AREA)
        assert np.abs(degraded.lq - small).mean() < 0.012  # the last JPEG
        changed += np.abs(degraded.hq - image).mean() > 0.01
    assert changed >= 8


def test_without_tone_the_reference_is_the_original() -> None:
    image = original("coffee.png")[:160, :160]
    chosen = ArchiveSettings(grey=0, sepia=0, cast=0, fade=0)
    for seed in range(6):
        degraded = degrade_archive(image, chosen, np.random.default_rng(seed))
        np.testing.assert_array_equal(degraded.hq, image)
        small = cv2.resize(image, (80, 80), interpolation=cv2.INTER_AREA)
        assert np.abs(degraded.lq - small).mean() > 0.004


def test_undamaged_scans_are_good_scans() -> None:
    image = original("coffee.png")[:160, :160]
    sizes, exact, toned = [], 0, 0
    for seed in range(120):
        degraded = degrade("undamaged", image, seed)
        small = cv2.resize(degraded.hq, degraded.lq.shape[1::-1], interpolation=cv2.INTER_AREA)
        assert np.abs(degraded.lq - small).mean() < 0.02  # a JPEG of high quality
        assert not degraded.damage
        sizes.append(degraded.lq.shape[0])
        exact += np.array_equal(degraded.lq, degraded.hq)
        toned += not np.array_equal(degraded.hq, image)
    assert set(sizes) == {160, 80, 40}
    assert 0.3 < sizes.count(160) / 120 < 0.6
    assert 0.15 < exact / 120 < 0.4
    assert 0.2 < toned / 120 < 0.6


def test_heavy_handling_marks_more() -> None:
    image = original("astronaut.png")[:256, :256]
    marked = {
        name: np.mean([degrade(name, image, seed).damage_mask().mean() for seed in range(12)])
        for name in ("archive", "archive-heavy", "archive-worn")
    }
    assert marked["archive-heavy"] > 2 * marked["archive"]
    assert marked["archive-worn"] > marked["archive"]


def test_the_mask_is_where_marks_can_be_seen() -> None:
    """With a perfect scan of its own size, what differs from the reference is damage, and damage alone."""
    image = original("coffee.png")[:160, :160]
    clean = {"halftone": 0, "grain": 0, "scale": 1, "crease": 1.0, **_PERFECT_SCAN}
    degraded = degrade_archive(image, ArchiveSettings(**clean, dust=1, scratches=1), np.random.default_rng(3))
    assert set(degraded.damage) <= {"crease", "scratches", "dust"}
    mask = degraded.damage_mask()
    assert 0.001 < mask.mean() < 0.2
    difference = np.abs(degraded.lq - degraded.hq).max(axis=2)
    assert difference[mask].mean() > 8 * difference[~mask].mean()
    assert all(change.dtype == np.float32 and change.max() <= 1 for change in degraded.damage.values())


def test_damage_is_not_in_the_reference() -> None:
    """The same seed with all damage gives a scan that on the average has the reference's colours."""
    image = original("chelsea.png")[:200, :200]
    chosen = ArchiveSettings(halftone=0.3, grain=1, dust=1, scratches=1, scan_halo=(0, 0))
    for seed in range(20):
        degraded = degrade_archive(image, chosen, np.random.default_rng(seed))
        np.testing.assert_allclose(degraded.lq.mean(axis=(0, 1)), degraded.hq.mean(axis=(0, 1)), atol=0.03)


def test_kinds_of_print_come_as_often_as_asked() -> None:
    image = original("astronaut.png")[100:116, 100:116]
    grey = sepia = 0
    for seed in range(600):
        hq = degrade_archive(image, ArchiveSettings(mirroring=0), np.random.default_rng(seed)).hq
        spread = hq.reshape(-1, 3) - hq.reshape(-1, 3).mean(axis=1, keepdims=True)
        grey += np.abs(spread).max() < 1e-5
        silver = cv2.cvtColor(hq, cv2.COLOR_RGB2GRAY).ravel()
        fit = np.polyfit(silver, hq.reshape(-1, 3), 1)
        is_toned = np.abs(np.outer(silver, fit[0]) + fit[1] - hq.reshape(-1, 3)).max() < 1e-4
        sepia += is_toned and np.abs(spread).max() >= 1e-5
    assert grey / 600 == pytest.approx(0.3, abs=0.06)
    assert sepia / 600 == pytest.approx(0.25, abs=0.06)


def test_rescan_makes_small_soft_and_sharpened() -> None:
    step = np.zeros((65, 64, 3), np.float32) + 0.25
    step[:, 32:] = 0.75
    rng = np.random.default_rng(0)
    plain = rescan(step, rng, 2, 100, blur=1.0, noise=0, halo=0)
    assert plain.shape == (33, 32, 3)
    assert plain.max() < 0.77
    assert rescan(step, rng, 2, 100, blur=1.0, noise=0, halo=1).max() > 0.78  # an edge that overshoots
    edge = plain[16, :, 0]
    assert ((edge > 0.28) & (edge < 0.72)).sum() >= 2
    flat = np.full((200, 200, 3), 0.5, np.float32)
    noisy = rescan(flat, rng, 1, 100, noise=4, halo=0)
    assert noisy.std() * 255 == pytest.approx(4, rel=0.5)  # chroma is halved by the JPEG, the rest is there


def test_arrays_do_without_torch() -> None:
    code = "import sys, faithdiff_model.degradation.recipes as r; print('torch' in sys.modules, 'cv2' in sys.modules)"
    root = Path(__file__).parents[3]
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=root)
    assert done.stdout.split() == ["False", "True"]
