"""The cheap variant: adapters in the UNet are trained and merged into plain weights."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from latent_network import LATENT
from safetensors.torch import load_file
from training_runs import JOINT, moved, run_stage, short_stage, small_data, snapshot, tiny_parts

from faithdiff_model.build import random_parts
from faithdiff_model.presets.tiny import TINY
from faithdiff_model.training.config import LoRAConfig
from faithdiff_model.training.groups import parameter_groups
from faithdiff_model.training.loop import WEIGHTS
from faithdiff_model.weights.checkpoint import load_published, read_tensors

LORA = LoRAConfig(rank=2, alpha=4.0, targets=("to_q", "to_out.0"))
ARGUMENTS = (
    torch.randn(2, 4, 4, 4),
    torch.randn(2, 16, 4, 4),
    torch.tensor([3, 900]),
    torch.randn(2, 77, 48),
    torch.randn(2, 24),
    torch.rand(2, 6),
)


def test_only_adapters_and_the_named_parts_are_trained() -> None:
    unet = tiny_parts().unet
    groups = {group["name"]: group for group in parameter_groups(unet, short_stage(lora=LORA))}
    trained = {name for name, parameter in unet.named_parameters() if parameter.requires_grad}
    of_core = {name for name in trained if name.startswith("core.")}
    assert of_core
    assert all("lora_" in name and (".to_q." in name or ".to_out.0." in name) for name in of_core)
    assert trained - of_core == {name for name, _ in unet.named_parameters() if not name.startswith("core.")}
    assert sum(p.numel() for p in groups["unet"]["params"]) < 0.05 * sum(p.numel() for p in unet.core.parameters())
    assert {name: group["lr"] for name, group in groups.items()} == JOINT


@pytest.mark.parametrize("ema_decay", [0.0, 0.9])
def test_merged_weights_are_a_plain_network_that_predicts_the_same(hq: Path, tmp_path: Path, ema_decay: float) -> None:
    parts = tiny_parts()
    before = snapshot(parts.unet)
    stage = short_stage(steps=3, warmup_steps=0, learning_rates={"alignment": 1e-3, "unet": 1e-2}, lora=LORA)
    run_stage(
        short_stage(**{**vars(stage), "ema_decay": ema_decay, "save_every": 3}), small_data(hq), tmp_path, parts=parts
    )
    plain = random_parts(TINY, 7)[0]
    load_published(plain, read_tensors(tmp_path / WEIGHTS), source="written", dtype=torch.float32)
    changed = moved(before, snapshot(plain))
    assert {name for name in changed if name.startswith("core.")} == {
        name for name in before if name.startswith("core.") and name.endswith(("to_q.weight", "to_out.0.weight"))
    }
    assert not any(name.startswith("lq_encoder.") for name in changed)
    if ema_decay:
        return  # the checkpoint holds the weights as they are, not their average
    adapted = tiny_parts().unet
    parameter_groups(adapted, stage)
    live = {
        name.removeprefix("unet."): t for name, t in load_file(next(tmp_path.glob("c*3/model.safetensors"))).items()
    }
    adapted.load_state_dict(live, strict=True)
    with torch.no_grad():
        torch.testing.assert_close(plain(*ARGUMENTS), adapted(*ARGUMENTS), rtol=1e-4, atol=1e-5)
        assert not torch.allclose(plain(*ARGUMENTS), tiny_parts().unet(*ARGUMENTS), atol=1e-3)


def test_adapters_begin_as_nothing() -> None:
    unet = tiny_parts().unet
    with torch.no_grad():
        before = unet(*ARGUMENTS)
        parameter_groups(unet, short_stage(lora=LORA))
        # Not to the last bit: on some processors another kernel is taken for layers that are wrapped.
        assert torch.allclose(unet(*ARGUMENTS), before, rtol=0, atol=2e-6)


def test_layers_that_are_not_there_are_said_in_one_line() -> None:
    unet = random_parts(LATENT, 0)[0]  # has no attention
    with pytest.raises(ValueError, match=r"short: LoRA on to_q, to_out\.0: the UNet has no such layer") as caught:
        parameter_groups(unet, short_stage(lora=LORA))
    assert "\n" not in str(caught.value)
