"""What each stage trains, with which learning rates, and what it writes."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import pytest
import torch
from training_runs import JOINT, log_rows, moved, run_stage, short_stage, small_data, snapshot, tiny_parts

from faithdiff_model.build import random_parts
from faithdiff_model.presets.tiny import TINY
from faithdiff_model.training.config import DataConfig, LoRAConfig, StageConfig
from faithdiff_model.training.groups import parameter_groups
from faithdiff_model.training.loop import WEIGHTS
from faithdiff_model.training.recipes import sdxl_stage, small_stage
from faithdiff_model.weights.checkpoint import load_published, read_tensors


@pytest.mark.parametrize(
    ("rates", "conditioned", "trained"),
    [
        ({"alignment": 1e-3}, True, ("alignment.",)),
        (JOINT, True, ("lq_encoder.", "alignment.", "core.")),
        ({"alignment": 1e-3, "unet": 1e-3}, False, ("alignment.conv_in.", "core.")),
        ({"unet": 1e-3}, True, ("core.",)),
    ],
    ids=["stage 1", "stage 2", "prior", "unet alone"],
)
def test_a_stage_moves_its_parts_and_no_other_bit(
    hq: Path, tmp_path: Path, rates: dict, conditioned: bool, trained: tuple[str, ...]
) -> None:
    parts = tiny_parts()
    before, vae = snapshot(parts.unet), snapshot(parts.vae)
    stage = short_stage(steps=2, learning_rates=rates, conditioned=conditioned, warmup_steps=1, ema_decay=0)
    written = run_stage(stage, small_data(hq), tmp_path, parts=parts)
    assert moved(before, snapshot(parts.unet)) == {name for name in before if name.startswith(trained)}
    assert moved(written, snapshot(parts.unet)) == set()
    assert moved(vae, snapshot(parts.vae)) == set()


def test_a_prior_has_nothing_of_the_alignment_but_the_first_convolution() -> None:
    unet = tiny_parts().unet
    stage = short_stage(learning_rates={"alignment": 1e-3, "unet": 1e-3}, conditioned=False)
    alignment, core = (group["params"] for group in parameter_groups(unet, stage))
    assert [id(parameter) for parameter in alignment] == [id(p) for p in unet.alignment.conv_in.parameters()]
    assert [id(parameter) for parameter in core] == [id(p) for p in unet.core.parameters()]
    trained = {name for name, parameter in unet.named_parameters() if parameter.requires_grad}
    assert trained == {name for name, _ in unet.named_parameters() if name.startswith(("core.", "alignment.conv_in."))}


def test_learning_rates_rise_then_fall_along_a_cosine_each_on_its_own(hq: Path, tmp_path: Path) -> None:
    run_stage(short_stage(steps=6, save_every=6), small_data(hq), tmp_path)
    # A row's rates are those of the step that follows it.
    factors = [0.5 * step if step < 2 else 0.5 * (1 + math.cos(math.pi * (step - 2) / 4)) for step in range(1, 7)]
    for name, rate in JOINT.items():
        assert [row[f"lr_{name}"] for row in log_rows(tmp_path)] == pytest.approx([rate * f for f in factors])


def test_written_weights_have_the_published_names(hq: Path, tmp_path: Path) -> None:
    written = run_stage(short_stage(steps=1), small_data(hq), tmp_path)
    unet = random_parts(TINY, 7)[0]
    load_published(unet, read_tensors(tmp_path / WEIGHTS), source="written", dtype=torch.float32)
    assert moved(written, snapshot(unet)) == set()


def test_two_stages_of_different_precision_in_one_process(hq: Path, tmp_path: Path) -> None:
    """bf16 gives nearly the loss of float32; and Accelerate, which keeps its state for a process, allows the change."""
    for precision in ("no", "bf16", "no"):
        run_stage(short_stage(steps=2, precision=precision), small_data(hq), tmp_path / precision)
    exact, rounded = ([row["loss"] for row in log_rows(tmp_path / name)] for name in ("no", "bf16"))
    assert rounded == pytest.approx(exact, abs=5e-3)
    assert rounded != exact


def test_channels_last_is_the_same_training(hq: Path, tmp_path: Path) -> None:
    for name, layout in (("first", False), ("last", True)):
        run_stage(
            short_stage(steps=3, learning_rates={"alignment": 1e-3}, channels_last=layout),
            small_data(hq),
            tmp_path / name,
        )
    first, last = (log_rows(tmp_path / name) for name in ("first", "last"))
    assert [row["loss"] for row in last] == pytest.approx([row["loss"] for row in first], rel=1e-4)


def test_a_loss_that_is_no_number_ends_the_run_and_is_not_saved(hq: Path, tmp_path: Path) -> None:
    stage = short_stage(learning_rates={"alignment": 1e30}, warmup_steps=0)
    with pytest.raises(ValueError, match="lower the learning rates"):
        run_stage(stage, small_data(hq), tmp_path)
    assert not list(tmp_path.glob("checkpoint-*"))


def test_fp16_needs_a_gpu(hq: Path, tmp_path: Path) -> None:
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    with pytest.raises(ValueError, match="precision is fp16, which takes a GPU"):
        run_stage(short_stage(precision="fp16"), small_data(hq), tmp_path)


def test_without_an_lq_image_there_is_no_lq_encoder_to_train() -> None:
    with pytest.raises(ValueError, match="no LQ encoder to train"):
        parameter_groups(tiny_parts().unet, short_stage(conditioned=False))


def test_the_papers_recipes() -> None:
    first, second = sdxl_stage("1"), sdxl_stage("2")
    assert (first.steps, second.steps) == (6_000, 40_000)
    assert first.learning_rates == {"alignment": 5e-5}
    assert second.learning_rates == {"lq_encoder": 5e-6, "alignment": 5e-5, "unet": 5e-5}
    for stage in (first, second):
        assert stage.batch * stage.accumulation * 4 == 256
        assert (stage.noise_offset, stage.prompt_dropout, stage.clip, stage.precision) == (0.02, 0.2, 1.0, "bf16")
        assert dataclasses.replace(stage, name="", steps=1, learning_rates=JOINT) == dataclasses.replace(
            first, name="", steps=1, learning_rates=JOINT
        )
    assert [set(small_stage(name).learning_rates) for name in ("prior", "1", "2")] == [
        {"alignment", "unet"},
        {"alignment"},
        set(JOINT),
    ]
    for recipe, unknown in ((sdxl_stage, "prior"), (small_stage, "3")):
        with pytest.raises(ValueError, match=f"stage is '{unknown}'"):
            recipe(unknown)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"learning_rates": {}}, "name some of"),
        ({"learning_rates": {"vae": 1.0}}, "name some of"),
        ({"learning_rates": {"alignment": 1.0}, "lora": LoRAConfig()}, "LoRA without"),
        ({"steps": 0}, "give one of them, above 0"),
        ({"accumulation": 0}, "1 or more"),
        ({"log_every": 3, "save_every": 10}, "no multiple"),
        ({"precision": "int8"}, "choose one of no, bf16, fp16"),
        ({"prompt_dropout": 1.1}, "prompt_dropout"),
        ({"ema_decay": 1.0}, "ema_decay"),
    ],
)
def test_stages_are_checked(wrong: dict, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        StageConfig(**{"name": "x", "steps": 1, "learning_rates": JOINT, **wrong})


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"hq": ()}, "hq is empty"),
        ({"crop": 8}, "crop is 8"),
        ({"shrink": 0.5}, "shrink is 0.5"),
        ({"degradations": {"archive": 0}}, "weight above 0"),
    ],
)
def test_data_settings_are_checked(wrong: dict, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        DataConfig(**{"hq": ("x",), "degradations": {}, **wrong})


def test_lora_settings_are_checked() -> None:
    with pytest.raises(ValueError, match="rank of 1 or more"):
        LoRAConfig(rank=0)
