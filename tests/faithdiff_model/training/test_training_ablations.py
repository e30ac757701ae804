"""Each ablation takes away what it says, and what is left trains."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from latent_network import LATENT
from training_runs import JOINT, SPEC, moved, run_stage, short_stage, small_data, snapshot, tiny_parts

from faithdiff_model.build import random_parts
from faithdiff_model.network.config import NetworkConfig
from faithdiff_model.presets.tiny import TINY
from faithdiff_model.training.ablations import ABLATIONS, ablate
from faithdiff_model.training.config import StageConfig
from faithdiff_model.training.initial import training_parts
from faithdiff_model.training.loop import WEIGHTS
from faithdiff_model.weights.checkpoint import save_published

STAGE = short_stage(steps=2, warmup_steps=1, ema_decay=0)
IMAGE = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0)) * 2 - 1


def trained_parts(network: NetworkConfig, stage: StageConfig, hq: Path, output: Path) -> dict[str, bool]:
    """Whether each part moved, whole or not at all; the first convolution counts as alignment."""
    parts = tiny_parts(network)
    before = snapshot(parts.unet)
    run_stage(stage, small_data(hq), output, network=network, parts=parts)
    changed = moved(before, snapshot(parts.unet))
    result = {}
    for part in ("lq_encoder.", "alignment.", "core."):
        of_part = {name for name in before if name.startswith(part)}
        assert changed & of_part in (set(), of_part)
        result[part.rstrip(".")] = bool(changed & of_part)
    return result


@pytest.mark.parametrize(
    ("ablation", "trained"),
    [
        ("none", (True, True, True)),
        ("without-alignment", (True, True, True)),
        ("without-pretraining", (True, True, True)),
        ("last-layer", (True, True, True)),
        ("encoder-only", (True, True, False)),
        ("unet-only", (False, True, True)),
    ],
)
def test_what_an_ablation_trains(hq: Path, tmp_path: Path, ablation: str, trained: tuple[bool, ...]) -> None:
    network, stage = ablate(ablation, TINY, STAGE)
    found = trained_parts(network, stage, hq, tmp_path)
    assert found == dict(zip(("lq_encoder", "alignment", "core"), trained, strict=True))


def test_all_are_tested_and_the_unknown_refused() -> None:
    assert len(ABLATIONS) == 6
    with pytest.raises(ValueError, match="ablation is 'fog': choose one of none, without-alignment"):
        ablate("fog", TINY, STAGE)


def test_an_ablation_that_leaves_nothing_to_train() -> None:
    with pytest.raises(ValueError, match="name some of"):
        ablate("encoder-only", TINY, replace(STAGE, learning_rates={"unet": 1e-3}))


def test_ablations_leave_everything_else_alone() -> None:
    for ablation in ABLATIONS:
        network, stage = ablate(ablation, TINY, STAGE)
        assert replace(network, alignment=TINY.alignment, lq_encoder=TINY.lq_encoder) == TINY
        assert replace(stage, learning_rates=JOINT) == STAGE
    assert ablate("none", TINY, STAGE) == ablate("without-pretraining", TINY, STAGE) == (TINY, STAGE)


@torch.no_grad()
def test_without_alignment_the_embedding_is_added() -> None:
    unet = tiny_parts(ablate("without-alignment", TINY, STAGE)[0]).unet
    assert not list(unet.alignment.blocks)
    latent, embedding = torch.randn(2, 4, 4, 4), unet.alignment.lq_embedding(unet.lq_encoder(IMAGE))
    assert torch.equal(unet.alignment(latent, embedding), unet.alignment.conv_in(latent) + embedding)


@torch.no_grad()
@pytest.mark.parametrize("network", [TINY, LATENT], ids=["normalised", "without normalisation"])
def test_last_layer_features_are_the_vaes_mean(network: NetworkConfig) -> None:
    """Before `quant_conv`, which SDXL's VAE and ours have between encoder and posterior."""
    changed = ablate("last-layer", network, STAGE)[0]
    parts = training_parts(SPEC, changed, init=None, seed=0)
    channels = parts.vae.config.latent_channels
    torch.testing.assert_close(parts.unet.lq_encoder(IMAGE), parts.vae.encoder(IMAGE)[:, :channels])
    assert changed.lq_encoder.feature_channels == channels


def test_spatial_attention_trains_and_is_another_network(hq: Path, tmp_path: Path) -> None:
    spatial = replace(TINY, alignment=replace(TINY.alignment, attention="spatial"))
    assert all(trained_parts(spatial, STAGE, hq, tmp_path).values())
    latent, text = torch.randn(1, 4, 4, 4), torch.randn(1, 16, 4, 4)
    aligned = [tiny_parts(network).unet.alignment(latent, text) for network in (spatial, TINY)]
    assert not torch.allclose(*aligned)


def test_an_alignment_that_is_not_pre_trained_starts_fresh(tmp_path: Path) -> None:
    """The prior's UNet goes on, its first convolution with it."""
    earlier = random_parts(TINY, 21)[0]
    save_published(earlier, tmp_path / "prior.safetensors")
    parts = training_parts(SPEC, TINY, init=tmp_path / "prior.safetensors", seed=0, fresh_alignment=True)
    same = set(snapshot(earlier)) - moved(snapshot(earlier), snapshot(parts.unet))
    fresh = set(snapshot(earlier)) - moved(snapshot(tiny_parts().unet), snapshot(parts.unet))
    kept = {name for name in snapshot(earlier) if name.startswith(("core.", "lq_encoder.", "alignment.conv_in."))}
    norms = {name for name in same & fresh if "norm" in name}  # ones and zeros in both
    assert same - norms == kept - norms
    assert set(snapshot(earlier)) - kept <= fresh


def test_separately_trained_parts_meet_in_the_second_run(hq: Path, tmp_path: Path) -> None:
    """Encoder first, then the UNet from its weights: both have moved, the encoder in the first run alone."""
    start = snapshot(tiny_parts().unet)
    first = run_stage(ablate("encoder-only", TINY, STAGE)[1], small_data(hq), tmp_path / "1")
    parts = training_parts(SPEC, TINY, init=tmp_path / "1" / WEIGHTS, seed=0)
    second = run_stage(ablate("unet-only", TINY, STAGE)[1], small_data(hq), tmp_path / "2", parts=parts)
    assert {name.split(".")[0] for name in moved(start, first)} == {"lq_encoder", "alignment"}
    assert {name.split(".")[0] for name in moved(first, second)} == {"core", "alignment"}
