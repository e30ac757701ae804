"""The dry run: groups, counts and bytes on the meta device, held against the published names and a real forward pass."""

from __future__ import annotations

import json
from dataclasses import replace
from math import prod
from pathlib import Path

import pytest
import torch
from latent_network import LATENT
from torch import Tensor
from torch.nn import functional
from training_runs import JOINT, short_stage, tiny_parts

from faithdiff_model.presets.sdxl import SDXL
from faithdiff_model.presets.tiny import TINY
from faithdiff_model.training import memory
from faithdiff_model.training.config import LoRAConfig, StageConfig
from faithdiff_model.training.groups import parameter_groups
from faithdiff_model.training.loss import Noised, NoiseLoss
from faithdiff_model.training.memory import MemoryPlan, plan_memory
from faithdiff_model.training.recipes import sdxl_stage, small_stage

GIB = 1 << 30
ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def plans() -> dict[str, MemoryPlan]:
    """SDXL's two stages as the recipes have them."""
    return {stage: plan_memory(SDXL, sdxl_stage(stage), 512) for stage in ("1", "2")}


def test_sdxl_has_the_published_parameters(plans: dict[str, MemoryPlan]) -> None:
    published = json.loads((ROOT / "tests" / "data" / "released_checkpoint_keys.json").read_text())
    total = sum(prod(shape) for shape in published.values())
    assert total == 2_612_197_892
    for plan in plans.values():
        assert sum(plan.parameters.values()) == total
    assert plans["1"].trained == {"lq_encoder": 0, "alignment": 10_620_352, "unet": 0}
    assert plans["2"].trained == plans["2"].parameters


@pytest.mark.parametrize("stage", ["1", "2"])
def test_sdxl_bytes(plans: dict[str, MemoryPlan], stage: str) -> None:
    """Four bytes a weight; gradients, moments and average for what is trained; the sum at its worst moment."""
    plan, trained = plans[stage], sum(plans[stage].trained.values())
    text_and_vae = 123_060_480 + 694_659_840 + 83_653_863
    assert plan.weights == 4 * (2_612_197_892 + text_and_vae)
    assert (plan.gradients, plan.moments, plan.average, plan.update) == tuple(n * 4 * trained for n in (1, 2, 1, 1))
    lasting = plan.weights + plan.gradients + plan.moments + plan.average
    assert plan.total == lasting + max(plan.activations, plan.update)


def test_sdxl_on_one_four_and_eight_gpus(plans: dict[str, MemoryPlan]) -> None:
    """The alignment fits a 24 GB card. All three parts at 16 samples do not fit 80 GB; at 8 they do."""
    assert 18 * GIB < plans["1"].total < 22 * GIB
    assert 75 * GIB < plans["2"].total < 90 * GIB
    assert plans["2"].total - plans["2"].activations / 2 < 72 * GIB
    stage = sdxl_stage("2")
    assert [plans["2"].global_batch(stage, gpus) for gpus in (1, 4, 8)] == [64, 256, 512]


def test_lora_trains_little_and_activations_go_by_the_batch() -> None:
    plain, small = (plan_memory(TINY, short_stage(batch=batch), 64) for batch in (4, 2))
    cheap = plan_memory(TINY, short_stage(batch=4, lora=LoRAConfig(rank=1)), 64)
    assert cheap.parameters == plain.parameters  # of the network, without its adapters
    assert 0 < cheap.trained["unet"] < 0.03 * plain.trained["unet"]
    assert cheap.moments < 0.5 * plain.moments
    assert small.activations == pytest.approx(plain.activations / 2, rel=0.02)


def test_small_networks() -> None:
    tiny, latent = plan_memory(TINY, short_stage(), 32), plan_memory(LATENT, small_stage("1"), 64)
    parts = tiny_parts()
    assert parts.prompts is not None
    modules = (parts.unet, parts.vae, *parts.prompts.encoders)
    assert tiny.weights == 4 * sum(p.numel() for module in modules for p in module.parameters())
    assert latent.trained == {"lq_encoder": 0, "alignment": latent.parameters["alignment"], "unet": 0}
    assert plan_memory(TINY, short_stage(ema_decay=0.0), 32).average == 0


def really_kept(stage: StageConfig, crop: int) -> int:
    """Bytes that a real forward pass of the tiny network keeps, its weights apart."""
    unet = tiny_parts().unet.train()
    parameter_groups(unet, stage)
    weights = {parameter.untyped_storage().data_ptr() for parameter in unet.parameters()}
    seen: dict[int, Tensor] = {}

    def note(tensor: Tensor) -> Tensor:
        if tensor.untyped_storage().data_ptr() not in weights:
            seen[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    latent = torch.randn(stage.batch, 4, crop // 8, crop // 8)
    noised = Noised(latent, torch.randn_like(latent), torch.zeros(stage.batch, dtype=torch.long))
    text = (torch.randn(stage.batch, 77, 48), torch.randn(stage.batch, 24))
    image, ids = torch.rand(stage.batch, 3, crop, crop), torch.zeros(stage.batch, 6)
    with (
        torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor),
        torch.autocast("cpu", torch.bfloat16, enabled=stage.precision == "bf16"),
    ):
        NoiseLoss(unet, conditioned=True)(noised, image, text, ids)
    return sum(tensor.untyped_storage().nbytes() for tensor in seen.values())


@pytest.mark.parametrize("rates", [{"alignment": 1e-3}, JOINT], ids=["stage 1", "stage 2"])
@pytest.mark.parametrize("precision", ["no", "bf16"])
@pytest.mark.parametrize("crop", [32, 96])
def test_activations_are_those_of_a_real_forward_pass(
    monkeypatch: pytest.MonkeyPatch, rates: dict, precision: str, crop: int
) -> None:
    # Autocast on a CPU leaves normalisation in the compute precision; on CUDA, which the plan is for, in float32.
    monkeypatch.setattr(memory, "_EXACT", frozenset({functional.l1_loss}))
    stage = short_stage(learning_rates=rates, precision=precision)
    assert plan_memory(TINY, stage, crop).activations == pytest.approx(really_kept(stage, crop), rel=0.04)


def test_spatial_attention_is_counted_too() -> None:
    spatial = replace(TINY, alignment=replace(TINY.alignment, attention="spatial"))
    assert plan_memory(spatial, short_stage(), 64).activations > plan_memory(TINY, short_stage(), 64).activations


@pytest.mark.parametrize("precision", ["no", "bf16"])
def test_computing_activations_again_takes_less(precision: str) -> None:
    kept, again = (
        plan_memory(TINY, short_stage(precision=precision, gradient_checkpointing=flag, batch=8), 64).activations
        for flag in (False, True)
    )
    assert again < 0.85 * kept


def test_half_precision_takes_less() -> None:
    full, half = (plan_memory(TINY, short_stage(precision=name, batch=8), 64).activations for name in ("no", "bf16"))
    assert 0.5 * full < half < 0.9 * full  # normalisation stays in float32


def test_the_callers_tensors_stay_where_they_are() -> None:
    plan_memory(TINY, short_stage(), 32)
    assert torch.empty(1).device.type == "cpu"
