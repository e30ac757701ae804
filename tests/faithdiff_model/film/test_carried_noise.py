"""Noise carried along motion: still standard normal, still white, and it goes where the picture goes."""

from __future__ import annotations

import numpy as np
import pytest

from faithdiff_model.film.carried_noise import CarriedNoise

SHAPE = (4, 40, 48)


def _flow(across: float, down: float, height: int = 80, width: int = 96) -> np.ndarray:
    return np.full((height, width, 2), (across, down), np.float32)


def _sure(height: int = 80, width: int = 96) -> np.ndarray:
    return np.ones((height, width), bool)


def _made(pixels_per_latent: int = 8, origin: tuple[float, float] = (0.0, 0.0)) -> CarriedNoise:
    return CarriedNoise(3, SHAPE, pixels_per_latent, origin)


def _is_standard_normal(noise: np.ndarray) -> None:
    assert noise.shape == SHAPE
    assert noise.dtype == np.float32
    assert abs(float(noise.mean())) < 0.05
    assert 0.95 < float(noise.std()) < 1.05
    flat = np.sort(noise.reshape(-1))
    assert -5.5 < flat[0] < -2.8 and 2.8 < flat[-1] < 5.5
    assert abs(np.mean(np.abs(noise) < 1) - 0.6827) < 0.02


@pytest.mark.parametrize("pixels_per_latent", [4, 8])
@pytest.mark.parametrize("motion", [(0.0, 0.0), (3.0, -1.0), (0.7, 0.4)])
def test_it_stays_standard_normal_and_white(pixels_per_latent: int, motion: tuple[float, float]) -> None:
    noise = _made(pixels_per_latent)
    for _ in range(6):
        noise.move(_flow(*motion), _sure())
    made = noise.current()
    _is_standard_normal(made)
    for one, other in ((made[:, :, 1:], made[:, :, :-1]), (made[:, 1:], made[:, :-1])):
        assert abs(float((one * other).mean())) < 0.08


def test_a_still_picture_keeps_its_noise() -> None:
    noise = _made()
    first = noise.current()
    noise.move(_flow(0, 0), _sure())
    assert np.array_equal(noise.current(), first)


def test_it_goes_where_the_picture_goes() -> None:
    """The picture is 320 x 384 and the flow of a quarter of it: a latent pixel is two of the flow's."""
    noise = _made()
    first = noise.current()
    noise.move(
        _flow(-2.0, 0.0), _sure()
    )  # from the next frame back to this one: two of the flow's pixels, one latent one
    moved = noise.current()
    assert np.array_equal(moved[:, :, 1:], first[:, :, :-1])
    noise.move(_flow(0.0, 2.0), _sure())
    assert np.array_equal(noise.current()[:, :-1, 1:], first[:, 1:, :-1])


def test_parts_of_a_latent_pixel_count() -> None:
    noise = _made()
    first = noise.current()
    likeness = []
    for _ in range(4):
        noise.move(_flow(-0.5, 0.0), _sure())
        likeness.append(float((noise.current() * first).mean()))
    assert likeness[0] == pytest.approx(0.75, abs=0.06)
    assert likeness[1] == pytest.approx(0.5, abs=0.06)
    assert likeness[3] == pytest.approx(0.0, abs=0.06)


def test_what_appears_has_noise_of_its_own() -> None:
    noise = _made()
    first = noise.current()
    sure = _sure()
    sure[:, 48:] = False
    noise.move(_flow(0, 0), sure)
    made = noise.current()
    assert np.array_equal(made[:, :, :23], first[:, :, :23])
    assert abs(float((made[:, :, 25:] * first[:, :, 25:]).mean())) < 0.06
    _is_standard_normal(made)


def test_growing_does_not_raise_the_variance() -> None:
    noise = _made()
    columns, rows = np.meshgrid(np.arange(96, dtype=np.float32), np.arange(80, dtype=np.float32))
    back = np.stack([(columns - 48) * -0.05, (rows - 40) * -0.05], axis=2)
    for _ in range(8):
        noise.move(back, _sure())
    assert 0.93 < float(noise.current().std()) < 1.07


def test_parts_of_a_shot_begin_with_nearly_the_same() -> None:
    """A pan of 6 latent pixels, carried, and begun at its end by what the survey says of the camera."""
    carried = _made()
    for _ in range(6):
        carried.move(_flow(2.0, 0.0), _sure())
    begun = _made(origin=(0.0, 48.0))
    likeness = float((carried.current()[:, :, :41] * begun.current()[:, :, :41]).mean())
    assert likeness == pytest.approx(1.0, abs=0.05)
    assert abs(float((carried.current() * _made().current()).mean())) < 0.06


def test_the_same_seed_is_the_same_noise() -> None:
    assert np.array_equal(_made().current(), _made().current())
    assert not np.array_equal(_made().current(), CarriedNoise(4, SHAPE, 8, (0.0, 0.0)).current())
