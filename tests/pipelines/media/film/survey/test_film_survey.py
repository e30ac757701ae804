"""The survey of a film on reels of moving photographs with grain, flicker and weave: shots, path, colour, pre-steps."""

from __future__ import annotations

import json

import numpy as np
import pytest
from reels import NAMES, aged, pan, shot

from pipelines.media.film.survey.camera import apply_shift, weave
from pipelines.media.film.survey.flicker import apply_deflicker, deflicker_gains
from pipelines.media.film.survey.smooth import smooth
from pipelines.media.film.survey.survey import Survey, Surveyor, colour_steps


def survey(frames: list[np.ndarray]) -> Survey:
    surveyor = Surveyor()
    for frame in frames:
        surveyor.add(frame)
    return surveyor.finish()


def test_every_cut_of_a_reel_and_nothing_else() -> None:
    """Pans, grain, 15 % of flicker, and a flash that is no cut."""
    rng = np.random.default_rng(0)
    frames: list[np.ndarray] = []
    cuts = [0]
    for number in range(8):
        path = pan(int(rng.integers(14, 26)), tuple(rng.uniform(-2.5, 2.5, 2)))
        frames += shot(NAMES[number % len(NAMES)], path, start=tuple(rng.uniform(40, 80, 2)))
        cuts.append(len(frames))
    lq, _ = aged(frames, rng, flicker=0.15)
    flash = cuts[3] + 7
    lq[flash] = np.clip(lq[flash].astype(int) + 90, 0, 255).astype(np.uint8)
    found = survey(lq)
    assert [first for first, _ in found.shots] == cuts[:-1]
    assert sum(count for _, count in found.shots) == len(lq)
    for (first, count), key in zip(found.shots, found.keyframes, strict=True):
        assert first + count // 4 <= key <= first + count - count // 4
    assert flash not in found.keyframes or found.shots[3][0] <= flash


def test_one_shot_and_one_frame() -> None:
    lq, _ = aged(shot("coffee.png", pan(20, (0.5, 1.0))), np.random.default_rng(0), flicker=0.15)
    assert survey(lq).shots == ((0, 20),)
    single = survey(lq[:1])
    assert (single.shots, single.keyframes, single.camera.tolist()) == (((0, 1),), (0,), [[0.0, 0.0]])


@pytest.mark.parametrize("step", [(0.0, 3.0), (1.3, -2.2), (0.4, 0.3)])
def test_the_camera_s_path(step: tuple[float, float]) -> None:
    """Frames of 360 pixels are looked at with 320."""
    path = pan(16, step)
    lq, _ = aged(shot("astronaut.png", path, size=(270, 360)), np.random.default_rng(0), flicker=0.1)
    assert np.abs(survey(lq).camera - path).max() < 1.0  # over 15 steps
    assert np.abs(np.diff(survey(lq).camera, axis=0) - step).max() < 0.25


def test_colour_and_none() -> None:
    frames = shot("coffee.png", pan(6, (0, 1)))
    lq, _ = aged(frames, np.random.default_rng(0), grain=0.0)
    found = survey(lq)
    assert not found.monochrome
    assert np.abs(found.mean - [frame.mean(axis=(0, 1)) for frame in frames]).max() < 0.01
    grey = [np.repeat(frame[..., 1:2], 3, axis=2) for frame in lq]
    assert survey(grey).monochrome
    nearly = [np.clip(frame.astype(int) + np.array([1, 0, -1]), 0, 255).astype(np.uint8) for frame in grey]
    assert survey(nearly).monochrome  # what a codec makes of grey


def test_a_survey_survives_json() -> None:
    lq, _ = aged(shot("coffee.png", pan(9, (0.5, 1))), np.random.default_rng(0))
    found = survey(lq)
    again = Survey.from_dict(json.loads(json.dumps(found.to_dict())))
    assert again.to_dict() == found.to_dict()
    assert np.array_equal(again.camera, found.camera)
    size = len(json.dumps(survey(lq * 3).to_dict())) - len(json.dumps(found.to_dict()))
    assert size / 18 < 90  # bytes a frame: a film of 170,000 is below 15 MB


def test_colour_of_the_frames_around() -> None:
    levels = np.array([1.0, 0.9, 1.1, 1.0, 0.9, 1.1, 1.0])
    picture = shot("coffee.png", pan(1, (0, 0)))[0] * 0.8
    found = survey([np.rint(picture * level * 255).astype(np.uint8) for level in levels])
    gain, offset = colour_steps(found, 4, reach=2)
    brought = found.mean[4] * gain + offset
    assert np.allclose(brought, found.mean[2:7].mean(axis=0), atol=1e-4)
    assert np.allclose(gain, levels[2:7].mean() / levels[4], atol=0.02)
    first_gain, first_offset = colour_steps(found, 0)
    assert np.allclose(first_gain, 1)
    assert np.allclose(first_offset, 0, atol=1e-6)


def test_a_fade_is_left_as_it_is() -> None:
    picture = shot("coffee.png", pan(1, (0, 0)))[0]
    found = survey([np.rint(picture * level * 255).astype(np.uint8) for level in np.linspace(0.9, 0.3, 25)])
    for number in range(25):
        gain, offset = colour_steps(found, number)
        assert np.abs(found.mean[number] * gain + offset - found.mean[number]).max() < 0.005
    gains = deflicker_gains(found.mean, found.high, [(0, 25)])
    assert np.abs(gains - 1).max() < 0.02


def test_deflicker_takes_pumping_out_of_a_pan() -> None:
    rng = np.random.default_rng(1)
    clean = shot("coffee.png", pan(48, (0.2, 1.0)))
    lq, _ = aged([frame * 0.8 for frame in clean], rng, grain=0.02, flicker=0.15)
    found = survey(lq)
    gains = deflicker_gains(found.mean, found.high, list(found.shots))
    mended = [apply_deflicker(frame, gain) for frame, gain in zip(lq, gains, strict=True)]

    def pumping(frames: list[np.ndarray]) -> float:
        ratio = np.array([f.mean() / c.mean() for f, c in zip(frames, clean, strict=True)])
        return float(np.diff(ratio / ratio.mean()).std())

    assert pumping(mended) < pumping(lq) / 4


def test_deflicker_clips_nothing_and_keeps_black() -> None:
    means = np.full((25, 3), 0.5)
    means[12] = 0.3
    gains = deflicker_gains(means, np.full((25, 3), 0.9), [(0, 25)])
    assert gains[12] == pytest.approx(1 / 0.9)
    frame = np.array([[[0, 100, 229]]], np.uint8)
    assert apply_deflicker(frame, gains[12]).tolist() == [[[0, 111, 254]]]
    assert apply_deflicker(frame, np.ones(3)) is frame


def test_a_lasting_jump_is_not_smeared() -> None:
    """A lamp is switched on in the middle of a shot."""
    levels = np.repeat(np.where(np.arange(60) < 30, 0.2, 0.5)[:, None], 3, axis=1)
    gains = deflicker_gains(levels, levels * 1.5, [(0, 60)])
    changed = np.abs(gains[:, 0] - 1) > 0.03
    assert changed.sum() <= 4


def test_weave_is_taken_out_and_the_pan_stays() -> None:
    rng = np.random.default_rng(2)
    steady = pan(40, (0.0, 1.2))
    woven = steady + rng.normal(0, 1.5, steady.shape)
    lq, _ = aged(shot("astronaut.png", woven, size=(200, 260)), rng, grain=0.02)
    found = survey(lq)
    moved = weave(found.camera, list(found.shots), found.size)
    mended = [apply_shift(frame, shift) for frame, shift in zip(lq, moved, strict=True)]
    after = survey(mended).camera
    shake = [float(np.std(np.diff(path - steady, axis=0))) for path in (found.camera, after)]
    assert shake[1] < shake[0] / 3
    assert np.abs((after[-1] - after[0]) - (steady[-1] - steady[0])).max() < 4  # still a pan
    assert mended[0].shape == lq[0].shape


def test_a_tripod_shot_becomes_still_and_large_moves_are_no_weave() -> None:
    camera = np.random.default_rng(0).normal(0, 0.4, (30, 2))
    assert np.abs(camera - weave(camera, [(0, 30)], (400, 400)) - camera.mean(axis=0)).max() < 0.5
    jump = np.zeros((30, 2))
    jump[15] = 100
    assert np.abs(weave(jump, [(0, 30)], (400, 400))).max() == 8


def test_a_shift() -> None:
    frame = np.random.default_rng(0).integers(0, 65535, (20, 30, 3)).astype(np.uint16)
    assert apply_shift(frame, np.zeros(2)) is frame
    moved = apply_shift(frame, np.array([2.0, -3.0]))
    assert moved.dtype == np.uint16
    assert np.array_equal(moved[2:, :-3], frame[:-2, 3:])
    assert np.array_equal(moved[0], moved[2])  # the border's own
    grey = frame[..., :1]
    assert apply_shift(grey, np.array([0.5, 0.0])).shape == grey.shape


def test_a_line_is_its_own_smooth_path() -> None:
    line = np.stack([np.arange(50) * 0.7 - 3, np.full(50, 2.0)], axis=1)
    assert np.allclose(smooth(line), line, atol=1e-9)
    flashed = line.copy()
    flashed[20] += 40
    assert np.abs(smooth(flashed) - line).max() < 0.2
