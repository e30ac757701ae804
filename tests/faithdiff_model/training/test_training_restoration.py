"""The objective of restoration: its terms by hand, and that the one loop trains, stops by the clock and goes on with it."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from training_runs import log_rows, moved, small_data, snapshot

from faithdiff_model.build import random_parts
from faithdiff_model.degradation.recipes import DEGRADATIONS
from faithdiff_model.degradation.result import Degraded
from faithdiff_model.network.config import NetworkConfig
from faithdiff_model.presets import DEFAULTS, SHIPPED
from faithdiff_model.presets.nano import NANO
from faithdiff_model.restorer import Restorer
from faithdiff_model.spec import ModelSpec
from faithdiff_model.training import clock, restoration
from faithdiff_model.training.config import StageConfig
from faithdiff_model.training.initial import training_parts
from faithdiff_model.training.loop import WEIGHTS, TrainingParts, train_stage
from faithdiff_model.training.memory import plan_memory
from faithdiff_model.training.recipes import JOINT_DEGRADATIONS, joint_stage
from faithdiff_model.training.restoration import DAMAGE_WEIGHT, RestorationLoss, gradient_difference, patch_log_error
from faithdiff_model.weights.checkpoint import read_tensors

assert NANO.coefficients is not None
SMALL: NetworkConfig = replace(
    NANO,
    name="small",
    coefficients=replace(NANO.coefficients, lq_channels=8, lq_blocks=1, widths=(8, 12), blocks=(1, 1), head_channels=4),
)
RATES = {"lq_encoder": 3e-3, "alignment": 3e-3, "unet": 3e-3}


def parts(seed: int = 0) -> TrainingParts:
    return training_parts(ModelSpec(preset="tiny"), SMALL, init=None, seed=seed)


def stage(**changes: Any) -> StageConfig:
    values = {"name": "joint", "steps": 4, "objective": "restoration", "learning_rates": RATES, "batch": 2}
    return StageConfig(**{**values, "warmup_steps": 1, "log_every": 1, "save_every": 2, **changes})


def run(output: Path, hq: Path, data: dict[str, Any] | None = None, **changes: Any) -> dict[str, torch.Tensor]:
    given = small_data(hq, degradations={"archive-heavy": 1.0}, **(data or {}))
    return read_tensors(train_stage(SMALL, parts(), stage(**changes), given, output, device="cpu"))


def test_a_patchs_error_is_on_a_scale_of_decibels() -> None:
    wanted = torch.full((1, 3, 32, 16), 0.5)
    restored = wanted.clone()
    restored[:, :, :16] += 0.1
    restored[:, 1, 16:] += 0.3
    floor = (3 / 255) ** 2
    expected = (math.log(0.01 + floor) + math.log(0.03 + floor)) / 2
    assert float(patch_log_error(restored, wanted)) == pytest.approx(expected, rel=1e-4)


def test_errors_inside_damage_count_more() -> None:
    wanted, damage = torch.full((1, 3, 16, 16), 0.5), torch.zeros(1, 1, 16, 16)
    damage[..., :4, :] = 1
    inside, outside = wanted.clone(), wanted.clone()
    inside[..., :4, :] += 0.2
    outside[..., 4:8, :] += 0.2
    errors = [float(patch_log_error(image, wanted, 1 + DAMAGE_WEIGHT * damage)) for image in (inside, outside)]
    floor = (3 / 255) ** 2
    assert errors[0] == pytest.approx(math.log(5 * 0.01 + floor), rel=1e-4)
    assert errors[1] == pytest.approx(math.log(0.01 + floor), rel=1e-4)


def test_gradients_count_by_their_magnitude() -> None:
    ramp = torch.linspace(0, 1, 32).expand(1, 3, 32, 32).contiguous()
    flat = torch.full_like(ramp, 0.5)
    assert float(gradient_difference(ramp, ramp)) == pytest.approx(0, abs=1e-6)
    assert float(gradient_difference(ramp, 1 - ramp)) == pytest.approx(0, abs=1e-6)  # as steep, whichever way
    assert float(gradient_difference(ramp, ramp.transpose(2, 3))) == pytest.approx(0, abs=1e-6)
    assert 0.1 < float(gradient_difference(flat, ramp)) < 1
    assert float(gradient_difference(0.5 * ramp, ramp)) < float(gradient_difference(0.1 * ramp, ramp))


def test_the_loss_is_that_of_a_restoration() -> None:
    """What is trained is what `Restorer` runs: the same pixels from the same weights."""
    unet, codec, _ = random_parts(SMALL, 0)
    with torch.no_grad():
        unet.core.conv_out.weight.mul_(30)
    loss = RestorationLoss(unet.eval(), codec, gradient_weight=0.0)
    scan, mask = np.random.default_rng(0).random((64, 80, 3), np.float32), np.zeros((64, 80), bool)
    mask[20:30, 40:44] = True
    restorer = Restorer(
        config=SMALL,
        unet=unet,
        vae=codec,
        prompt_encoder=None,
        options=DEFAULTS["nano"],
        device=torch.device("cpu"),
        digest="",
        trained=False,
    )
    ours = restorer.restore([scan], [""], [0], masks=[mask])[0]
    with torch.no_grad():
        lq = torch.from_numpy(scan).permute(2, 0, 1)[None] * 2 - 1
        trained = loss.restored(lq, torch.from_numpy(mask.astype(np.float32))[None, None])
    expected = ((trained[0] + 1) / 2).clamp(0, 1).permute(1, 2, 0).numpy()
    np.testing.assert_allclose(ours, expected, atol=1e-5)
    assert np.abs(ours - scan).mean() > 0.01


def test_it_trains_every_part_and_the_error_falls(hq: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Scans that are all too dark."""
    darker = lambda image, _rng: Degraded(hq=image, lq=image * np.float32(0.8), original=image)  # noqa: E731
    monkeypatch.setitem(DEGRADATIONS, "darker", darker)
    before, start = snapshot(parts().unet), parts()
    longer = stage(steps=60, warmup_steps=4, save_every=60, gradient_weight=0.5)
    train_stage(SMALL, start, longer, small_data(hq, degradations={"darker": 1.0}), tmp_path, device="cpu")
    assert moved(before, snapshot(start.unet)) == set(before)
    losses = [row["loss"] for row in log_rows(tmp_path)]
    assert np.mean(losses[-10:]) < np.mean(losses[:10]) - 1


def test_the_crisp_end_moves_unet_and_head_alone(hq: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its loss counts what a network sees; here a stand-in for VGG16's 59 MB, which compares Laplacians."""

    class Laplacians(torch.nn.Module):
        def forward(self, ours: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
            kernel = torch.tensor([[0.0, 1, 0], [1, -4, 1], [0, 1, 0]]).expand(3, 1, 3, 3)
            return torch.nn.functional.conv2d(ours - wanted, kernel, groups=3).square().mean()

    monkeypatch.setattr(restoration, "FeatureDistance", Laplacians)
    start = parts()
    before = snapshot(start.unet)
    crisp = stage(learning_rates={"unet": 1e-3}, feature_weight=3.0, name="detail")
    train_stage(SMALL, start, crisp, small_data(hq, degradations={"level-II": 1.0}), tmp_path, device="cpu")
    changed = moved(before, snapshot(start.unet))
    assert changed
    assert {name.partition(".")[0] for name in changed} == {"core", "head"}


def test_coarse_errors_count_at_the_crisp_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of two results that are as wrong in every pixel, the one that is right on average loses less."""

    class Blind(torch.nn.Module):
        def forward(self, ours: torch.Tensor, _wanted: torch.Tensor) -> torch.Tensor:
            return ours.sum() * 0

    monkeypatch.setattr(restoration, "FeatureDistance", Blind)
    unet, codec, _ = random_parts(SMALL, 0)
    loss = RestorationLoss(unet, codec, gradient_weight=0.0, feature_weight=1.0)
    wanted, none = torch.zeros(1, 3, 32, 32), torch.zeros(1, 1, 32, 32)
    fine = 0.2 * (torch.arange(32) % 2 * 2 - 1).float().expand(1, 3, 32, 32)
    errors = []
    for result in (fine, fine.abs()):
        monkeypatch.setattr(loss, "restored", lambda _lq, _mask, result=result: result)
        errors.append(float(loss(wanted, wanted, none, none)))
    assert errors[0] < errors[1] - 2


def test_going_on_gives_the_same_weights(hq: Path, tmp_path: Path) -> None:
    whole = run(tmp_path / "a", hq)
    run(tmp_path / "b", hq, steps=4, keep=5)
    (tmp_path / "b" / "checkpoint-0000004").rename(tmp_path / "b" / "taken")
    again = run(tmp_path / "b", hq, steps=4, keep=5)
    assert all(torch.equal(whole[name], again[name]) for name in whole)


def test_the_clock_ends_a_stage_and_its_minutes_may_change(
    hq: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each look at the clock takes a second here."""

    class Time:
        now = 0.0

        def monotonic(self) -> float:
            Time.now += 1.0
            return Time.now

    monkeypatch.setattr(clock, "time", Time())
    run(tmp_path, hq, steps=0, minutes=0.2)
    rows = log_rows(tmp_path)
    assert 3 <= len(rows) <= 12
    assert rows[-1]["lr_unet"] < 0.2 * max(row["lr_unet"] for row in rows)
    run(tmp_path, hq, steps=0, minutes=0.4)  # goes on
    more = log_rows(tmp_path)
    assert len(more) > len(rows)
    assert more[: len(rows)] == rows


def test_weights_can_be_read_while_it_trains(hq: Path, tmp_path: Path) -> None:
    seen = []

    def look(row: dict[str, Any]) -> None:
        seen.append((row["step"], (tmp_path / WEIGHTS).exists()))

    given = small_data(hq)
    train_stage(SMALL, parts(), stage(steps=6), given, tmp_path, device="cpu", on_log=look)
    assert (3, True) in seen
    assert (1, False) in seen


def test_late_samples_are_larger(hq: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shapes = []
    real = RestorationLoss.forward
    monkeypatch.setattr(
        RestorationLoss,
        "forward",
        lambda self, hq, *others: shapes.append(tuple(hq.shape)) or real(self, hq, *others),
    )
    run(tmp_path, hq, {"crop": 16}, late_from=0.5, late_crop=32, late_batch=1)
    assert shapes == [(2, 3, 16, 16)] * 2 + [(1, 3, 32, 32)] * 2


def test_objectives_and_networks_must_fit(hq: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="objective is noise, which does not train preset small"):
        train_stage(SMALL, parts(), stage(objective="noise"), small_data(hq), tmp_path, device="cpu")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"minutes": 3.0}, "give one of them"),
        ({"steps": 0}, "give one of them"),
        ({"late_from": 0.5}, "late_crop and late_batch"),
    ],
)
def test_stages_are_checked(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        stage(**changes)


def test_the_recipe_is_one_that_can_be_planned() -> None:
    recipe = joint_stage(85)
    plan = plan_memory(NANO, recipe, 64)
    unet = random_parts(NANO, 0)[0]
    assert sum(plan.trained.values()) == sum(plan.parameters.values()) == sum(p.numel() for p in unet.parameters())
    assert plan_memory(NANO, replace(recipe, batch=8), 64).activations == pytest.approx(plan.activations / 2, rel=0.05)
    assert sum(JOINT_DEGRADATIONS.values()) == pytest.approx(1)
    assert recipe.late_crop % 16 == 0


def test_held_out_photographs_are_named_and_left_out() -> None:
    names = (SHIPPED / "nano" / "held-out-photographs.txt").read_text().split()
    assert len(names) == len(set(names)) == 20
    assert sorted(names) == names
