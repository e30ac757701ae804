"""Prints and their fades: the same for the same seed, a curve a channel, and only what a print of its kind can have."""

from __future__ import annotations

import numpy as np
import pytest

from faithdiff_model.degradation.archive.fading import FADES, fade_print, print_of
from jobs.samples.archive import original

CASES = [(kind, what) for kind, fades in FADES.items() for what in fades]


@pytest.mark.parametrize(("kind", "what"), CASES)
def test_each_channel_follows_a_rising_curve(kind: str, what: str) -> None:
    image = original("chelsea.png")[:64, :80]
    before = print_of(image, kind, np.random.default_rng(3))
    after = fade_print(before, kind, what, np.random.default_rng(4))
    assert after.dtype == np.float32
    assert (after.min() >= 0, after.max() <= 1) == (True, True)
    np.testing.assert_array_equal(after, fade_print(before, kind, what, np.random.default_rng(4)))
    assert what == "mixed" or np.array_equal(after, before) == (what == "none")  # which draws several, or none
    for channel in range(3):
        order = np.argsort(before[..., channel].ravel(), kind="stable")
        assert np.diff(after[..., channel].ravel()[order]).min() >= -1e-6


def test_prints_are_of_their_kind() -> None:
    image, rng = original("chelsea.png")[:32, :32], np.random.default_rng(1)
    assert np.array_equal(print_of(image, "colour", rng), image)
    assert np.ptp(print_of(image, "grey", rng), axis=2).max() == 0
    assert (np.diff(print_of(image, "sepia", rng), axis=2) <= 0).all()


def test_what_a_print_cannot_have_is_refused() -> None:
    image, rng = np.zeros((16, 16, 3), np.float32), np.random.default_rng(0)
    with pytest.raises(ValueError, match="choose one of colour"):
        print_of(image, "negative", rng)
    with pytest.raises(ValueError, match="a sepia print cannot have 'cyan'"):
        fade_print(image, "sepia", "cyan", rng)
