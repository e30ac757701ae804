"""Changes of tone keep what they should keep: order of luminance, blacks or whites, and where they reach."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from faithdiff_model.degradation.archive.tone import (
    DYE_LOSS,
    colour_cast,
    density_loss,
    fade,
    grey,
    sepia,
    silver_mirroring,
    yellow,
)
from faithdiff_model.image.resize import to_grey
from jobs.samples.archive import original


@settings(max_examples=10, deadline=None)
@given(amount=st.floats(0, 1), seed=st.integers(0, 1000))
def test_sepia_keeps_the_order_of_luminance(amount: float, seed: int) -> None:
    image = np.random.default_rng(seed).random((20, 20, 3), np.float32)
    order = np.argsort(to_grey(image).ravel())
    assert np.diff(to_grey(sepia(image, amount)).ravel()[order]).min() > -1e-6


def test_sepia_is_brown() -> None:
    brown = sepia(original("chelsea.png"))
    assert (brown[..., 0] > brown[..., 1]).all()
    assert (brown[..., 1] > brown[..., 2]).all()


def test_sepia_of_nothing_is_grey_and_grey_is_grey() -> None:
    image = original("chelsea.png")
    np.testing.assert_allclose(sepia(image, 0), grey(image), atol=1e-6)
    assert np.ptp(grey(image), axis=2).max() == 0
    np.testing.assert_allclose(grey(grey(image)), grey(image), atol=1e-6)


@settings(max_examples=20, deadline=None)
@given(black=st.floats(0, 0.5), white=st.floats(0.5, 1))
def test_fade_maps_black_and_white_to_where_they_were_asked(black: float, white: float) -> None:
    ramp = np.linspace(0, 1, 48, dtype=np.float32).reshape(4, 4, 3)
    faded = fade(ramp, black, white)
    assert faded.min() == pytest.approx(black, abs=1e-6)
    assert faded.max() == pytest.approx(white, abs=1e-6)
    np.testing.assert_allclose(np.diff(faded.ravel()), (white - black) / 47, atol=1e-6)


@pytest.mark.parametrize("dye", DYE_LOSS)
@settings(max_examples=10, deadline=None)
@given(amount=st.floats(0.05, 1))
def test_the_weakest_dye_leaves_its_complement(dye: str, amount: float) -> None:
    neutral = np.full((16, 16, 3), 0.4, np.float32)
    cast = colour_cast(neutral, amount, dye)[0, 0]
    assert np.argmax(cast) == list(DYE_LOSS).index(dye)
    assert (cast >= 0.4 - 1e-6).all()  # dyes only go
    assert cast.max() == pytest.approx(1 - 0.6 * (1 - amount), abs=1e-5)
    np.testing.assert_array_equal(colour_cast(np.ones_like(neutral), amount, dye), 1)  # paper stays paper


@pytest.mark.parametrize("dye", ["", *DYE_LOSS])
@settings(max_examples=10, deadline=None)
@given(amount=st.floats(0.05, 0.9))
def test_density_is_lost_more_in_shadows_than_in_lights(dye: str, amount: float) -> None:
    ramp = np.repeat(np.linspace(0, 1, 64, dtype=np.float32)[None, :, None], 3, axis=2)
    faded = density_loss(ramp, amount, dye)[0]
    lift = faded - ramp[0]
    assert (np.diff(faded, axis=0) > 0).all()
    assert lift.min() >= -1e-6
    assert (lift[0] > lift[62]).all()
    np.testing.assert_allclose(faded[-1], 1, atol=1e-6)  # paper stays paper
    if dye:
        assert np.argmax(faded[20]) == list(DYE_LOSS).index(dye)
    else:
        np.testing.assert_allclose(np.ptp(faded, axis=1), 0, atol=1e-6)


@settings(max_examples=10, deadline=None)
@given(amount=st.floats(0.05, 1))
def test_yellowed_paper_is_yellow_and_black_stays_black(amount: float) -> None:
    paper = yellow(np.ones((16, 16, 3), np.float32), amount)[0, 0]
    assert paper[0] > paper[1] > paper[2] >= 0.5 - 1e-6
    assert yellow(np.zeros((16, 16, 3), np.float32), amount).max() == 0


def test_no_amount_changes_nothing() -> None:
    image = original("chelsea.png")
    np.testing.assert_allclose(density_loss(image, 0), image, atol=1e-6)
    np.testing.assert_array_equal(yellow(image, 0), image)
    np.testing.assert_allclose(colour_cast(image, 0), image, atol=1e-6)
    np.testing.assert_array_equal(fade(image, 0, 1), image)
    np.testing.assert_array_equal(silver_mirroring(image, np.random.default_rng(0), 0), image)


def test_silver_mirroring_is_a_bluish_sheen_in_shadows_near_edges() -> None:
    dark, light = (np.full((200, 300, 3), value, np.float32) for value in (0.05, 0.9))
    change = silver_mirroring(dark, np.random.default_rng(3), 0.8) - dark
    centre, borders = change[80:120, 120:180], change.copy()
    borders[10:-10, 10:-10] = 0
    assert borders.max() > 4 * centre.max()
    assert change.min() >= 0
    marked = change.max(axis=2) > 0.05
    assert (change[marked][:, 2] > change[marked][:, 0]).all()
    assert np.abs(silver_mirroring(light, np.random.default_rng(3), 0.8) - light).max() < 0.02
