"""A word's map is the attention that its tokens really had, at the place where they had it; watching changes nothing else."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from attention_probes import PROMPT, Calls, FixedAttention, collected, picture
from diffusers.models.attention_processor import AttnProcessor
from torch import nn

from faithdiff_model import attribution
from faithdiff_model.attribution import AttentionCollector, attribute, watch
from faithdiff_model.build import build_restorer
from faithdiff_model.image.windows import Rect, WindowGrid, window_weights
from faithdiff_model.network.prompt_attention import cross_attention_layers
from faithdiff_model.network.unet import assemble_unet
from faithdiff_model.options import RestoreOptions
from faithdiff_model.presets.sdxl import SDXL
from faithdiff_model.prompt_words import find_tokens
from faithdiff_model.restorer import Restorer
from faithdiff_model.sampling.denoise import Canvas, denoise, make_scheduler
from faithdiff_model.spec import ModelSpec

TOKENS = [[position] for position in range(77)]


@pytest.fixture(scope="module")
def restorer() -> Restorer:
    return build_restorer(ModelSpec(preset="tiny"), RestoreOptions(steps=2))


# --- what is summed -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(64, 64), (60, 100), (200, 150), (17, 23)])
@pytest.mark.parametrize("window_batch", [1, 4])
def test_all_tokens_share_all_attention_everywhere(
    restorer: Restorer, shape: tuple[int, int], window_batch: int
) -> None:
    maps = collected(restorer.with_options(window_batch=window_batch), picture(*shape), TOKENS)
    scale = restorer.config.pixels_per_latent
    assert maps.shape == (77, -(-shape[0] // scale) * scale, -(-shape[1] // scale) * scale)
    np.testing.assert_allclose(maps.sum(axis=0), 1, atol=1e-5)
    assert maps.std(axis=(1, 2)).max() > 1e-5  # and not because all are alike


def test_a_words_map_is_the_sum_of_its_tokens(restorer: Restorer) -> None:
    image = picture(64, 96)
    maps = collected(restorer, image, [*TOKENS, [4, 5, 9]])
    np.testing.assert_allclose(maps[-1], maps[[4, 5, 9]].sum(axis=0), atol=1e-6)


def test_shares_are_those_of_diffusers(restorer: Restorer) -> None:
    """Our probabilities are what diffusers' own plain processor multiplies the values with."""
    rng = torch.Generator().manual_seed(0)
    for layer in cross_attention_layers(restorer.unet.core):
        hidden = torch.randn(2, 64, layer.query_dim, generator=rng)
        text = torch.randn(2, 77, layer.cross_attention_dim, generator=rng)
        ours = attribution.token_shares(layer, hidden, text)
        query, key = (layer.head_to_batch_dim(part) for part in (layer.to_q(hidden), layer.to_k(text)))
        torch.testing.assert_close(ours.flatten(0, 1), layer.get_attention_scores(query, key))
        values = layer.head_to_batch_dim(layer.to_v(text), out_dim=4)
        output = layer.to_out[0](layer.batch_to_head_dim((ours @ values).flatten(0, 1)))
        torch.testing.assert_close(output, layer(hidden, text), atol=1e-5, rtol=1e-4)


def test_every_layer_head_and_step_counts_once(restorer: Restorer, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[int, ...]] = []
    add = AttentionCollector.add
    monkeypatch.setattr(AttentionCollector, "add", lambda self, shares: seen.append(shares.shape) or add(self, shares))
    restorer = restorer.with_options(window_batch=4, steps=3)
    collected(restorer, picture(128, 330), [[1]])  # five windows, so calls of four and of one with three copies
    layers = cross_attention_layers(restorer.unet.core)
    assert len(layers) == 4
    assert len(seen) == 3 * 2 * len(layers)
    assert [shape[0] for shape in seen] == ([4] * len(layers) + [1] * len(layers)) * 3
    assert {shape[1] for shape in seen} == {layer.heads for layer in layers}


def test_the_conditional_copy_is_watched(restorer: Restorer) -> None:
    """In the first step both copies see one latent, so guidance must not matter; the negative prompt never may."""
    once = restorer.with_options(steps=1)
    image = picture(64, 64)
    guided = collected(once, image, TOKENS)
    np.testing.assert_allclose(guided, collected(once.with_options(guidance_scale=1.0), image, TOKENS), atol=1e-6)
    other = collected(once.with_options(negative_prompt="blurred"), image, TOKENS)
    np.testing.assert_allclose(guided, other, atol=1e-6)
    assert np.abs(guided - collected(once, image, TOKENS, prompt="blurred")).max() > 1e-4


def test_denoise_tells_of_every_call(restorer: Restorer) -> None:
    """The observer hears the windows of each call before it, and the row where the prompt's copies begin."""
    grid = WindowGrid(height=16, width=40, window=16, overlap=0.5).windows()
    scheduler = make_scheduler("euler", restorer.config.noise_schedule, 2)
    heard: list[tuple[int, int]] = []
    for copies in (1, 2):
        canvas = Canvas(
            latent=torch.zeros(4, 16, 40), windows=grid, lq_embeddings=torch.zeros(len(grid), 16, 16, 16),
            text=torch.zeros(copies, 77, 48), pooled=torch.zeros(copies, 24), time_ids=torch.zeros(len(grid), 6),
            scheduler=scheduler,
        )  # fmt: skip
        heard.clear()
        denoise(
            restorer.unet, [canvas], guidance_scale=2.0, window_batch=3,
            observe=lambda batch, first: heard.append((len(batch), first)),
        )  # fmt: skip
        assert heard == [(3, 3 * (copies - 1)), (1, copies - 1)] * 2


# --- where it is laid ---------------------------------------------------------------------------------------------------


def test_a_tokens_place_is_its_place_in_the_map(restorer: Restorer) -> None:
    side = restorer.config.window * restorer.config.pixels_per_latent
    with FixedAttention(restorer, left=2, right=7):
        left, right, both, none = collected(restorer, picture(side, side), [[2], [7], [2, 7], [3]])
    low, high = side // 2 - 32, side // 2 + 32  # the filter reaches two layer pixels, and a layer pixel is 16 of these
    np.testing.assert_allclose(left[:, :low], 1, atol=1e-5)
    np.testing.assert_allclose(left[:, high:], 0, atol=1e-5)
    np.testing.assert_allclose(right, 1 - left, atol=1e-5)
    np.testing.assert_allclose(both, 1, atol=1e-5)
    np.testing.assert_allclose(none, 0, atol=1e-6)


def test_windows_are_laid_at_their_places_by_their_weights(restorer: Restorer) -> None:
    """Each window looks left in its own left half: the whole is then known from places and weights alone."""
    scale, side = restorer.config.pixels_per_latent, restorer.config.window
    shape = (3 * side // 2 * scale, 2 * side * scale)
    with FixedAttention(restorer, left=2, right=7):
        left, right = collected(restorer.with_options(window_batch=4), picture(*shape), [[2], [7]])
    windows = restorer.grid(*shape).windows()
    assert len(windows) == 6
    layer = torch.tensor(
        [[[[1.0] * (side // 4) + [0.0] * (side // 4)]]]
    )  # all layers of the tiny network see half size
    half = nn.functional.interpolate(layer, size=(1, side * scale), mode="bicubic")[0, 0].numpy()
    weights = window_weights(side * scale, side * scale)
    total, expected = np.zeros(shape), np.zeros(shape)
    for window in windows:
        at = window.scaled(scale).slices
        total[at] += weights
        expected[at] += weights * half
    np.testing.assert_allclose(left, np.clip(expected / total, 0, 1), atol=1e-5)
    np.testing.assert_allclose(right, np.clip(1 - expected / total, 0, 1), atol=1e-5)


@pytest.mark.parametrize("shape", [(200, 150), (128, 330)])
def test_in_any_window_batch(restorer: Restorer, shape: tuple[int, int]) -> None:
    alone = collected(restorer, picture(*shape), TOKENS[:12])
    for window_batch in (3, 4):
        together = collected(restorer.with_options(window_batch=window_batch), picture(*shape), TOKENS[:12])
        np.testing.assert_allclose(together, alone, atol=1e-4 * alone.max())


@pytest.mark.parametrize("halvings", [(0,), (1,), (2,), (0, 1, 2)])
@pytest.mark.parametrize("size", [(16, 16), (24, 40), (37, 21)])
def test_one_region_of_a_large_image(size: tuple[int, int], halvings: tuple[int, ...]) -> None:
    """Windows that each show their cut of one region show the region when they are laid together."""
    height, width, scale = *size, 8
    region = np.zeros(size, np.float32)
    region[: height // 2, width // 4 :] = 1
    canvas = canvas_of(WindowGrid(height=height, width=width, window=16, overlap=0.5).windows())
    collector = AttentionCollector([[0], [1]])
    for index, window in enumerate(canvas.windows):
        collector.observe([(canvas, index)], 0)
        for number in halvings:
            share = halved(region[window.slices], number).flatten()
            collector.add(torch.stack([share, 1 - share], dim=-1)[None, None].repeat(1, 2 + number, 1, 1))
    inside, outside = collector.maps(canvas, scale).numpy()
    expected = np.kron(region, np.ones((scale, scale)))
    assert inside.shape == expected.shape
    near = 3 * scale << max(halvings)  # the filter's reach around the region's border
    rows, columns = np.arange(height * scale)[:, None], np.arange(width * scale)[None]
    far = (abs(rows - height // 2 * scale) > near) & (abs(columns - width // 4 * scale) > near)
    np.testing.assert_allclose(inside[far], expected[far], atol=1e-5)
    np.testing.assert_allclose(inside + outside, 1, atol=1e-5)


def halved(part: np.ndarray, times: int) -> torch.Tensor:
    """Means of squares; a square that lies partly outside repeats the last row or column, as the UNet has one for it."""
    factor = 2**times
    padded = np.pad(part, [(0, -side % factor) for side in part.shape], mode="edge")
    return nn.functional.avg_pool2d(torch.from_numpy(padded)[None, None], factor)


def test_layers_count_by_their_heads() -> None:
    """A head is a head, in a layer of any size: two heads that look here and six that look elsewhere are a quarter."""
    canvas = canvas_of([Rect(0, 0, 16, 16)])
    collector = AttentionCollector([[0]])
    collector.observe([(canvas, 0)], 0)
    collector.add(torch.ones(1, 2, 256, 1))
    collector.add(torch.zeros(1, 6, 64, 1))
    np.testing.assert_allclose(collector.maps(canvas, 8).numpy(), 0.25, atol=1e-6)


def canvas_of(windows: list[Rect]) -> Canvas:
    height, width = max(w.bottom for w in windows), max(w.right for w in windows)
    nothing = torch.zeros(len(windows), 1)
    return Canvas(
        latent=torch.zeros(4, height, width), windows=windows, lq_embeddings=nothing, text=nothing, pooled=nothing,
        time_ids=nothing, scheduler=None,
    )  # fmt: skip


def test_photographs_that_share_calls_keep_their_own_attention(restorer: Restorer) -> None:
    """Rows of one call belong to different photographs and prompts: each finds its own."""
    restorer = restorer.with_options(window_batch=3)
    images, prompts = [picture(200, 150), picture(128, 128, seed=1)], [PROMPT, "two people on a bridge"]
    collector = AttentionCollector(TOKENS[:9])
    with watch(restorer.unet, collector):
        restorer.restore(images, prompts, [0, 0], observe=collector.observe)
    assert len(collector.canvases) == 2
    for canvas, image, prompt in zip(collector.canvases, images, prompts, strict=True):
        together = collector.maps(canvas, 8).numpy()
        np.testing.assert_allclose(together, collected(restorer, image, TOKENS[:9], prompt), atol=1e-4)


def test_every_cross_attention_of_sdxl_finds_its_size() -> None:
    """At full size, without weights: ten layers of 10 heads at half of a window's size, sixty of 20 at a quarter."""
    side, width = 128, 320
    collector = AttentionCollector([[1], [2, 3]])
    collector.observe([(canvas_of([Rect(0, 0, side, side)]), 0)], 1)
    with torch.device("meta"), torch.inference_mode():
        unet = assemble_unet(SDXL)
        with watch(unet, collector):
            unet.predict(
                torch.zeros(2, width, side, side), torch.tensor(5), torch.zeros(2, 77, 2048), torch.zeros(2, 1280),
                torch.zeros(2, 6),
            )  # fmt: skip
    assert len(cross_attention_layers(unet.core)) == 70
    (sums,) = collector._sums.values()
    assert sums.heads == 10 * 10 + 60 * 20
    assert {halvings: share.shape for halvings, share in sums.maps.items()} == {1: (2, 64, 64), 2: (2, 32, 32)}


# --- what comes out -----------------------------------------------------------------------------------------------------


def test_several_words_and_their_ranges(restorer: Restorer) -> None:
    found = attribute(restorer, picture(60, 100), PROMPT, ["dog", "Grass", "dog"], 0)
    assert list(found.maps) == list(found.ranges) == ["dog", "Grass"]
    prompt_tokens = [find_tokens(restorer.prompt_encoder.tokenizers, PROMPT, word) for word in ("dog", "Grass")]
    shares = collected(restorer, picture(60, 100), prompt_tokens)[:, :60, :100]
    for name, share in zip(("dog", "Grass"), shares, strict=True):
        heat, (low, high) = found.maps[name], found.ranges[name]
        assert heat.shape == (60, 100)
        assert heat.dtype == np.float32
        assert (heat.min(), heat.max()) == (0, 1)
        assert 0 < low < high < 1
        np.testing.assert_allclose(low + heat * (high - low), share, atol=1e-6)


@pytest.mark.parametrize("shape", [(40, 56), (40, 56, 1), (40, 56, 4)])
def test_any_layout(restorer: Restorer, shape: tuple[int, ...]) -> None:
    image = np.random.default_rng(0).integers(0, 255, shape, dtype=np.uint8)
    found = attribute(restorer, image, PROMPT, ["grass"], 0)
    assert found.restored.shape == shape
    assert found.maps["grass"].shape == (40, 56)


def test_attention_that_is_the_same_everywhere_is_no_map(restorer: Restorer) -> None:
    layers = cross_attention_layers(restorer.unet.core)
    before = [layer.to_q for layer in layers]
    for layer in layers:
        layer.to_q = Calls(lambda x, channels: torch.zeros(*x.shape[:2], channels), layer.inner_dim)
    try:
        found = attribute(restorer, picture(200, 150), PROMPT, ["in"], 0)
    finally:
        for layer, query in zip(layers, before, strict=True):
            layer.to_q = query
    assert not found.maps["in"].any()
    assert found.ranges["in"] == pytest.approx((2 / 77, 2 / 77))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_overlay(dtype: type) -> None:
    image = picture(20, 30)
    if dtype is not np.float32:
        image = np.rint(image * np.iinfo(dtype).max).astype(dtype)
    ramp = np.broadcast_to(np.linspace(0, 1, 30, dtype=np.float32), (20, 30))
    result = attribution.overlay(image, ramp)
    assert result.shape == (20, 30, 3)
    assert result.dtype == np.uint8
    plain = attribution.overlay(np.full_like(image, image.mean()), ramp).astype(int)
    luma = plain @ np.array([0.299, 0.587, 0.114])
    assert (np.diff(luma, axis=1) > 0).all()  # hotter is always lighter
    assert (plain[:, -1] > plain[:, 0]).all()
    red, blue = plain[..., 0], plain[..., 2]
    assert (red[:, 18] > blue[:, 18]).all()  # channels are in order: inferno's middle is red


def test_overlay_of_another_size() -> None:
    with pytest.raises(ValueError, match="a map of"):
        attribution.overlay(picture(20, 30), np.zeros((30, 20), np.float32))


# --- nothing else changes -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("guidance_scale", [5.0, 1.0])
def test_a_watched_restoration_is_the_same(restorer: Restorer, guidance_scale: float) -> None:
    restorer = restorer.with_options(window_batch=2, guidance_scale=guidance_scale)
    image = picture(200, 150)
    assert np.array_equal(
        attribute(restorer, image, PROMPT, ["grass"], 7).restored, restorer.restore([image], [PROMPT], [7])[0]
    )


def test_processors_come_back(restorer: Restorer) -> None:
    layers = cross_attention_layers(restorer.unet.core)
    own = AttnProcessor()
    usual = layers[0].processor
    layers[0].set_processor(own)
    try:
        before = [layer.processor for layer in layers]
        attribute(restorer, picture(64, 64), PROMPT, ["grass"], 0)
        assert [layer.processor for layer in layers] == before
        assert layers[0].processor is own
        with pytest.raises(RuntimeError, match="in the middle"), watch(restorer.unet, AttentionCollector([[1]])):
            assert all(layer.processor not in before for layer in layers)
            raise RuntimeError("in the middle")
        assert [layer.processor for layer in layers] == before
    finally:
        layers[0].set_processor(usual)


def test_processors_come_back_after_a_failure_in_the_network(
    restorer: Restorer, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = [layer.processor for layer in cross_attention_layers(restorer.unet.core)]
    monkeypatch.setattr(AttentionCollector, "add", lambda self, shares: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        attribute(restorer, picture(64, 64), PROMPT, ["grass"], 0)
    assert [layer.processor for layer in cross_attention_layers(restorer.unet.core)] == before


def test_a_compiled_network_is_watched_uncompiled(restorer: Restorer) -> None:
    graphs = []

    def backend(graph: torch.fx.GraphModule, inputs: list[torch.Tensor]) -> Callable[..., object]:
        graphs.append(graph)
        return graph.forward

    torch._dynamo.reset()
    image = picture(64, 64)
    eager = attribute(restorer, image, PROMPT, ["grass"], 0)
    compiled = build_restorer(ModelSpec(preset="tiny"), RestoreOptions(steps=2))
    compiled.unet.core.compile(fullgraph=True, backend=backend)
    first = compiled.restore([image], [PROMPT], [0])[0]
    count = len(graphs)
    assert count > 0
    watched = attribute(compiled, image, PROMPT, ["grass"], 0)
    assert len(graphs) == count
    assert np.array_equal(watched.maps["grass"], eager.maps["grass"])
    np.testing.assert_allclose(watched.restored, first, atol=1e-4)
    assert np.array_equal(compiled.restore([image], [PROMPT], [0])[0], first)
    assert len(graphs) == count  # and what was compiled still serves
