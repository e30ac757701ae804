"""Deep features of a step before: what is computed with them, when, and that nothing changes where none are reused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from faithdiff_model.build import build_restorer
from faithdiff_model.network.compiled import compile_at
from faithdiff_model.network.feature_reuse import SplitCore
from faithdiff_model.network.unet import assemble_unet
from faithdiff_model.options import RestoreOptions
from faithdiff_model.presets.sdxl import SDXL
from faithdiff_model.presets.tiny import TINY
from faithdiff_model.restorer import Restorer
from faithdiff_model.spec import ModelSpec


def restorer_of(**options: object) -> Restorer:
    chosen = RestoreOptions(**{"steps": 5, **options})  # type: ignore[arg-type]
    return build_restorer(ModelSpec(preset="tiny", device="cpu"), chosen)


def picture(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random((height, width, 3), dtype=np.float32)


def inputs(side: int = 16, device: str = "cpu", config: str = "tiny") -> tuple[Tensor, dict[str, object]]:
    width, text, pooled = (16, 48, 24) if config == "tiny" else (320, 2048, 1280)
    with torch.device(device):
        given = {
            "timestep": torch.tensor(500, device="cpu"),
            "encoder_hidden_states": torch.randn(2, 77, text),
            "added_cond_kwargs": {"text_embeds": torch.randn(2, pooled), "time_ids": torch.zeros(2, 6)},
            "return_dict": False,
        }
        return torch.randn(2, width, side, side), given


@torch.no_grad()
@pytest.mark.parametrize("side", [16, 11])
def test_the_whole_gives_the_cores_bits_and_the_shallow_what_follows_from_its_features(side: int) -> None:
    core = assemble_unet(TINY).core.eval()
    split, (sample, given) = SplitCore(core), inputs(side)  # type: ignore[arg-type]
    expected = core(sample, **given)[0]
    noise, deep = split.whole(sample, **given)[0]
    assert torch.equal(noise, expected)
    assert deep.shape == (2, 32, side, side)
    with_own = split.shallow(sample, **{**given, "encoder_hidden_states": deep})[0]
    torch.testing.assert_close(with_own, expected, rtol=0, atol=0)  # of one input, its own deep features are exact
    other = split.shallow(sample, **{**given, "encoder_hidden_states": torch.zeros_like(deep)})[0]
    assert (other - expected).abs().max() > 1e-3
    assert torch.equal(core(sample, **given)[0], expected)


def test_no_weight_is_kept_twice() -> None:
    unet = assemble_unet(TINY)
    names, count = [*unet.state_dict()], sum(p.numel() for p in unet.parameters())
    assert unet.split is unet.split
    assert [*unet.state_dict()] == names
    assert sum(p.numel() for p in unet.parameters()) == count
    assert {p.data_ptr() for p in unet.split.shallow.parameters()} <= {p.data_ptr() for p in unet.core.parameters()}


def test_what_a_step_of_the_published_network_saves() -> None:
    """Counted on the meta device; the README has the figure."""
    with torch.device("meta"):
        unet = assemble_unet(SDXL)
    (sample, given), counts = inputs(128, "meta", "sdxl"), []
    deep = torch.empty(2, 640, 128, 128, device="meta")
    for part, seen in ((unet.core, {}), (unet.split.shallow, {"encoder_hidden_states": deep})):
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            part(sample, **{**given, **seen})
        counts.append(counter.get_total_flops())
    assert counts[1] / counts[0] == pytest.approx(0.067, abs=0.001)


class Steps:
    """Which way each UNet call went."""

    def __init__(self, restorer: Restorer) -> None:
        self.seen: list[str] = []
        split = restorer.unet.split
        for name, part in (("whole", split.whole), ("shallow", split.shallow)):
            part.register_forward_pre_hook(lambda *_, name=name: self.seen.append(name))


@pytest.mark.parametrize(
    ("options", "seen"),
    [
        ({"feature_reuse": 2}, ["whole", "shallow", "whole", "shallow", "whole"]),
        ({"feature_reuse": 3}, ["whole", "shallow", "shallow", "whole", "shallow"]),
        ({"feature_reuse": 9}, ["whole", "shallow", "shallow", "shallow", "shallow"]),
        # Guidance comes and goes: other rows, so deep features are computed then.
        ({"feature_reuse": 3, "guidance_start": 0.4, "guidance_end": 0.6}, ["whole", "shallow", "whole", "whole", "shallow"]),
        ({}, []),
    ],
)  # fmt: skip
def test_every_nth_step_is_whole(options: dict[str, object], seen: list[str]) -> None:
    restorer = restorer_of(**options)
    steps = Steps(restorer)
    restorer.restore([picture(64, 64)], ["a barn"], [0])
    assert steps.seen == seen


def test_it_changes_results_a_little_and_company_changes_nothing() -> None:
    exact, images = restorer_of(window_batch=2), [picture(128, 256), picture(128, 128, 1), picture(64, 64, 2)]
    reused = exact.with_options(feature_reuse=2)
    found = reused.restore(images, ["a barn", "", "a barn"], [0, 1, 2])
    expected = exact.restore(images, ["a barn", "", "a barn"], [0, 1, 2])
    for image, prompt, seed, one, other in zip(
        images, ["a barn", "", "a barn"], range(3), found, expected, strict=True
    ):
        assert 0 < np.abs(one - other).max() < 0.5
        assert np.array_equal(one, reused.restore([image], [prompt], [seed])[0])


def test_compiled_it_is_the_same_but_for_rounding() -> None:
    torch._dynamo.reset()
    plain, compiled = restorer_of(feature_reuse=2, steps=2), restorer_of(feature_reuse=2, steps=2)
    for part in (compiled.unet.split.whole, compiled.unet.split.shallow):
        compile_at(part, compiled.config.window, "eager")
    images = [picture(128, 128)]
    one, other = (each.restore(images, ["a barn"], [0])[0] for each in (plain, compiled))
    np.testing.assert_allclose(one, other, atol=1e-4)


def test_where_there_is_nothing_to_reuse_it_is_refused() -> None:
    single = replace(TINY, unet={**TINY.unet, "block_out_channels": (16,), "down_block_types": ("DownBlock2D",),
                                 "up_block_types": ("UpBlock2D",), "attention_head_dim": 2,
                                 "transformer_layers_per_block": 1})  # fmt: skip
    with pytest.raises(ValueError, match="a single level"):
        _ = assemble_unet(single).split
    reading = replace(TINY, unet={**TINY.unet, "down_block_types": ("CrossAttnDownBlock2D", "CrossAttnDownBlock2D")})
    with pytest.raises(ValueError, match="read the prompt"):
        _ = assemble_unet(reading).split
    with pytest.raises(ValueError, match="reusing features: this preset's UNet does not offer it"):
        build_restorer(
            ModelSpec(preset="nano", device="cpu"), RestoreOptions(steps=1, guidance_scale=1.0, feature_reuse=2)
        )
    with pytest.raises(ValueError, match="feature reuse 0"):
        RestoreOptions(feature_reuse=0)
