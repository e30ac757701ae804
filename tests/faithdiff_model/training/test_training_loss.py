"""The objective against sums by hand: noise, prompts, accumulation, clipping, averaging, checkpointed activations."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn.utils import get_total_norm
from torch.optim.optimizer import register_optimizer_step_pre_hook
from training_runs import log_rows, run_stage, short_stage, small_data, snapshot, tiny_parts
from training_sums import losses_by_hand

from faithdiff_model.network.text import TextEmbedding
from faithdiff_model.presets.tiny import TINY
from faithdiff_model.training.loss import Noised, NoiseLoss, add_noise, forward_process

SCHEDULE = forward_process(TINY)


class StubUNet(nn.Module):
    """Predicts what it is told to, and notes what it was asked."""

    def __init__(self, predicted: Tensor) -> None:
        super().__init__()
        self.predicted = predicted
        self.lq_encoder = nn.Identity()
        self.alignment = nn.Module()
        self.alignment.lq_embedding = nn.AvgPool2d(8)
        self.asked: tuple[Any, ...] = ()

    def forward(self, *arguments: Any) -> Tensor:
        self.asked = arguments
        return self.predicted


def noised(rows: int = 2) -> Noised:
    return add_noise(torch.ones(rows, 4, 4, 4), SCHEDULE, 0.02, torch.Generator().manual_seed(3))


def test_the_loss_is_the_mean_absolute_error_of_the_noise() -> None:
    given, lq, ids = noised(), torch.rand(2, 3, 32, 32), torch.rand(2, 6)
    text = (torch.rand(2, 77, 8), torch.rand(2, 8))
    unet = StubUNet(given.target + torch.tensor([0.25, -0.75]).view(2, 1, 1, 1))
    loss = NoiseLoss(unet, conditioned=True)(given, lq, text, ids)
    assert loss.item() == pytest.approx(0.5)
    assert loss.dtype == torch.float32
    expected = (given.latent, nn.functional.avg_pool2d(lq, 8), given.timestep, *text, ids)
    assert all(torch.equal(found, wanted) for found, wanted in zip(unet.asked, expected, strict=True))


def test_a_prior_sees_no_lq_image() -> None:
    given = noised()
    unet = StubUNet(torch.zeros(2, 4, 4, 4))
    loss = NoiseLoss(unet, conditioned=False)(given, torch.rand(2, 3, 32, 32), None, torch.rand(2, 6))
    assert loss.item() == pytest.approx(given.target.abs().mean().item())
    assert [unet.asked[place] for place in (1, 3, 4)] == [None, None, None]


def test_latents_are_noised_as_the_schedule_says() -> None:
    latent = torch.randn(8, 4, 4, 4)
    result = add_noise(latent, SCHEDULE, 0.1, torch.Generator().manual_seed(1))
    kept = SCHEDULE.alphas_cumprod[result.timestep].view(8, 1, 1, 1)
    torch.testing.assert_close(result.latent, kept.sqrt() * latent + (1 - kept).sqrt() * result.target)


@pytest.mark.parametrize("kind", ["epsilon", "v_prediction"])
def test_noise_towards_the_lq_image_ends_at_it(kind: str) -> None:
    """The last timestep's latent is the noised LQ latent; the first one's is nearly the HQ latent; the target leads back."""
    schedule = forward_process(replace(TINY, noise_schedule={**TINY.noise_schedule, "prediction_type": kind}))
    hq, lq = torch.randn(2, 4, 4, 4), torch.randn(2, 4, 4, 4)
    for timestep in (0, 400, 999):
        result = add_noise(hq, schedule, 0.0, torch.Generator().manual_seed(3), start_BChw=lq, first_timestep=timestep)
        plain = add_noise(hq, schedule, 0.0, torch.Generator().manual_seed(3), first_timestep=timestep)
        assert result.timestep.min() >= timestep
        kept = schedule.alphas_cumprod[result.timestep].view(2, 1, 1, 1)
        if timestep == 999:
            torch.testing.assert_close(result.latent - plain.latent, kept.sqrt() * (lq - hq))
        if kind == "epsilon":
            back = (result.latent - (1 - kept).sqrt() * result.target) / kept.sqrt()
        else:
            back = kept.sqrt() * result.latent - (1 - kept).sqrt() * result.target
        torch.testing.assert_close(back, hq, rtol=1e-3, atol=2e-3)


def test_the_noise_offset_moves_whole_channels() -> None:
    latent = torch.zeros(256, 4, 16, 16)
    for offset in (0.0, 0.5):
        noise = add_noise(latent, SCHEDULE, offset, torch.Generator().manual_seed(0)).target
        means = noise.mean(dim=(2, 3))
        assert means.std().item() == pytest.approx((offset**2 + 1 / 256) ** 0.5, rel=0.08)
        assert (noise - means[:, :, None, None]).std().item() == pytest.approx(1.0, rel=0.01)


def test_timesteps_are_uniform_over_the_whole_range() -> None:
    timestep = add_noise(torch.zeros(20_000, 1, 1, 1), SCHEDULE, 0.0, torch.Generator().manual_seed(0)).timestep
    assert (timestep.min().item(), timestep.max().item()) == (0, 999)
    assert timestep.float().mean().item() == pytest.approx(499.5, rel=0.02)


def test_noise_is_a_function_of_the_generator_alone() -> None:
    first, again, other = (
        add_noise(torch.zeros(2, 4, 4, 4), SCHEDULE, 0.02, torch.Generator().manual_seed(seed)) for seed in (5, 5, 6)
    )
    assert torch.equal(first.target, again.target)
    assert torch.equal(first.timestep, again.timestep)
    assert not torch.equal(first.target, other.target)


def test_no_gradient_reaches_the_noise_but_every_trained_part_gets_one() -> None:
    parts, given = tiny_parts(), noised()
    text = (torch.randn(2, 77, 48), torch.randn(2, 24))
    NoiseLoss(parts.unet, conditioned=True)(given, torch.rand(2, 3, 32, 32), text, torch.zeros(2, 6)).backward()
    assert given.latent.grad is None
    assert not given.latent.requires_grad
    assert all(parameter.grad is not None for parameter in parts.unet.parameters())


class NotedPrompts:
    """A prompt encoder that notes the prompts."""

    def __init__(self) -> None:
        self.prompts: list[str] = []

    def to(self, *_: Any) -> NotedPrompts:
        return self

    def encode(self, prompt: str) -> TextEmbedding:
        self.prompts.append(prompt)
        return TextEmbedding(torch.full((77, 48), float(len(prompt))), torch.zeros(24))


@pytest.mark.parametrize("dropout", [0.0, 0.25, 1.0])
def test_prompts_are_dropped_as_often_as_asked(hq: Path, tmp_path: Path, dropout: float) -> None:
    captions = tmp_path / "captions.csv"
    captions.write_text("path,caption\n" + "".join(f"{number}.png,a barn\n" for number in range(3)))
    prompts = NotedPrompts()
    stage = short_stage(steps=5, batch=24, prompt_dropout=dropout, learning_rates={"alignment": 1e-3})
    data = small_data(hq, captions=str(captions), degradations={})
    run_stage(stage, data, tmp_path / "run", parts=replace(tiny_parts(), prompts=prompts))
    assert set(prompts.prompts) <= {"", "a barn"}
    assert len(prompts.prompts) == 120
    assert prompts.prompts.count("") == pytest.approx(120 * dropout, abs=14 if 0 < dropout < 1 else 0)  # 3 deviations


def test_a_prompt_changes_the_loss(hq: Path, tmp_path: Path) -> None:
    (tmp_path / "c.csv").write_text("path,caption\n" + "".join(f"{number}.png,a barn\n" for number in range(3)))
    for dropout in (0.0, 1.0):
        stage = short_stage(steps=1, prompt_dropout=dropout)
        run_stage(stage, small_data(hq, captions=str(tmp_path / "c.csv")), tmp_path / str(dropout))
    run_stage(short_stage(steps=1, prompt_dropout=1.0), small_data(hq), tmp_path / "none")
    with_prompt, dropped, none = (log_rows(tmp_path / name)[0]["loss"] for name in ("0.0", "1.0", "none"))
    assert dropped == none != with_prompt


@pytest.mark.parametrize("accumulation", [1, 2])
def test_an_optimizer_step_by_hand(hq: Path, tmp_path: Path, accumulation: int) -> None:
    """Loss, gradient, clipping and AdamW of one step; with accumulation, of the mean of the calls' gradients."""
    stage = short_stage(steps=1, warmup_steps=0, accumulation=accumulation, clip=0.1, ema_decay=0, log_every=1)
    data = small_data(hq)
    written = run_stage(stage, data, tmp_path)
    parts = tiny_parts()
    modules = {"lq_encoder": parts.unet.lq_encoder, "alignment": parts.unet.alignment, "unet": parts.unet.core}
    groups = [{"params": list(modules[name].parameters()), "lr": stage.learning_rates[name]} for name in modules]
    optimizer = torch.optim.AdamW(groups, betas=(0.9, 0.999), weight_decay=stage.weight_decay)
    losses = losses_by_hand(parts, stage, data, calls=range(accumulation))
    torch.stack(losses).mean().backward()
    parameters = list(parts.unet.parameters())
    norm = get_total_norm([parameter.grad for parameter in parameters])
    nn.utils.clip_grad_norm_(parameters, stage.clip)
    optimizer.step()
    (row,) = log_rows(tmp_path)
    assert row["loss"] == pytest.approx(torch.stack(losses).mean().item(), rel=1e-6)
    assert row["gradient_norm"] == pytest.approx(norm.item(), rel=1e-5)
    for name, tensor in snapshot(parts.unet).items():
        torch.testing.assert_close(written[name], tensor, rtol=0, atol=2e-6, msg=name)


def test_calls_have_samples_of_their_own(hq: Path, tmp_path: Path) -> None:
    """Two calls of two samples see the four samples that one call of four sees; their noise is another by design."""
    short, long = (short_stage(batch=batch) for batch in (2, 4))
    data = small_data(hq)
    seen: dict[int, list[Tensor]] = {2: [], 4: []}
    losses_by_hand(tiny_parts(), short, data, calls=range(2), on_batch=lambda batch: seen[2].append(batch["hq"]))
    losses_by_hand(tiny_parts(), long, data, calls=range(1), on_batch=lambda batch: seen[4].append(batch["hq"]))
    assert torch.equal(torch.cat(seen[2]), torch.cat(seen[4]))


def test_with_accumulation_everything_else_happens_once_a_step(hq: Path, tmp_path: Path) -> None:
    """Learning rates, logged rows, optimizer steps and the average go by optimizer steps."""
    updates = []
    handle = register_optimizer_step_pre_hook(lambda *_: updates.append(1))
    run_stage(short_stage(accumulation=3), small_data(hq), tmp_path / "3")
    handle.remove()
    run_stage(short_stage(), small_data(hq), tmp_path / "1")
    assert len(updates) == 4
    accumulated, plain = (log_rows(tmp_path / name) for name in ("3", "1"))
    for name in ("step", "lr_lq_encoder", "lr_alignment", "lr_unet"):
        assert [row[name] for row in accumulated] == [row[name] for row in plain]


def test_the_gradient_is_no_longer_than_clip(hq: Path, tmp_path: Path) -> None:
    lengths = []

    def note(optimizer: Any, *_: Any) -> None:
        gradients = [p.grad for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
        lengths.append(get_total_norm(gradients).item())

    handle = register_optimizer_step_pre_hook(note)
    run_stage(short_stage(steps=3, clip=1.4), small_data(hq), tmp_path)
    handle.remove()
    before = [row["gradient_norm"] for row in log_rows(tmp_path)]
    assert lengths == pytest.approx([min(length, 1.4) for length in before], rel=1e-4)
    assert max(before) > 1.4


def test_the_average_follows_its_formula(hq: Path, tmp_path: Path) -> None:
    """decay = min(ema_decay, (1 + n) / (10 + n)) after n earlier steps, and 0 at the first (diffusers' EMAModel)."""
    stage = short_stage(steps=4, save_every=1, keep=4, ema_decay=0.2, warmup_steps=0)
    written = run_stage(stage, small_data(hq), tmp_path)
    average: dict[str, Tensor] = {}
    for step in range(4):
        live = load_file(tmp_path / f"checkpoint-{step + 1:07d}" / "model.safetensors")
        decay = min(0.2, (1 + step) / (10 + step)) if step else 0.0
        average = {name: decay * average.get(name, 0) + (1 - decay) * tensor for name, tensor in live.items()}
    assert {f"unet.{name}" for name in written} == set(average)
    for name, tensor in written.items():
        torch.testing.assert_close(tensor, average[f"unet.{name}"], rtol=1e-5, atol=1e-6)
    assert not torch.equal(written["core.conv_out.weight"], live["unet.core.conv_out.weight"])


@pytest.mark.parametrize("precision", ["no", "bf16"])
def test_computing_activations_again_gives_the_same_gradients(hq: Path, tmp_path: Path, precision: str) -> None:
    results = []
    for again in (False, True):
        stage = short_stage(steps=1, warmup_steps=0, gradient_checkpointing=again, precision=precision, ema_decay=0)
        results.append(run_stage(stage, small_data(hq), tmp_path / str(again)))
    kept, recomputed = (log_rows(tmp_path / name)[0] for name in ("False", "True"))
    assert recomputed == pytest.approx(kept, rel=1e-5)
    for name, tensor in results[0].items():
        torch.testing.assert_close(results[1][name], tensor, rtol=0, atol=1e-6, msg=name)
