"""The shipped tone estimator: fades go, what is undamaged stays, toned prints keep their hue, and nothing is blown out."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from skimage.color import deltaE_ciede2000, rgb2lab

from faithdiff_model.degradation.archive.fading import FADES, fade_print, print_of
from faithdiff_model.image.tone import (
    FEATURES,
    OUTPUTS,
    ToneEstimator,
    curve_slopes,
    features,
    is_single_hue,
    sample_colours,
)
from faithdiff_model.image.tone_curve import LEVELS, ToneCurve, values_at
from faithdiff_model.training.tone import curved
from jobs.samples.archive import original

# Photographs that the estimator was neither trained nor chosen on.
PHOTOS = ("astronaut.png", "coffee.png", "chelsea.png", "rocket.jpg")
UINT16 = np.dtype(np.uint16)


@pytest.fixture(scope="module")
def estimator() -> ToneEstimator:
    return ToneEstimator.load()


def scan_of(image: np.ndarray, dtype: Any = np.uint16) -> np.ndarray:
    return np.rint(image * np.iinfo(dtype).max).astype(dtype)


def restored(estimator: ToneEstimator, scan: np.ndarray) -> np.ndarray:
    return estimator.estimate(scan).apply(scan, UINT16) / 65535


def colour_error(first: np.ndarray, second: np.ndarray) -> float:
    return float(deltaE_ciede2000(rgb2lab(first), rgb2lab(second)).mean())


def errors(estimator: ToneEstimator, kind: str, what: str) -> np.ndarray:
    """Colour errors of faded and restored prints, [photographs, 2]."""
    found = []
    for number, name in enumerate(PHOTOS):
        rng = np.random.default_rng(number)
        before = print_of(original(name)[::2, ::2], kind, rng)
        after = fade_print(before, kind, what, rng)
        found.append((colour_error(after, before), colour_error(restored(estimator, scan_of(after)), before)))
    return np.array(found)


@pytest.mark.parametrize("kind", FADES)
def test_undamaged_photographs_are_nearly_untouched(estimator: ToneEstimator, kind: str) -> None:
    assert errors(estimator, kind, "none")[:, 1].max() < 1.0


@pytest.mark.parametrize("what", ["cyan", "magenta", "yellow", "mixed"])
def test_faded_colour_prints_get_closer(estimator: ToneEstimator, what: str) -> None:
    faded, result = errors(estimator, "colour", what).mean(0)
    assert result < 0.8 * faded


@pytest.mark.parametrize(("kind", "what"), [(kind, what) for kind, fades in FADES.items() for what in fades])
def test_no_print_gets_further_away(estimator: ToneEstimator, kind: str, what: str) -> None:
    faded, result = errors(estimator, kind, what).T
    assert (result <= faded + 0.5).all()


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_random_scans_keep_their_order_and_their_ends(estimator: ToneEstimator, channels: int, dtype: Any) -> None:
    rng = np.random.default_rng(channels)
    top = np.iinfo(dtype).max
    for _ in range(10):
        low, high = np.sort(rng.uniform(0, 1, 2))
        height, width = rng.integers(1, 90, 2)
        scan = rng.integers(int(low * top), int(high * top) + 1, (height, width, channels)).astype(dtype)
        curve = estimator.estimate(scan)
        assert len(curve.slopes) == (1 if channels < 3 else 3)
        result = curve.apply(scan, np.dtype(dtype))
        assert ((result == 0) | (result == top)).sum() <= ((scan == 0) | (scan == top)).sum()
        if channels in (2, 4):
            assert np.array_equal(result[..., -1], scan[..., -1])
        for channel in range(channels):
            order = np.argsort(scan[..., channel].ravel(), kind="stable")
            assert (np.diff(result[..., channel].ravel()[order].astype(int)) >= 0).all()


@pytest.mark.parametrize("name", PHOTOS)
def test_toned_prints_keep_their_hue(estimator: ToneEstimator, name: str) -> None:
    rng = np.random.default_rng(1)
    scan = scan_of(fade_print(print_of(original(name), "sepia", rng), "sepia", "contrast", rng))
    curve = estimator.estimate(scan)
    assert is_single_hue(sample_colours(scan))
    assert len(set(curve.slopes)) == 1
    assert not curve.is_identity
    result = curve.apply(scan, UINT16)
    brown = (result[..., 0] >= result[..., 1]) & (result[..., 1] >= result[..., 2])
    assert brown.mean() > 0.999  # red before green before blue, as in the scan


def test_grey_and_its_three_equal_channels_get_the_same_curve(estimator: ToneEstimator) -> None:
    rng = np.random.default_rng(2)
    scan = scan_of(fade_print(print_of(original("chelsea.png"), "grey", rng), "grey", "density", rng))
    assert set(estimator.estimate(scan).slopes) == set(estimator.estimate(scan[..., :1]).slopes)


def test_depth_and_alpha_change_no_curve(estimator: ToneEstimator) -> None:
    rng = np.random.default_rng(4)
    image = fade_print(original("coffee.png")[:200, :200], "colour", "magenta", rng)
    wide = np.array(estimator.estimate(scan_of(image)).slopes)
    narrow = np.array(estimator.estimate(scan_of(image, np.uint8)).slopes)
    np.testing.assert_allclose(wide, narrow, atol=0.1)
    hidden = np.concatenate([scan_of(image), scan_of(1 - image)])
    alpha = np.zeros((*hidden.shape[:2], 1), np.uint16)
    alpha[:200] = 65535
    covered = estimator.estimate(np.concatenate([hidden, alpha], axis=2))
    np.testing.assert_allclose(np.array(covered.slopes), wide, atol=0.6)  # half as many pixels of it are looked at
    nothing = np.concatenate([hidden, np.zeros_like(alpha)], axis=2)
    assert estimator.estimate(nothing).is_identity


@pytest.mark.parametrize("level", [0, 90, 255])
def test_one_colour_stays(estimator: ToneEstimator, level: int) -> None:
    assert estimator.estimate(np.full((40, 30, 3), level, np.uint8)).is_identity


def test_one_bit_stays_two_levels(estimator: ToneEstimator) -> None:
    scan = np.where(np.random.default_rng(0).random((64, 64, 1)) < 0.1, 0, 255).astype(np.uint8)
    assert np.array_equal(estimator.estimate(scan).apply(scan, np.dtype(np.uint8)), scan)


def test_colours_are_told_from_toned_prints() -> None:
    assert not any(is_single_hue(sample_colours(scan_of(original(name)))) for name in ("astronaut.png", "coffee.png"))


def test_features_are_as_many_as_the_network_takes() -> None:
    for size in (1, 2, 40):
        colours = sample_colours(np.random.default_rng(size).integers(0, 256, (size, size, 3), np.uint8))
        found = features(colours, is_single_hue(colours))
        assert found.shape == (FEATURES,)
        assert np.isfinite(found).all()


def test_training_and_use_have_the_same_curves() -> None:
    rng = np.random.default_rng(5)
    raw, single = rng.normal(0, 3, (6, OUTPUTS)), np.array([[0.0], [1.0]] * 3)
    ours = curve_slopes(raw, single, LEVELS, np)
    theirs = curve_slopes(torch.tensor(raw), torch.tensor(single), torch.tensor(LEVELS), torch)
    np.testing.assert_allclose(ours, theirs.numpy(), atol=1e-12)
    assert all(ToneCurve.of(slopes) for slopes in ours)  # whatever the network says is a curve
    pixels = rng.random((6, 50, 3))
    applied = curved(theirs, torch.tensor(pixels)).numpy()
    for each in range(6):
        for channel in range(3):
            expected = values_at(ours[each, channel], pixels[each, :, channel])
            np.testing.assert_allclose(applied[each, :, channel], expected, atol=1e-9)


def test_another_file_is_refused(tmp_path: Any) -> None:
    from safetensors.numpy import save_file

    save_file({"layer0.weight": np.zeros((3, 4), np.float32)}, tmp_path / "other.safetensors")
    with pytest.raises(ValueError, match="no tone estimator"):
        ToneEstimator.load(tmp_path / "other.safetensors")
