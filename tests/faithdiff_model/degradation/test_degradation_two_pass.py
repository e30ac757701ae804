"""The two-pass degradation: size, reproducibility, its order of steps, and that harsher levels lose more."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_degradation_contract import random_image

from faithdiff_model.degradation.blur import blur
from faithdiff_model.degradation.codec import jpeg
from faithdiff_model.degradation.draws import draw_two_pass
from faithdiff_model.degradation.settings import LEVELS, PassSettings, TwoPassSettings
from faithdiff_model.degradation.two_pass import degrade_two_pass
from jobs.samples.archive import original

PHOTOGRAPHS = ("astronaut.png", "chelsea.png", "coffee.png", "camera.png", "rocket.jpg")
_NOTHING = PassSettings(
    blur_probability=0,
    sigma=(1, 1),
    resize_weights=(0, 0, 1),
    resize=(1, 1),
    gaussian_sigma=(0, 0),
    poisson_scale=(0, 0),
    jpeg_quality=(100, 100),
)


def psnr(image: np.ndarray, small: np.ndarray) -> float:
    enlarged = cv2.resize(small, image.shape[1::-1], interpolation=cv2.INTER_CUBIC)
    return float(-10 * np.log10(np.mean((image - enlarged) ** 2)))


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    height=st.integers(16, 70),
    width=st.integers(16, 70),
    scale=st.sampled_from([1, 2, 3, 4]),
    level=st.sampled_from(sorted(LEVELS)),
)
def test_contract(seed: int, height: int, width: int, scale: int, level: str) -> None:
    image = random_image(seed, height, width)
    before = image.copy()
    chosen = replace(LEVELS[level], scale=scale)
    small = degrade_two_pass(image, chosen, np.random.default_rng(seed))
    assert small.shape == (-(-height // scale), -(-width // scale), 3)
    assert small.dtype == np.float32
    assert 0 <= small.min() <= small.max() <= 1
    np.testing.assert_array_equal(image, before)
    np.testing.assert_array_equal(small, degrade_two_pass(image, chosen, np.random.default_rng(seed)))


@pytest.mark.parametrize("name", PHOTOGRAPHS)
def test_harsher_levels_lose_more(name: str) -> None:
    image = original(name)[40:232, 40:232]
    means = [
        np.mean(
            [psnr(image, degrade_two_pass(image, LEVELS[level], np.random.default_rng(seed))) for seed in range(30)]
        )
        for level in ("I", "II", "III")
    ]
    assert means[0] > means[1] + 0.3
    assert means[1] > means[2] + 0.3


def test_both_orders_of_the_last_steps() -> None:
    """With all else off, what is left is the resize and the filter before the JPEG or after it."""
    image = original("chelsea.png")[:128, :128]
    chosen = TwoPassSettings(first=_NOTHING, second=replace(_NOTHING, jpeg_quality=(30, 30)), final_sinc_probability=1)
    seen = set()
    for seed in range(8):
        draw = draw_two_pass(chosen, np.random.default_rng(seed))
        assert draw.final_kernel is not None
        flags = {"area": cv2.INTER_AREA, "bilinear": cv2.INTER_LINEAR, "bicubic": cv2.INTER_CUBIC}
        # The second pass lands at the result's size already, so its resize is the one that acts.
        small = cv2.resize(jpeg(image, 100), (32, 32), interpolation=flags[draw.second.interpolation]).clip(0, 1)
        last = jpeg(blur(small, draw.final_kernel), 30) if draw.jpeg_last else blur(jpeg(small, 30), draw.final_kernel)
        np.testing.assert_array_equal(degrade_two_pass(image, chosen, np.random.default_rng(seed)), last)
        seen.add(draw.jpeg_last)
    assert seen == {False, True}


def test_draws_follow_the_settings() -> None:
    chosen = LEVELS["II"]
    draws = [draw_two_pass(chosen, np.random.default_rng(seed)) for seed in range(1500)]
    assert all(draw.first.kernel is not None for draw in draws)
    assert np.mean([draw.second.kernel is not None for draw in draws]) == pytest.approx(0.5, abs=0.05)
    assert np.mean([draw.final_kernel is not None for draw in draws]) == pytest.approx(0.8, abs=0.05)
    assert np.mean([draw.jpeg_last for draw in draws]) == pytest.approx(0.5, abs=0.05)
    for which, weights in (("first", (0.2, 0.7, 0.1)), ("second", (0.3, 0.4, 0.3))):
        passes = [getattr(draw, which) for draw in draws]
        pass_settings: PassSettings = getattr(chosen, which)
        factors = np.array([item.factor for item in passes])
        assert np.mean(factors > 1) == pytest.approx(weights[0], abs=0.05)
        assert np.mean(factors < 1) == pytest.approx(weights[1], abs=0.05)
        assert pass_settings.resize[0] <= factors.min() < pass_settings.resize[0] + 0.05
        assert pass_settings.resize[1] - 0.05 < factors.max() <= pass_settings.resize[1]
        assert {item.interpolation for item in passes} == {"area", "bilinear", "bicubic"}
        assert np.mean([item.gaussian for item in passes]) == pytest.approx(0.5, abs=0.05)
        assert np.mean([item.grey for item in passes]) == pytest.approx(0.4, abs=0.05)
        gaussian = [item.strength for item in passes if item.gaussian]
        poisson = [item.strength for item in passes if not item.gaussian]
        assert 1 <= min(gaussian) <= max(gaussian) <= pass_settings.gaussian_sigma[1]
        assert 0.05 <= min(poisson) <= max(poisson) <= pass_settings.poisson_scale[1]
        qualities = {item.quality for item in passes}
        assert (min(qualities), max(qualities)) == pass_settings.jpeg_quality


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((32, 32), np.float32),
        np.zeros((32, 32, 1), np.float32),
        np.zeros((32, 32, 3), np.uint8),
        np.zeros((15, 32, 3), np.float32),
    ],
)
def test_other_images_are_refused(image: np.ndarray) -> None:
    with pytest.raises(ValueError, match="give float32"):
        degrade_two_pass(image, LEVELS["II"], np.random.default_rng(0))
