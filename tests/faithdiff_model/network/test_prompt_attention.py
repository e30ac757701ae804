"""Keys and values of a prompt that were made before: the same bits, however a window came to its call."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from diffusers.models.attention_processor import AttnProcessor2_0
from torch import Tensor

from faithdiff_model.build import build_restorer
from faithdiff_model.network import prompt_attention
from faithdiff_model.network.compiled import fuse_projections
from faithdiff_model.network.prompt_attention import (
    PromptAttention,
    cross_attention_layers,
    keys_and_values,
)
from faithdiff_model.network.unet import assemble_unet
from faithdiff_model.options import RestoreOptions
from faithdiff_model.presets.sdxl import SDXL
from faithdiff_model.presets.tiny import TINY
from faithdiff_model.restorer import Restorer
from faithdiff_model.sampling.denoise import Work
from faithdiff_model.spec import ModelSpec


def restorer_of(**options: object) -> Restorer:
    chosen = RestoreOptions(steps=3, **options)  # type: ignore[arg-type]
    return build_restorer(ModelSpec(preset="tiny", device="cpu"), chosen)


def picture(height: int, width: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


class Products:
    """Counts the products that layers make of a text."""

    def __init__(self, restorer: Restorer, monkeypatch: pytest.MonkeyPatch) -> None:
        self.rows: list[int] = []
        made = prompt_attention._project

        def project(attn: object, text_BLC: Tensor) -> tuple[Tensor, Tensor]:
            self.rows.append(text_BLC.shape[0])
            return made(attn, text_BLC)

        monkeypatch.setattr(prompt_attention, "_project", project)
        self.layers = len(cross_attention_layers(restorer.unet.core))


def restored(
    restorer: Restorer, images: Sequence[np.ndarray], prompts: Sequence[str], *, kept: bool
) -> list[np.ndarray]:
    """With keys and values kept; or, as an observer makes it, with the text at every step."""

    def observe(_work: Sequence[Work], _first: int) -> None: ...

    return restorer.restore(images, prompts, range(len(images)), observe=None if kept else observe)


@torch.no_grad()
def test_a_layer_computes_as_diffusers_does() -> None:
    core = assemble_unet(TINY).core.eval()
    (layer, *_) = cross_attention_layers(core)
    pixels, text = torch.randn(3, 64, layer.to_q.in_features), torch.randn(3, 77, 48)
    found = [layer(pixels, text), layer(pixels, keys_and_values(core, text))]
    layer.set_processor(AttnProcessor2_0())
    for attended in found:
        torch.testing.assert_close(attended, layer(pixels, text), rtol=0, atol=0)


@pytest.mark.parametrize("guidance_scale", [1.0, 5.0])
def test_bits_stay_where_photographs_and_prompts_share_calls(guidance_scale: float) -> None:
    """Five windows, three and one, of two prompts, by calls of two."""
    restorer = restorer_of(window_batch=2, guidance_scale=guidance_scale)
    images = [picture(128, 384, 0), picture(128, 256, 1), picture(64, 96, 2)]
    prompts = ["a barn", "", "a barn"]
    kept, anew = (restored(restorer, images, prompts, kept=each) for each in (True, False))
    for first, second in zip(kept, anew, strict=True):
        assert np.array_equal(first, second)
    alone = [restorer.restore([i], [p], [n])[0] for n, (i, p) in enumerate(zip(images, prompts, strict=True))]
    for first, second in zip(kept, alone, strict=True):
        assert np.array_equal(first, second)


@torch.no_grad()
def test_bits_stay_where_a_layer_is_compiled_with_joint_projections() -> None:
    """Keys and values are inputs of what is compiled; the whole UNet goes that way in test_compiled.py."""
    torch._dynamo.reset()
    core = assemble_unet(TINY).core.eval().requires_grad_(False)
    fuse_projections(core)
    (layer, *_) = cross_attention_layers(core)
    assert layer.fused_projections
    compiled = torch.compile(layer, backend="eager", fullgraph=True, dynamic=False)
    pixels, text = torch.randn(3, 64, layer.to_q.in_features), torch.randn(3, 77, 48)
    kept = compiled(pixels, keys_and_values(core, text))
    assert torch.equal(kept, compiled(pixels, text))
    assert torch.equal(kept, layer(pixels, text))


def test_they_are_made_once_a_prompt_and_not_once_a_step(monkeypatch: pytest.MonkeyPatch) -> None:
    restorer = restorer_of(window_batch=2)
    products = Products(restorer, monkeypatch)
    images = [picture(128, 256, 0), picture(128, 384, 1), picture(128, 256, 2)]  # three windows, five, three
    restored(restorer, images, ["a barn", "a barn", "a barn"], kept=True)
    assert products.rows == [4] * products.layers + [2] * products.layers  # calls of two windows, and of the one left
    products.rows.clear()
    restored(restorer, images[:1], ["a barn"], kept=False)
    assert products.rows == 3 * ([4] * products.layers + [2] * products.layers)


def test_of_many_prompts_some_are_made_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a call of many photographs takes no more memory than was counted on; the bits are the same."""
    restorer = restorer_of(window_batch=2)
    images, prompts = [picture(128, 256, number) for number in range(4)], [f"barn {number}" for number in range(4)]
    expected = restored(restorer, images, prompts, kept=True)
    monkeypatch.setattr("faithdiff_model.sampling.kept.MOST_ROWS", 6)
    products = Products(restorer, monkeypatch)
    found = restored(restorer, images, prompts, kept=True)
    assert all(np.array_equal(*each) for each in zip(found, expected, strict=True))
    assert 6 * products.layers < sum(products.rows)


def test_every_layer_of_the_published_network_takes_them() -> None:
    with torch.device("meta"):
        core = assemble_unet(SDXL).core
    layers = cross_attention_layers(core)
    assert [layer.processor.number for layer in layers if isinstance(layer.processor, PromptAttention)] == [*range(70)]
    keys = keys_and_values(core, torch.empty(1, 77, 2048, device="meta"))
    assert sum(part.numel() for pair in keys.made for part in pair) == 12_812_800  # what `memory` counts a row


def test_layers_that_come_to_the_device_in_turn_see_the_text(monkeypatch: pytest.MonkeyPatch) -> None:
    restorer = restorer_of()
    assert restorer.parts is not None
    expected = restored(restorer, [picture(64, 64, 0)], ["a barn"], kept=True)
    products = Products(restorer, monkeypatch)
    restorer.parts.fall_back()
    found = restored(restorer, [picture(64, 64, 0)], ["a barn"], kept=True)
    assert len(products.rows) == 3 * products.layers
    assert np.array_equal(found[0], expected[0])


def test_a_network_without_text_has_none_to_keep() -> None:
    nano = build_restorer(ModelSpec(preset="nano", device="cpu"), RestoreOptions(steps=1, guidance_scale=1.0))
    assert cross_attention_layers(nano.unet.core) == []
