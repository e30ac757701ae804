"""Tone curves never clip, never turn round, and can be undone."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from faithdiff_model.image.tone_curve import HIGHEST_SLOPE, KNOTS, LEVELS, LOWEST_SLOPE, ToneCurve, values_at

DEPTHS = (np.uint8, np.uint16)


def random_curve(seed: int, channels: int) -> ToneCurve:
    """Slopes from bound to bound, as uneven as may be, whose means are 1."""
    rng = np.random.default_rng(seed)
    rows = np.exp(rng.normal(0, rng.uniform(0, 3), (channels, KNOTS)))
    weights = np.ones(KNOTS)
    weights[[0, -1]] = 0.5
    weights /= KNOTS - 1
    rows = LOWEST_SLOPE + (1 - LOWEST_SLOPE) * rows / (rows @ weights)[:, None]
    room = (HIGHEST_SLOPE - 1) / np.maximum(rows.max(1) - 1, HIGHEST_SLOPE - 1)
    return ToneCurve.of(1 + (rows - 1) * room[:, None])


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    channels=st.integers(1, 4),
    source=st.sampled_from(DEPTHS),
    to=st.sampled_from(DEPTHS),
)
def test_nothing_is_clipped_and_no_order_changes(seed: int, channels: int, source: Any, to: Any) -> None:
    """Every level of the source once, in each channel."""
    curve = random_curve(seed, 1 if channels < 3 else 3)
    levels = np.arange(np.iinfo(source).max + 1, dtype=source)
    result = curve.apply(np.repeat(levels[None, :, None], channels, axis=2), np.dtype(to))
    assert result.dtype == to
    plain = ToneCurve.identity(len(curve.slopes)).apply(levels[None, :, None].repeat(channels, 2), np.dtype(to))
    top = np.iinfo(to).max
    for channel in range(channels):
        values = result[0, :, channel].astype(np.int64)
        assert (np.diff(values) >= 0).all()
        assert set(np.flatnonzero((values == 0) | (values == top))) <= set(
            np.flatnonzero((plain[0, :, channel] == 0) | (plain[0, :, channel] == top))
        )
        if source == np.uint8 and to == np.uint16:
            assert np.diff(values).min() >= 24  # a slope of 0.1 is 25.7 of 65,536 levels
    if channels in (2, 4):
        assert np.array_equal(result[..., -1], plain[..., -1])


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_slopes_stay_within_their_bounds_between_the_knots(seed: int) -> None:
    (slopes,) = random_curve(seed, 1).slopes
    fine = np.linspace(0, 1, 4097)
    values = values_at(np.array(slopes), fine)
    assert (values[0], values[-1]) == (0, pytest.approx(1, abs=1e-12))
    found = np.diff(values) * 4096
    assert found.min() >= LOWEST_SLOPE - 2e-3
    assert found.max() <= HIGHEST_SLOPE + 2e-3


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_a_curve_can_be_undone_from_what_is_written_down(seed: int) -> None:
    curve = random_curve(seed, 3)
    scan = np.random.default_rng(seed).integers(0, 65536, (16, 16, 3), np.uint16)
    scan[0, 0], scan[0, 1] = 0, 65535
    written = ToneCurve.from_json(curve.to_json())
    assert written == curve
    back = written.undo(curve.apply(scan, np.dtype(np.uint16)))
    # Half a level of the result is up to five of the source, and near the ends a level was kept from clipping.
    assert np.abs(back.astype(int) - scan).max() <= 16


def test_the_identity_changes_nothing() -> None:
    scan = np.arange(65536, dtype=np.uint16).reshape(256, 256, 1)
    assert np.array_equal(ToneCurve.identity(1).apply(scan, np.dtype(np.uint16)), scan)
    assert ToneCurve.identity(3).is_identity
    assert not random_curve(1, 3).is_identity


def test_values_are_those_of_an_integral() -> None:
    (slopes,) = random_curve(3, 1).slopes
    fine = np.linspace(0, 1, 1 << 16)
    slope = np.interp(fine, LEVELS, slopes)
    summed = np.concatenate([[0], np.cumsum((slope[1:] + slope[:-1]) / 2)]) / (len(fine) - 1)
    np.testing.assert_allclose(values_at(np.array(slopes), fine), summed / summed[-1], atol=1e-6)


@pytest.mark.parametrize(
    "slopes",
    [
        ((1.0,) * KNOTS,) * 2,
        ((1.0,) * (KNOTS - 1),),
        ((1.1,) * KNOTS,),
        ((0.0, 2.0) * 8 + (0.0,),),
        ((*(0.8,) * 8, 4.2, *(0.8,) * 8),),
    ],
)
def test_what_is_no_curve_is_refused(slopes: tuple[tuple[float, ...], ...]) -> None:
    with pytest.raises(ValueError, match="tone curve"):
        ToneCurve(slopes)
    with pytest.raises(ValueError, match="tone curve"):
        ToneCurve.from_json(json.dumps({"slopes": slopes}))


def test_other_json_is_refused() -> None:
    for text in ("[]", "{}", '{"slopes": 3}'):
        with pytest.raises(ValueError, match="no tone curve"):
            ToneCurve.from_json(text)


def test_a_curve_of_another_number_of_channels_is_refused() -> None:
    with pytest.raises(ValueError, match="does not fit"):
        ToneCurve.identity(1).apply(np.zeros((2, 2, 3), np.uint8), np.dtype(np.uint8))
