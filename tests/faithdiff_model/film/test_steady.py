"""Steadiness: what a frame depends on, what is held, and that `flow` flickers less than `none` without being blurrier."""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np
import pytest
from reels import photograph
from steadiness import sharpness, warping_error

from faithdiff_model.build import build_restorer
from faithdiff_model.degradation.clip import age_clip, moving_clip, step
from faithdiff_model.film.fusion import REACH, fuse
from faithdiff_model.film.motion import Motion
from faithdiff_model.film.steady import AS_IT_IS, ShotFrame, Steady, restore_shot
from faithdiff_model.image.windows import Rect
from faithdiff_model.options import RestoreOptions
from faithdiff_model.presets import DEFAULTS
from faithdiff_model.restorer import Restorer
from faithdiff_model.sampling.noise import position_noise
from faithdiff_model.spec import ModelSpec


@pytest.fixture(scope="module")
def nano() -> Restorer:
    return build_restorer(ModelSpec(preset="nano", device="cpu"), DEFAULTS["nano"])


@pytest.fixture(scope="module")
def tiny() -> Restorer:
    return build_restorer(ModelSpec(preset="tiny", device="cpu"), RestoreOptions(steps=1, guidance_scale=1.0))


def _frames(count: int, size: tuple[int, int] = (24, 32)) -> list[ShotFrame]:
    clip = moving_clip(photograph("astronaut.png"), count, (2 * size[0], 2 * size[1]), "pan", seed=1)
    return [ShotFrame(number=number, lq=lq) for number, lq in enumerate(age_clip(clip.frames, 2))]


def _restore(restorer: Restorer, frames: list[ShotFrame], steady: Steady, **changes: int) -> list[np.ndarray]:
    return list(restore_shot(restorer, frames, steady=steady, prompt="", **{"seed": 0, "upscale": 1, **changes}))


def test_flow_is_steadier_than_none_and_no_blurrier(nano: Restorer) -> None:
    """The claim of tests/benchmarks/results/steady-nano in small."""
    clip = moving_clip(photograph("astronaut.png"), 5, (160, 160), "hand-held", seed=3)
    lq = age_clip(clip.frames, 4)
    frames = [ShotFrame(number=number, lq=frame) for number, frame in enumerate(lq)]
    made = {way: _restore(nano, frames, way, upscale=2) for way in ("none", "flow")}
    errors = {way: warping_error(result, lambda number: step(clip, number)) for way, result in made.items()}
    assert errors["flow"] < 0.45 * errors["none"]
    assert sharpness(made["flow"], clip.frames) > 0.98 * sharpness(made["none"], clip.frames)
    far = {way: float(np.mean((np.array(result) - clip.frames) ** 2)) for way, result in made.items()}
    assert far["flow"] < far["none"]


@pytest.mark.parametrize("steady", ["none", "shared-noise", "flow"])
def test_one_frame_in_one_frame_out(tiny: Restorer, steady: Steady) -> None:
    for count in (1, 2, 6):
        results = _restore(tiny, _frames(count), steady, upscale=2)
        assert [result.shape for result in results] == [(48, 64, 3)] * count
        assert all(result.dtype == np.float32 and result.min() >= 0 and result.max() <= 1 for result in results)


def test_none_restores_each_frame_alone_and_no_two_alike(tiny: Restorer) -> None:
    frames = _frames(4)
    together = _restore(tiny, frames, "none")
    assert np.array_equal(together[2], _restore(tiny, frames[2:3], "none")[0])
    same = [ShotFrame(number=number, lq=frames[0].lq) for number in (0, 1)]
    one, other = _restore(tiny, same, "none")
    assert not np.array_equal(one, other)
    one, other = _restore(tiny, same, "shared-noise")
    assert np.array_equal(one, other)


@pytest.mark.parametrize("steady", ["none", "shared-noise", "flow"])
def test_a_batch_changes_nothing(tiny: Restorer, steady: Steady) -> None:
    frames = _frames(5)
    one, three = (_restore(tiny, frames, steady, batch=batch) for batch in (1, 3))
    assert all(np.array_equal(*pair) for pair in zip(one, three, strict=True))


def test_a_still_frame_stays_itself(tiny: Restorer) -> None:
    """Nothing moves, nothing differs: joining equal frames gives the frame."""
    frames = [ShotFrame(number=number, lq=_frames(1, (48, 64))[0].lq) for number in range(5)]
    results = _restore(tiny, frames, "flow")
    assert max(float(np.abs(result - results[0]).max()) for result in results) < 1e-3


def test_frames_that_do_not_belong_together_stay_apart() -> None:
    """A cut that nobody saw: no ghost of the one picture is in the other."""
    first, second = (np.full((64, 64, 3), value, np.float32) for value in (0.2, 0.8))
    frames = [first, first, second, second]
    zero, sure = np.zeros((64, 64, 2), np.float32), np.ones((64, 64), bool)
    motions = [Motion(zero, zero, sure, sure)] * 3
    joined = [fuse(frames, motions, number) for number in range(4)]
    assert all(np.allclose(one, other, atol=1e-3) for one, other in zip(joined, frames, strict=True))


def test_grain_is_averaged_where_the_motion_is_sure_and_nowhere_else() -> None:
    rng = np.random.default_rng(0)
    frames = [np.clip(0.5 + rng.normal(0, 0.05, (64, 64, 3)), 0, 1).astype(np.float32) for _ in range(5)]
    zero = np.zeros((64, 64, 2), np.float32)
    sure = np.zeros((64, 64), bool)
    sure[:, :32] = True
    result = fuse(frames, [Motion(zero, zero, sure, sure)] * 4, 2)
    assert result[:, :28].std() < 0.55 * frames[2][:, :28].std()
    assert np.array_equal(result[:, 36:], frames[2][:, 36:])


def test_what_ways_miss_does_not_blur() -> None:
    """A pan of 2 pixels a frame whose motion is wrong by 0.3 pixels, now this way and now that."""
    rng = np.random.default_rng(0)
    texture = cv2.GaussianBlur(rng.random((96, 128, 3)).astype(np.float32), (0, 0), 1.2)
    texture = (texture - texture.min()) / np.ptp(texture)
    frames = [np.ascontiguousarray(texture[:, 2 * n : 2 * n + 96]) for n in range(5)]
    sure = np.ones((96, 96), bool)
    steps = [
        np.full((96, 96, 2), 0, np.float32) + np.array([-2 + miss, miss], np.float32) for miss in (0.3, -0.3, 0.3, -0.3)
    ]
    motions = [Motion(step, -step, sure, sure) for step in steps]
    inner = (slice(8, -8), slice(8, -8))
    assert sharpness([fuse(frames, motions, 2)[inner]], [frames[2][inner]]) == pytest.approx(1, abs=0.015)


def test_few_frames_are_held(tiny: Restorer) -> None:
    taken = 0

    def frames() -> Iterator[ShotFrame]:
        nonlocal taken
        for frame in _frames(12):
            taken += 1
            yield frame

    for number, _ in enumerate(restore_shot(tiny, frames(), steady="flow", prompt="", seed=0, upscale=1)):
        assert taken <= number + 1 + REACH


def test_grey_film_stays_grey_and_16_bits_are_taken(tiny: Restorer) -> None:
    frames = [ShotFrame(number=f.number, lq=(f.lq[..., :1].astype(np.uint16) * 257)) for f in _frames(3, (32, 40))]
    assert [result.shape for result in _restore(tiny, frames, "flow")] == [(32, 40, 1)] * 3


def test_given_noise_and_colour(tiny: Restorer) -> None:
    """The seed's own noise given is the seed; another is not. Colour reaches the result by the colour fix."""
    image = _frames(1, (40, 48))[0].lq
    shape = tiny.latent_shape(40, 48)
    own = position_noise(7, Rect(0, 0, *shape), tiny.latent_channels)
    (plain,) = tiny.restore([image], [""], [7])
    assert np.array_equal(tiny.restore([image], [""], [0], noises=[own])[0], plain)
    assert not np.array_equal(tiny.restore([image], [""], [7], noises=[own[:, ::-1]])[0], plain)
    assert np.array_equal(tiny.restore([image], [""], [7], colours=[AS_IT_IS])[0], plain)
    darker = ((0.5, 0.5, 0.5), (0.0, 0.0, 0.0))
    (dark,) = tiny.restore([image], [""], [7], colours=[darker])
    assert dark.mean() == pytest.approx(image.mean() / 2, rel=0.1)
    with pytest.raises(ValueError, match="noise of shape"):
        tiny.restore([image], [""], [7], noises=[own[:, 1:]])
