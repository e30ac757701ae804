"""Our network reproduces the published reference's numbers."""

from __future__ import annotations

import json

import golden
import numpy as np
import pytest
import torch
from golden import LOOP, SINGLE

import faithdiff_model.restorer
from faithdiff_model.image.colour import adain, wavelet
from faithdiff_model.image.colour_statistics import ColourStatistics
from faithdiff_model.image.windows import Rect, WindowGrid, window_weights
from faithdiff_model.options import RestoreOptions
from faithdiff_model.restorer import Restorer
from faithdiff_model.sampling.merging import WindowMerger

TIMESTEP = 501


def error(ours: torch.Tensor, reference: torch.Tensor) -> float:
    assert ours.shape == reference.shape
    return float((ours - reference).abs().max())


@pytest.fixture(scope="module")
def reference() -> dict[str, torch.Tensor]:
    return golden.tensors("unet_tiny")


def test_lq_features(reference: dict[str, torch.Tensor]) -> None:
    assert error(golden.network().lq_encoder(reference["lq_image"]), reference["lq_features"]) <= SINGLE


def test_lq_embedding(reference: dict[str, torch.Tensor]) -> None:
    ours = golden.network().alignment.lq_embedding(reference["lq_features"])
    assert error(ours.expand(2, -1, -1, -1), reference["condition_embedding"]) <= SINGLE


def test_latent_features_are_the_unet_s_first_convolution(reference: dict[str, torch.Tensor]) -> None:
    assert error(golden.network().alignment(reference["sample"], None), reference["latent_features"]) <= SINGLE


def test_aligned_features(reference: dict[str, torch.Tensor]) -> None:
    ours = golden.network().alignment(reference["sample"], reference["condition_embedding"], pair=2)
    assert error(ours, reference["aligned_features"]) <= SINGLE


@pytest.mark.parametrize(
    ("name", "rows", "lq", "pair"),
    [
        ("noise_pred_pair", slice(0, 2), True, 2),
        ("noise_pred_single", slice(1, 2), True, 1),
        ("noise_pred_no_lq", slice(0, 2), False, 1),
    ],
)
def test_noise_prediction(reference: dict[str, torch.Tensor], name: str, rows: slice, lq: bool, pair: int) -> None:
    given = {key: reference[key][rows] for key in ("sample", "condition_embedding", "text", "pooled", "time_ids")}
    ours = golden.network()(
        given["sample"],
        given["condition_embedding"] if lq else None,
        TIMESTEP,
        given["text"],
        given["pooled"],
        given["time_ids"],
        pair=pair,
    )
    assert error(ours, reference[name]) <= SINGLE


def test_guidance_pairs_do_not_leak_into_each_other(reference: dict[str, torch.Tensor]) -> None:
    align = golden.network().alignment
    sample, embedding = reference["sample"], reference["condition_embedding"]
    both = align(
        torch.cat([sample[:1], sample[:1] * 3, sample[1:], sample[1:] - 1]), embedding[:1].expand(4, -1, -1, -1), pair=2
    )
    assert error(both[[0, 2]], reference["aligned_features"]) <= SINGLE


def test_equal_copies_of_a_pair_align_as_one_alone(reference: dict[str, torch.Tensor]) -> None:
    align = golden.network().alignment
    sample, embedding = reference["sample"][:1], reference["condition_embedding"][:1]
    pair = align(sample.repeat(2, 1, 1, 1), embedding.repeat(2, 1, 1, 1), pair=2)
    assert error(pair[:1], align(sample, embedding)) <= 1e-5
    assert error(pair[1:], align(sample, embedding)) <= 1e-5


def test_spatial_attention_mixes_pixels_and_guidance_pair_does_not(reference: dict[str, torch.Tensor]) -> None:
    embedding = reference["condition_embedding"][:1]
    changed = embedding.clone()
    changed[:, :, 0, 0] += 1
    sample = reference["sample"][:1]
    far = (slice(None), slice(None), 5, 5)
    for attention, mixes in (("guidance_pair", False), ("spatial", True)):
        align = golden.network(attention).alignment  # type: ignore[arg-type]
        difference = (align(sample, changed) - align(sample, embedding))[far].abs().max()
        assert bool(difference > 1e-6) is mixes, attention


@pytest.mark.parametrize("case", json.loads((golden.DATA / "latent_windows.json").read_text()).values())
def test_window_origins(case: dict) -> None:
    grid = WindowGrid(height=case["height"], width=case["width"], window=case["window_height"], overlap=case["overlap"])
    windows = grid.windows()
    assert [[w.top, w.left] for w in windows] == case["origins"]
    assert {(w.height, w.width) for w in windows} == {tuple(case["window_shape"])}


@pytest.mark.parametrize("shape", [(16, 12), (16, 16)])
def test_window_weights(shape: tuple[int, int]) -> None:
    expected = golden.tensors("window_merge")[f"weights_{shape[0]}x{shape[1]}"]
    np.testing.assert_allclose(window_weights(*shape), expected.numpy(), rtol=1e-12)


def test_window_merge() -> None:
    found = golden.tensors("window_merge")
    merger = WindowMerger(24, 20, [Rect(r, c, 16, 16) for r, c in ((0, 0), (0, 4), (8, 0), (8, 4))])
    canvas = merger.empty(4, torch.device("cpu"))
    for index, window in enumerate(found["windows"]):
        merger.add(canvas, index, window)
    assert error(canvas[None], found["merged"]) <= 1e-5


def test_colour_fixes() -> None:
    found = golden.tensors("colour_fix")
    restored, lq = found["restored"][0], found["reference"][0]
    assert (
        error(
            adain(restored, ColourStatistics.of(restored.numpy()), ColourStatistics.of(lq.numpy())), found["adain"][0]
        )
        <= 1e-5
    )
    assert error(wavelet(restored, lq), found["wavelet"][0]) <= 1e-5


@pytest.mark.parametrize(
    ("sampler", "start"),
    [  # each sampler and each start once; the other two pairs with `make test-slow`
        ("euler", "lr"),
        ("ddim", "noise"),
        pytest.param("euler", "noise", marks=pytest.mark.slow),
        pytest.param("ddim", "lr", marks=pytest.mark.slow),
    ],
)
def test_whole_restoration(sampler: str, start: str, monkeypatch: pytest.MonkeyPatch) -> None:
    found = golden.tensors("restore_tiny")
    monkeypatch.setattr(faithdiff_model.restorer, "position_noise", lambda *_: found["noise"][0].numpy())
    latents = []
    decode = faithdiff_model.restorer.decode_latent

    def spy(vae: object, latent: torch.Tensor, *rest: object, **named: object) -> torch.Tensor:
        latents.append(latent)
        return decode(vae, latent, *rest, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(faithdiff_model.restorer, "decode_latent", spy)
    restorer = Restorer(
        config=golden.network_config(),
        unet=golden.network(),
        vae=golden.vae(),
        prompt_encoder=golden.ReferenceText(found),  # type: ignore[arg-type]
        options=RestoreOptions(steps=4, sampler=sampler, start=start, colour_fix="none", window_batch=2),  # type: ignore[arg-type]
        device=torch.device("cpu"),
        digest="golden",
        trained=False,
    )
    image = found["image"].numpy().astype(np.float32) / 255
    result = restorer.restore([image], [""], [0])[0]
    assert error(latents[0], found[f"latents_{sampler}_{start}_cfg5"][0]) <= LOOP
    assert error(torch.from_numpy(result), found[f"image_{sampler}_{start}_cfg5"][0]) <= LOOP
