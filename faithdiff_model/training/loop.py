"""The training loop: one for every stage, network and number of processes."""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from accelerate.utils import DistributedDataParallelKwargs, broadcast, set_seed
from diffusers.optimization import get_scheduler
from diffusers.training_utils import EMAModel
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from faithdiff_model.network.config import NetworkConfig
from faithdiff_model.network.text import PromptEncoder
from faithdiff_model.network.unet import FaithDiffUNet
from faithdiff_model.training.clock import ClockSchedule
from faithdiff_model.training.config import DataConfig, StageConfig
from faithdiff_model.training.feed import BatchFeed
from faithdiff_model.training.groups import parameter_groups
from faithdiff_model.training.loss import NoiseLoss, add_noise, as_arguments, forward_process
from faithdiff_model.training.restoration import RestorationLoss
from faithdiff_model.training.state import TrainingLog, claim, load_newest, save_checkpoint
from faithdiff_model.weights.checkpoint import save_published

WEIGHTS = "FaithDiff.safetensors"
LOG = "log.jsonl"


@dataclass(frozen=True)
class TrainingParts:
    """What is trained (`unet`) and what it is trained beside: a frozen VAE, and frozen text encoders where it takes text."""

    unet: FaithDiffUNet
    vae: Any
    prompts: PromptEncoder | None


def train_stage(
    network: NetworkConfig,
    parts: TrainingParts,
    stage: StageConfig,
    data: DataConfig,
    output: Path,
    *,
    device: str = "auto",
    on_log: Callable[[dict[str, Any]], None] | None = None,
) -> Path:
    """Train one stage; go on from the newest checkpoint in `output` if there is one.

    Works alone, under `accelerate launch`, and in a Ray Train worker: it takes the processes that it finds.

    Args:
        network, parts, stage, data: what to train, how, and on what.
        output: gets checkpoints, `log.jsonl`, `stage.json` and, at the end, the averaged weights.
        device: `auto` or `cpu`.
        on_log: called in the main process with each line of the log.

    Returns:
        The weights file, with the published names.

    Raises:
        PhotographError: no photograph can be used.
        ValueError: the stage does not fit the network, or `output` holds a run of another configuration.
    """
    accelerator = _accelerator(stage, device)
    if accelerator.is_main_process:
        claim(output, network, stage, data, accelerator.num_processes)
    accelerator.wait_for_everyone()
    run = _Run(accelerator, network, parts, stage)
    step = load_newest(accelerator, output)
    if run.average is not None:
        run.average.to(accelerator.device)  # a checkpoint's average is loaded onto the CPU
    log = TrainingLog(output / LOG, step) if accelerator.is_main_process else None
    feed = BatchFeed(accelerator, stage, data)
    try:
        _train(run, feed, step, output, log, on_log)
    finally:
        feed.close()
    if accelerator.is_main_process:
        run.write(output / WEIGHTS)
    accelerator.wait_for_everyone()
    return output / WEIGHTS


def _train(
    run: _Run,
    feed: BatchFeed,
    step: int,
    output: Path,
    log: TrainingLog | None,
    on_log: Callable[[dict[str, Any]], None] | None,
) -> None:
    """From a step to the stage's end."""
    stage = run.stage
    run.begin(feed.one_of_each_size())
    losses: list[Tensor] = []
    started = written = time.monotonic()
    begun_at, share = step, run.share(step)
    while share < 1:
        loss, norm = run.step(feed.batches(step, share), step, share)
        losses.append(loss)
        step += 1
        share = run.share(step)
        if step % stage.log_every == 0 or share >= 1:
            seconds = (time.monotonic() - started) / (step - begun_at)
            row = run.log_row(output, step, losses, norm, seconds) | feed.counts
            losses = []
            if log is not None:
                log.add(row)
                if on_log is not None:
                    on_log(row)
        whole = step % stage.save_every == 0 or share >= 1
        if whole:
            save_checkpoint(run.accelerator, output, step, stage.keep)
        if whole or (stage.write_minutes and time.monotonic() - written >= 60 * stage.write_minutes):
            if run.accelerator.is_main_process and stage.objective == "restoration":
                run.write(output / WEIGHTS)  # as good as it is so far
            written = time.monotonic()


def _accelerator(stage: StageConfig, device: str) -> Accelerator:
    """The processes that there are, in the stage's precision. Raises ValueError for a precision that the device lacks."""
    AcceleratorState._reset_state()  # an earlier stage in this process may have had another precision
    accelerator = Accelerator(
        mixed_precision=stage.precision,
        gradient_accumulation_steps=stage.accumulation,
        # Asked for a GPU where there is none, Accelerate would let every process of a group train on its own.
        cpu=device == "cpu" or not torch.accelerator.is_available(),
        step_scheduler_with_optimizer=False,
        # A group's gradients stay where they are summed up, instead of in a second copy.
        kwargs_handlers=[DistributedDataParallelKwargs(gradient_as_bucket_view=True)],
    )
    if stage.precision == "fp16" and accelerator.device.type == "cpu":  # Accelerate would quietly train in float32
        raise ValueError(f"{stage.name}: precision is fp16, which takes a GPU: choose bf16 or no")
    return accelerator


class _Run:
    """The moving parts of a stage."""

    def __init__(
        self, accelerator: Accelerator, network: NetworkConfig, parts: TrainingParts, stage: StageConfig
    ) -> None:
        set_seed(stage.seed)
        self.accelerator, self.network, self.stage = accelerator, network, stage
        self.vae = parts.vae.to(accelerator.device).eval().requires_grad_(False)
        self.prompts = parts.prompts.to(accelerator.device, torch.float32) if parts.prompts is not None else None
        self.unet = parts.unet.train()
        if stage.gradient_checkpointing:
            self.unet.diffusers_core("gradient checkpointing").enable_gradient_checkpointing()
            self.unet.lq_encoder.checkpoint = partial(checkpoint, use_reentrant=False)
        if stage.channels_last:
            self.unet.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
            self.vae.to(memory_format=torch.channels_last)
        groups = parameter_groups(self.unet, stage)
        self.trained = [parameter for group in groups for parameter in group["params"]]
        on_gpu = accelerator.device.type == "cuda"  # there a parameter's own few operations would wait for their launch
        optimizer = torch.optim.AdamW(groups, betas=stage.betas, weight_decay=stage.weight_decay, fused=on_gpu or None)
        self.clock = ClockSchedule(optimizer, stage.minutes) if stage.minutes else None
        self.schedule = self.clock or get_scheduler(
            "cosine", optimizer, num_warmup_steps=stage.warmup_steps, num_training_steps=stage.steps
        )
        if (stage.objective == "restoration") != (network.coefficients is not None):
            raise ValueError(
                f"{stage.name}: objective is {stage.objective}, which does not train preset {network.name}"
            )
        loss: nn.Module
        if stage.objective == "restoration":
            weights = {"gradient_weight": stage.gradient_weight, "feature_weight": stage.feature_weight}
            loss = RestorationLoss(self.unet, self.vae, **weights)
        else:
            self.noising = forward_process(network)
            loss = NoiseLoss(self.unet, conditioned=stage.conditioned)
        if stage.compile:
            _compile(loss)
        self.loss, self.optimizer = accelerator.prepare(loss, optimizer)
        self.average = EMAModel(self.trained, decay=stage.ema_decay, foreach=on_gpu) if stage.ema_decay else None
        accelerator.register_for_checkpointing(self.schedule)
        if self.average is not None:
            accelerator.register_for_checkpointing(self.average)

    def share(self, step: int) -> float:
        """Of the stage that is done, 0 to 1: the same in all processes, and 1 only once it is over."""
        if self.clock is None:
            return step / self.stage.steps
        if self.accelerator.num_processes == 1:
            return self.clock.share
        return float(broadcast(torch.tensor(self.clock.share, dtype=torch.float64, device=self.accelerator.device)))

    def begin(self, batches: list[dict[str, Any]]) -> None:
        """Compile for the sizes of these batches, whose gradients are dropped; the clock's rates begin after that."""
        for number, batch in enumerate(batches):
            self.accelerator.backward(self._loss(batch, number))
            self.optimizer.zero_grad(set_to_none=True)
        if self.clock is not None:
            self.clock.begin()

    def step(self, batches: Any, step: int, share: float) -> tuple[Tensor, Tensor]:
        """One optimizer step. Returns the mean loss and the gradient's norm before clipping, scalars on the device."""
        losses = []
        norm = torch.zeros(())
        for micro in range(self.stage.accumulation):
            with self.accelerator.accumulate(self.loss):
                loss = self._loss(next(batches), step * self.stage.accumulation + micro)
                self.accelerator.backward(loss)
                if self.accelerator.sync_gradients:
                    norm = self.accelerator.clip_grad_norm_(self.trained, self.stage.clip)
                self.optimizer.step()
                self.optimizer.zero_grad(set_to_none=True)
            losses.append(loss.detach())
        if self.clock is not None:
            self.clock.step(share)
        else:
            self.schedule.step()
        if self.average is not None:
            self.average.step(self.trained)
        return torch.stack(losses).mean(), norm

    def _loss(self, batch: dict[str, Any], number: int) -> Tensor:
        if self.stage.objective == "restoration":
            images = [
                batch[name].to(self.accelerator.device, non_blocking=True) for name in ("hq", "lq", "mask", "damage")
            ]
            if self.stage.channels_last:
                images = [image.contiguous(memory_format=torch.channels_last) for image in images]
            with self.accelerator.autocast():
                return self.loss(*images)
        # One generator a call, from the call's number: resuming needs no random state.
        generator = torch.Generator().manual_seed(_mix(self.stage.seed, number, self.accelerator.process_index))
        hq, lq, time_ids = as_arguments(batch, self.accelerator.device)
        with torch.no_grad(), self.accelerator.autocast():
            latent = self._encode(hq)
            start = self._encode(lq) if self.stage.start_from_lq else None
        noised = add_noise(
            latent,
            self.noising,
            self.stage.noise_offset,
            generator,
            start_BChw=start,
            first_timestep=self.stage.first_timestep,
        )
        text = self._text(batch["prompt"], generator)
        with self.accelerator.autocast():
            return self.loss(noised, lq, text, time_ids)

    def _encode(self, image_BCHW: Tensor) -> Tensor:
        return self.vae.encode(image_BCHW).latent_dist.mode().float() * self.network.scaling_factor

    def _text(self, prompts: list[str], generator: torch.Generator) -> tuple[Tensor, Tensor] | None:
        if self.prompts is None:
            return None
        dropped = torch.rand(len(prompts), generator=generator) < self.stage.prompt_dropout
        texts = [self.prompts.encode("" if drop else prompt) for prompt, drop in zip(prompts, dropped, strict=True)]
        return torch.stack([text.text for text in texts]), torch.stack([text.pooled for text in texts])

    def log_row(self, output: Path, step: int, losses: list[Tensor], norm: Tensor, seconds: float) -> dict[str, float]:
        """What the log says of the steps since its last line. Raises ValueError where the loss is no number."""
        mean = self.accelerator.reduce(torch.stack(losses).mean(), "mean").item()
        if not math.isfinite(mean):
            raise ValueError(f"{output}: the loss is {mean} at step {step}: lower the learning rates or use bf16")
        rates = self.learning_rates()
        return {"step": step, "loss": mean, "gradient_norm": float(norm), **rates, "seconds_a_step": seconds}

    def learning_rates(self) -> dict[str, float]:
        """The current ones, by `lr_` and the part's name."""
        return {f"lr_{group['name']}": group["lr"] for group in self.optimizer.param_groups}

    def write(self, path: Path) -> None:
        """Write the averaged weights, adapters merged in, under the published names. Training may go on without adapters."""
        if self.average is not None:
            self.average.store(self.trained)
            self.average.copy_to(self.trained)
        if self.stage.lora is not None:
            core = self.unet.diffusers_core("LoRA")
            core.fuse_lora()
            core.unload_lora()
        save_published(self.unet, path)
        if self.average is not None and self.stage.lora is None:
            self.average.restore(self.trained)


def _compile(module: nn.Module) -> None:
    """For each shape that it meets, when it meets it."""
    module.forward = torch.compile(module.forward, dynamic=False)


def _mix(seed: int, number: int, process: int) -> int:
    """One 63-bit seed from three numbers, without collisions in practice."""
    return int.from_bytes(hashlib.blake2b(f"{seed} {number} {process}".encode(), digest_size=8).digest()) >> 1
