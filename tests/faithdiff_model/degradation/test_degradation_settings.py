"""The three levels are what is documented, in order in every range; nonsense is refused at construction."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, replace
from typing import Any

import pytest

from faithdiff_model.degradation.archive.recipe import ArchiveSettings
from faithdiff_model.degradation.settings import LEVELS, PassSettings, TwoPassSettings

PASSES = ("first", "second")


def test_level_ii_is_the_training_set_of_the_paper() -> None:
    """Golden README, fact 11."""
    assert LEVELS["II"] == TwoPassSettings(
        scale=4,
        final_sinc_probability=0.8,
        first=PassSettings(
            blur_probability=1.0,
            kernel_sides=(7, 21),
            kernel_weights=(0.45, 0.25, 0.12, 0.03, 0.12, 0.03),
            sigma=(0.2, 3),
            beta_generalised=(0.5, 4),
            beta_plateau=(1, 2),
            sinc_probability=0.1,
            resize_weights=(0.2, 0.7, 0.1),
            resize=(0.3, 1.5),
            gaussian_probability=0.5,
            gaussian_sigma=(1, 15),
            poisson_scale=(0.05, 2),
            grey_probability=0.4,
            jpeg_quality=(60, 95),
        ),
        second=PassSettings(
            blur_probability=0.5,
            kernel_sides=(7, 21),
            kernel_weights=(0.45, 0.25, 0.12, 0.03, 0.12, 0.03),
            sigma=(0.2, 1.5),
            beta_generalised=(0.5, 4),
            beta_plateau=(1, 2),
            sinc_probability=0.1,
            resize_weights=(0.3, 0.4, 0.3),
            resize=(0.6, 1.2),
            gaussian_probability=0.5,
            gaussian_sigma=(1, 12),
            poisson_scale=(0.05, 1),
            grey_probability=0.4,
            jpeg_quality=(60, 100),
        ),
    )


@pytest.mark.parametrize("which", PASSES)
@pytest.mark.parametrize(("milder", "harsher"), [("I", "II"), ("II", "III")])
def test_levels_are_in_order(which: str, milder: str, harsher: str) -> None:
    mild: PassSettings = getattr(LEVELS[milder], which)
    harsh: PassSettings = getattr(LEVELS[harsher], which)
    for name in ("sigma", "gaussian_sigma", "poisson_scale"):
        assert getattr(mild, name)[0] <= getattr(harsh, name)[0]
        assert getattr(mild, name)[1] < getattr(harsh, name)[1]
    assert mild.resize[0] > harsh.resize[0]
    assert mild.resize[1] < harsh.resize[1]
    assert mild.jpeg_quality[0] > harsh.jpeg_quality[0]
    assert mild.jpeg_quality[1] >= harsh.jpeg_quality[1]
    ranges = ("sigma", "gaussian_sigma", "poisson_scale", "resize", "jpeg_quality")
    assert replace(mild, **{name: getattr(harsh, name) for name in ranges}) == harsh  # nothing else differs


@pytest.mark.parametrize(
    "change",
    [
        {"blur_probability": 1.1},
        {"sinc_probability": -0.1},
        {"gaussian_probability": 2},
        {"grey_probability": float("nan")},
        {"kernel_sides": (7, 23)},
        {"kernel_sides": (8, 21)},
        {"kernel_sides": (21, 7)},
        {"kernel_weights": (1.0,)},
        {"kernel_weights": (0.5, 0.5, 0.5, 0, 0, -0.5)},
        {"resize_weights": (0.5, 0.4, 0.2)},
        {"sigma": (0, 3)},
        {"beta_generalised": (0, 4)},
        {"beta_plateau": (1, 20)},
        {"resize": (0.01, 1.5)},
        {"resize": (0.3, 0.9)},
        {"gaussian_sigma": (10, 1)},
        {"poisson_scale": (0.05, 11)},
        {"jpeg_quality": (0, 95)},
        {"jpeg_quality": (60, 101)},
    ],
)
def test_a_pass_refuses_nonsense(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(change))):
        replace(LEVELS["II"].first, **change)


def test_two_passes_refuse_nonsense_and_are_frozen() -> None:
    for change in ({"scale": 0}, {"scale": 9}, {"final_sinc_probability": 1.5}):
        with pytest.raises(ValueError, match=next(iter(change))):
            replace(LEVELS["II"], **change)  # type: ignore[arg-type]
    with pytest.raises(FrozenInstanceError):
        LEVELS["II"].scale = 2  # type: ignore[misc]


@pytest.mark.parametrize(
    "change",
    [
        {"grey": 0.5, "sepia": 0.4, "cast": 0.2},
        {"dust": 1.2},
        {"crease": -1},
        {"scale": 3},
        {"fade_black": (0.0, 0.7)},
        {"halftone_pitch": (1, 4)},
        {"grain_size": (2, 1)},
        {"scan_quality": (0, 50)},
        {"scratches_density": (0, 500)},
    ],
)
def test_the_archive_refuses_nonsense(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(change))):
        ArchiveSettings(**change)
