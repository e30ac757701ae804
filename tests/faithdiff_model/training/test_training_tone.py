"""Training of the tone estimator: samples that depend on the seed alone, a loss that falls, colours as others compute them."""

from __future__ import annotations

import numpy as np
import torch
from skimage.color import rgb2lab

from faithdiff_model.image.tone import FEATURES, OUTPUTS, ToneEstimator
from faithdiff_model.training.tone import ToneStage, colour_errors, faded_prints, lab, train_tone
from jobs.samples.archive import original

STAGE = ToneStage(samples=60, pixels=16, width=8, steps=60, batch=16, dropout=0.0, noise=0.0)


def photographs() -> list[np.ndarray]:
    return [original(name)[::8, ::8] for name in ("coffee.png", "chelsea.png")]


def test_colours_are_those_of_scikit_image() -> None:
    pixels = np.random.default_rng(0).random((50, 3)).astype(np.float32)
    np.testing.assert_allclose(lab(torch.tensor(pixels)).numpy(), rgb2lab(pixels), atol=0.05)


def test_training_learns_and_repeats_itself(tmp_path: object) -> None:
    samples = faded_prints(photographs(), STAGE)
    assert samples.features.shape == (60, FEATURES)
    again = faded_prints(photographs(), STAGE)
    assert all(torch.equal(first, second) for first, second in zip(samples, again, strict=True))
    assert 0 < samples.single.mean() < 1
    assert set(samples.weight.tolist()) == {1.0, STAGE.undamaged_weight}

    def loss(estimator: ToneEstimator) -> float:
        x = ((samples.features - torch.tensor(estimator.mean)) / torch.tensor(estimator.deviation)).clip(-6, 6)
        for number, (weight, bias) in enumerate(zip(estimator.weights, estimator.biases, strict=True)):
            x = torch.nn.functional.linear(x, torch.tensor(weight), torch.tensor(bias))
            x = x.relu() if number < 2 else x
        return float((colour_errors(x, *samples[1:4]) * samples.weight).mean())

    short = train_tone(samples, ToneStage(**{**vars(STAGE), "steps": 1}), on_log=print)
    trained = train_tone(samples, STAGE, on_log=print)
    assert loss(trained) < 0.9 * loss(short)
    assert loss(train_tone(samples, STAGE, on_log=print)) == loss(trained)


def test_of_a_single_hue_lightness_alone_counts() -> None:
    raw = torch.full((2, OUTPUTS), -20.0)  # no change, and sure of it
    faded = torch.tensor([[[0.5, 0.4, 0.3]]] * 2)
    as_grey = torch.tensor([[[float(0.5 * 0.2126 + 0.4 * 0.7152 + 0.3 * 0.0722)] * 3]] * 2)
    colour, single = colour_errors(raw, torch.tensor([[0.0], [1.0]]), faded, as_grey).tolist()
    assert single < 3 < colour
