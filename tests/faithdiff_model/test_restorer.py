"""A photograph's result does not depend on its company, and every kind of image goes through."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from faithdiff_model.build import build_restorer
from faithdiff_model.network.prompt_attention import PromptKeys, keys_and_values
from faithdiff_model.network.text import TextEmbedding
from faithdiff_model.options import SAMPLERS, RestoreOptions
from faithdiff_model.restorer import Restorer
from faithdiff_model.sampling import kept
from faithdiff_model.spec import ModelSpec

LIMIT = 1e-4


@pytest.fixture(scope="module")
def restorer() -> Restorer:
    return build_restorer(ModelSpec(preset="tiny"), RestoreOptions(steps=3))


def picture(height: int, width: int, channels: int = 3, seed: int = 0) -> np.ndarray:
    """Smooth float picture [H, W, C]."""
    rng = np.random.default_rng(seed)
    rows, columns = np.linspace(0, 3, height)[:, None], np.linspace(0, 3, width)[None]
    waves = [np.sin(a * rows + b * columns) for a, b in rng.uniform(-2, 2, (channels, 2))]
    return (0.5 + 0.4 * np.stack(waves, axis=2)).astype(np.float32)


IMAGES = [picture(200, 150), picture(128, 128, seed=1), picture(60, 300, seed=2), picture(200, 150, seed=3)]
PROMPTS, SEEDS = ["", "a barn", "", "two people on a bridge"], [0, 7, 7, 2**63]


@pytest.mark.parametrize(("guidance_scale", "window_batch"), [(5.0, 1), (5.0, 3), (1.0, 8), (0.0, 3)])
def test_alone_or_in_any_batch(restorer: Restorer, guidance_scale: float, window_batch: int) -> None:
    alone = restorer.with_options(guidance_scale=guidance_scale, window_batch=1)
    batched = restorer.with_options(guidance_scale=guidance_scale, window_batch=window_batch)
    together = batched.restore(IMAGES, PROMPTS, SEEDS)
    for image, prompt, seed, result in zip(IMAGES, PROMPTS, SEEDS, together, strict=True):
        assert np.abs(alone.restore([image], [prompt], [seed])[0] - result).max() <= LIMIT


def test_same_bits_in_other_company_at_one_window_batch(restorer: Restorer) -> None:
    restorer = restorer.with_options(window_batch=4)
    together = restorer.restore(IMAGES, PROMPTS, SEEDS)
    for order in ([0], [3, 0], [2, 1, 0, 3]):
        results = restorer.restore(*([values[i] for i in order] for values in (IMAGES, PROMPTS, SEEDS)))
        for i, result in zip(order, results, strict=True):
            assert np.array_equal(result, together[i])


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_every_sampler_batched_or_one_window_at_a_time(restorer: Restorer, sampler: str) -> None:
    chosen = restorer.with_options(sampler=sampler, steps=5)
    one = chosen.with_options(window_batch=1).restore([IMAGES[0]], [""], [0])[0]
    many = chosen.with_options(window_batch=6).restore([IMAGES[0]], [""], [0])[0]
    assert np.abs(one - many).max() <= LIMIT
    assert np.isfinite(one).all()


def test_samplers_and_starts_differ(restorer: Restorer) -> None:
    choices = [{"sampler": name} for name in SAMPLERS] + [{"start": "noise"}, {"guidance_scale": 1.0}]
    results = [restorer.with_options(**choice).restore([IMAGES[1]], ["a"], [0])[0] for choice in choices]
    for i, first in enumerate(results):
        assert all(not np.array_equal(first, second) for second in results[i + 1 :])


def test_prompt_and_seed_and_negative_prompt_matter(restorer: Restorer) -> None:
    base = restorer.restore([IMAGES[1]], [""], [0])[0]
    assert not np.array_equal(base, restorer.restore([IMAGES[1]], ["a barn"], [0])[0])
    assert not np.array_equal(base, restorer.restore([IMAGES[1]], [""], [1])[0])
    assert not np.array_equal(base, restorer.with_options(negative_prompt="blur").restore([IMAGES[1]], [""], [0])[0])


def _rows_of_calls(restorer: Restorer, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Rows of each UNet call from now on."""
    rows: list[int] = []
    predict = restorer.unet.predict

    def counted(aligned: torch.Tensor, *rest: object) -> torch.Tensor:
        rows.append(len(aligned))
        return predict(aligned, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(restorer.unet, "predict", counted)
    return rows


@pytest.mark.parametrize("words", ["", "a barn"])
def test_alike_prompts_take_one_copy_and_give_the_bytes_of_two(
    restorer: Restorer, monkeypatch: pytest.MonkeyPatch, words: str
) -> None:
    """Rows of one call are the same to the bit, and a call of other length rounds otherwise: so it is made as long here."""
    chosen = restorer.with_options(negative_prompt=words, guidance_scale=5.0)
    rows = _rows_of_calls(restorer, monkeypatch)
    image = IMAGES[0]
    one = chosen.restore([image], [words], [0])[0]
    assert set(rows) == {1}
    assert np.array_equal(one, chosen.with_options(guidance_scale=1.0).restore([image], [words], [0])[0])
    with monkeypatch.context() as patch:
        predict = restorer.unet.predict

        def twice(
            aligned: torch.Tensor, timestep: torch.Tensor, prompt: PromptKeys, *rest: torch.Tensor
        ) -> torch.Tensor:
            return predict(aligned.repeat(2, 1, 1, 1), timestep, prompt, *(torch.cat([each, each]) for each in rest))[
                :1
            ]

        patch.setattr(restorer.unet, "predict", twice)
        patch.setattr(kept, "keys_and_values", lambda core, text: keys_and_values(core, text.repeat(2, 1, 1)))
        one_as_long = chosen.restore([image], [words], [0])[0]
    monkeypatch.setattr(TextEmbedding, "equals", lambda *_: False)
    rows.clear()
    two = chosen.restore([image], [words], [0])[0]
    assert set(rows) == {2}
    assert np.array_equal(one_as_long, two)
    assert np.abs(one - two).max() <= LIMIT


def test_one_copy_and_two_share_no_call(restorer: Restorer, monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = restorer.with_options(window_batch=3)
    rows = _rows_of_calls(restorer, monkeypatch)
    together = chosen.restore(IMAGES[:2], ["", "a barn"], SEEDS[:2])
    assert set(rows) == {3, 6}
    for image, prompt, seed, result in zip(IMAGES, ["", "a barn"], SEEDS, together, strict=False):
        assert np.array_equal(chosen.restore([image], [prompt], [seed])[0], result)


def test_zeros_are_another_negative_than_the_empty_text(restorer: Restorer, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = _rows_of_calls(restorer, monkeypatch)
    encoded = restorer.restore([IMAGES[1]], [""], [0])[0]
    zeros = restorer.with_options(empty_negative="zeros").restore([IMAGES[1]], [""], [0])[0]
    assert set(rows) == {1, 2}
    assert not np.array_equal(encoded, zeros)


@pytest.mark.parametrize("shape", [(16, 16), (17, 23), (16, 129), (130, 16), (41, 137), (136, 264)])
def test_any_size(restorer: Restorer, shape: tuple[int, int]) -> None:
    result = restorer.restore([picture(*shape)], [""], [0])[0]
    assert result.shape == (*shape, 3)
    assert result.dtype == np.float32
    assert result.min() >= 0
    assert result.max() <= 1


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("channels", [None, 1, 2, 3, 4])
def test_every_layout_comes_back_as_it_was(restorer: Restorer, channels: int | None, dtype: type) -> None:
    image = picture(40, 56, channels or 1)
    if dtype is not np.float32:
        image = np.rint(image * np.iinfo(dtype).max).astype(dtype)
    image = image[..., 0] if channels is None else image
    result = restorer.restore([image], [""], [0])[0]
    assert result.shape == image.shape
    assert result.dtype == image.dtype
    if channels in (2, 4):
        assert np.array_equal(result[..., -1], image[..., -1])  # alpha is not diffused
    assert not np.array_equal(result, image)


def test_grey_is_its_rgb_copy(restorer: Restorer) -> None:
    grey = picture(40, 56, 1)
    colour = restorer.with_options(colour_fix="none").restore([np.repeat(grey, 3, axis=2)], [""], [0])[0]
    ours = restorer.with_options(colour_fix="none").restore([grey], [""], [0])[0]
    np.testing.assert_allclose(ours[..., 0], colour @ np.array([0.299, 0.587, 0.114], np.float32), atol=1e-6)


def test_colour_fixes_bring_the_colours_back(restorer: Restorer) -> None:
    image = picture(128, 128)
    means = {
        fix: np.abs(
            restorer.with_options(colour_fix=fix).restore([image], [""], [0])[0].mean((0, 1)) - image.mean((0, 1))
        )
        for fix in ("none", "adain", "wavelet")
    }
    assert means["adain"].max() < 0.02 < means["none"].max()
    assert means["wavelet"].max() < 0.02


@pytest.mark.parametrize("image", [np.zeros((15, 40, 3)), np.zeros((40, 40, 5)), np.zeros((4, 40, 40, 3))])
def test_bad_images_are_refused_with_a_reason(restorer: Restorer, image: np.ndarray) -> None:
    with pytest.raises(ValueError, match="image of"):
        restorer.restore([image], [""], [0])


def test_lists_of_different_lengths(restorer: Restorer) -> None:
    with pytest.raises(ValueError, match="2 images, 1 prompts"):
        restorer.restore(IMAGES[:2], [""], [0, 0])


def test_nothing_in_nothing_out(restorer: Restorer) -> None:
    assert restorer.restore([], [], []) == []


@pytest.mark.parametrize(
    "wrong",
    [{"sampler": "x"}, {"start": "x"}, {"colour_fix": "x"}, {"overlap": 0}, {"steps": 0}, {"window_batch": 0}],
)
def test_options_are_checked(wrong: dict) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong)).split("_")[0]):
        RestoreOptions(**wrong)


def test_a_sampling_run_leaves_the_global_random_state_alone(restorer: Restorer) -> None:
    before = torch.random.get_rng_state()
    build_restorer(ModelSpec(preset="tiny"), RestoreOptions())
    restorer.restore([IMAGES[1]], [""], [0])
    assert torch.equal(before, torch.random.get_rng_state())


def test_compiled_gives_the_same(restorer: Restorer) -> None:
    """The core UNet compiles whole: no graph break, eager's numbers."""
    torch._dynamo.reset()
    eager = restorer.restore([IMAGES[1]], [""], [0])[0]
    compiled = build_restorer(ModelSpec(preset="tiny"), RestoreOptions(steps=3))
    compiled.unet.core.compile(fullgraph=True, backend="aot_eager")
    assert np.abs(compiled.restore([IMAGES[1]], [""], [0])[0] - eager).max() <= LIMIT


def test_the_next_image_is_decoded_before_the_one_before_is_finished(
    restorer: Restorer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that a GPU works while the host counts, rounds and lays out. Each result is still its own."""
    steps: list[str] = []
    decode, finish = Restorer._decode, Restorer._finish

    def noted(name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        return lambda *given: (steps.append(name), call(*given))[1]

    images = [picture(64, 64, seed=seed) for seed in range(3)]
    expected = [restorer.restore([image], [""], [0])[0] for image in images]
    monkeypatch.setattr(Restorer, "_decode", noted("decode", decode))
    monkeypatch.setattr(Restorer, "_finish", noted("finish", finish))
    results = restorer.restore(images, [""] * 3, [0] * 3)
    assert steps == ["decode", "decode", "finish", "decode", "finish", "finish"]
    assert all(np.array_equal(result, one) for result, one in zip(results, expected, strict=True))
