"""What is compiled, for which shapes, and that its numbers are those of the parts as they were."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from faithdiff_model import build
from faithdiff_model.build import build_restorer, random_parts
from faithdiff_model.network.compiled import compile_at, compile_parts, fuse_projections
from faithdiff_model.network.unet import assemble_unet
from faithdiff_model.options import RestoreOptions
from faithdiff_model.presets.nano import NANO
from faithdiff_model.presets.tiny import TINY
from faithdiff_model.spec import ModelSpec

TINY_SPEC = ModelSpec(preset="tiny", device="cpu")


class Graphs:
    """A backend that runs a graph as it is and keeps the shapes that it was made for."""

    def __init__(self) -> None:
        self.shapes: list[list[tuple[int, ...]]] = []

    def __call__(self, graph: torch.fx.GraphModule, inputs: list[Any]) -> Callable[..., Any]:
        self.shapes.append([tuple(value.shape) for value in inputs if isinstance(value, torch.Tensor)])
        return graph.forward


@pytest.fixture(autouse=True)
def afresh() -> None:
    torch._dynamo.reset()


def picture(height: int, width: int) -> np.ndarray:
    rows, columns = np.linspace(0, 5, height)[:, None, None], np.linspace(0, 7, width)[None, :, None]
    return (0.5 + 0.4 * np.sin(rows + columns * np.array([1.0, 0.7, 0.4]))).astype(np.float32)


@pytest.mark.slow
def test_full_windows_are_compiled_whatever_came_before() -> None:
    """Calls of one and two full windows, with and without guidance, and a smaller photograph before and after."""
    plain, graphs = build_restorer(TINY_SPEC, RestoreOptions(steps=2, window_batch=2)), Graphs()
    compiled = build_restorer(TINY_SPEC, RestoreOptions(steps=2, window_batch=2))
    compile_parts(compiled.unet, compiled.vae, compiled.config, graphs)
    small, whole, wide = picture(64, 96), picture(128, 128), picture(128, 256)
    first = compiled.restore([small], ["a barn"], [0])[0]
    assert graphs.shapes == []
    np.testing.assert_array_less(np.abs(first - plain.restore([small], ["a barn"], [0])[0]), 1e-4)
    results = []
    for image, guidance_scale in ((whole, 5.0), (wide, 5.0), (wide, 1.0)):
        chosen = {"guidance_scale": guidance_scale}
        results.append(compiled.with_options(**chosen).restore([image], ["a barn"], [0])[0])
        expected = plain.with_options(**chosen).restore([image], ["a barn"], [0])[0]
        np.testing.assert_array_less(np.abs(results[-1] - expected), 1e-4)
    count = len(graphs.shapes)
    assert (
        count >= 7
    )  # LQ encoder, embedding, VAE encoder and decoder, alignment, and the UNet with and without guidance
    assert all(type(side) is int for shapes in graphs.shapes for shape in shapes for side in shape)
    assert np.array_equal(compiled.restore([small], ["a barn"], [0])[0], first)
    assert np.array_equal(compiled.restore([whole], ["a barn"], [0])[0], results[0])
    assert len(graphs.shapes) == count


def test_a_network_of_convolutions_is_compiled_with_its_head() -> None:
    config, graphs = replace(NANO, window=8), Graphs()
    unet, vae, _ = random_parts(config, 0)
    unet.eval().requires_grad_(False)
    image, features = torch.randn(1, 3, 32, 32), torch.randn(1, 64, 8, 8)
    assert unet.head is not None
    expected = unet.head(image), unet.predict(features, torch.tensor(999), None, None, torch.zeros(1, 6))
    compile_parts(unet, vae, config, graphs)
    torch.testing.assert_close(unet.head(image), expected[0])
    torch.testing.assert_close(unet.predict(features, torch.tensor(999), None, None, torch.zeros(1, 6)), expected[1])
    assert len(graphs.shapes) == 2


def test_other_sizes_run_as_they_are() -> None:
    graphs, layer = Graphs(), nn.Conv2d(2, 3, 3)
    compile_at(layer, 8, graphs)
    for batch, height, width in ((1, 8, 4), (1, 8, 8), (2, 8, 8), (2, 9, 9), (1, 8, 8)):
        assert layer(torch.zeros(batch, 2, height, width)).shape == (batch, 3, height - 2, width - 2)
    assert [shapes[-1] for shapes in graphs.shapes] == [(1, 2, 8, 8), (2, 2, 8, 8)]


@torch.no_grad()
def test_joint_projections_give_the_same_and_keep_no_weight_twice() -> None:
    torch.manual_seed(0)
    core = assemble_unet(TINY).core.eval().requires_grad_(False)
    given: dict[str, Any] = {
        "timestep": torch.tensor(500),
        "encoder_hidden_states": torch.randn(2, 77, 48),
        "added_cond_kwargs": {"text_embeds": torch.randn(2, 24), "time_ids": torch.zeros(2, 6)},
    }
    sample = torch.randn(2, 16, 16, 16)
    expected, single = core(sample, **given)[0], bytes_of(core)
    fuse_projections(core)
    assert len(core.attn_processors) > 0
    kinds = {type(each).__name__ for each in core.attn_processors.values()}
    assert kinds == {"FusedAttnProcessor2_0", "PromptAttention"}
    torch.testing.assert_close(core(sample, **given)[0], expected, atol=1e-5, rtol=1e-4)
    assert bytes_of(core) == single
    assert not any(parameter.requires_grad for parameter in core.parameters())


def bytes_of(module: nn.Module) -> int:
    """Of all parameters, what lies twice in one place counted once."""
    found = {p.untyped_storage().data_ptr(): p.untyped_storage().nbytes() for p in module.parameters()}
    return sum(found.values())


def test_it_is_compiled_where_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[Any, ...]] = []
    monkeypatch.setattr(build, "compile_parts", lambda *parts: asked.append(parts))
    restorer = build_restorer(replace(TINY_SPEC, compile=True), RestoreOptions())
    assert asked == [(restorer.unet, restorer.vae, restorer.config)]
    build_restorer(TINY_SPEC, RestoreOptions())
    assert len(asked) == 1
