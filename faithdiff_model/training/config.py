"""What one stage of training does, and on what data. A stage is a configuration; the loop does not know which one it runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Objective = Literal["noise", "restoration"]
Group = Literal["lq_encoder", "alignment", "unet"]
GROUPS: tuple[Group, ...] = ("lq_encoder", "alignment", "unet")
PRECISIONS = ("no", "bf16", "fp16")


@dataclass(frozen=True, kw_only=True)
class LoRAConfig:
    """Low-rank adapters on the UNet instead of its own weights, which stay frozen: the cheap variant.

    Attributes:
        rank: of the adapters.
        alpha: their scale is `alpha / rank`.
        targets: the ends of the names of the layers that get one.
    """

    rank: int = 16
    alpha: float = 16.0
    targets: tuple[str, ...] = ("to_q", "to_k", "to_v", "to_out.0")

    def __post_init__(self) -> None:
        if self.rank < 1 or not self.targets:
            raise ValueError(
                f"LoRA rank {self.rank} on {self.targets}: choose a rank of 1 or more and at least one layer"
            )


@dataclass(frozen=True, kw_only=True)
class StageConfig:
    """One stage of training. Defaults are the reference's (golden README, fact 10).

    Attributes:
        name: of its folder and log.
        steps: optimizer steps; 0 with `minutes`.
        minutes: to train for, by the clock, instead of steps: learning rates rise and fall over them (`clock.ClockSchedule`).
        objective: `noise` predicts noise in latents (`loss.NoiseLoss`); `restoration` compares results with photographs, for a
            network that restores in one step (`restoration.RestorationLoss`).
        gradient_weight, feature_weight: see `RestorationLoss`.
        late_from: share of the stage (0 to 1) after which its samples are larger; 1 is never.
        late_crop, late_batch: side and number of those samples.
        betas: of AdamW.
        learning_rates: of each part that is trained; parts that are not named stay frozen.
        conditioned: False trains the plain diffusion prior, without an LQ image (SDXL is one already).
        batch: samples a process and call.
        accumulation: calls an optimizer step.
        warmup_steps: over which learning rates rise, before they fall along a cosine.
        clip: largest norm of the gradient.
        noise_offset: share of noise that is one value a channel.
        prompt_dropout: probability that a prompt is left out.
        start_from_lq: noise towards the LQ latents instead of around the HQ ones (see `loss.add_noise`), for a noise schedule
            that ends where they can still be seen.
        first_timestep: lower ones are not trained; a sampler of few steps never meets them.
        ema_decay: of the averaged weights that are kept; 0 keeps the last ones.
        precision: `no` (float32), `bf16` or `fp16`.
        gradient_checkpointing: recompute the UNet's activations, for memory.
        channels_last: memory layout; faster on CPUs and tensor cores.
        lora: train adapters in the UNet instead of the UNet.
        seed: of samples, noise and timesteps.
        log_every, save_every: steps; `save_every` must be a multiple of `log_every`.
        write_minutes: the averaged weights are also written each time so many minutes are over, of objective restoration; 0 is
            at checkpoints alone.
        compile: compile loss and network with torch.compile, once for each size of a batch.
        keep: checkpoints that are kept.
    """

    name: str
    steps: int = 0
    minutes: float = 0.0
    learning_rates: Mapping[Group, float]
    objective: Objective = "noise"
    gradient_weight: float = 0.0
    feature_weight: float = 0.0
    late_from: float = 1.0
    late_crop: int = 0
    late_batch: int = 0
    betas: tuple[float, float] = (0.9, 0.999)
    conditioned: bool = True
    batch: int = 16
    accumulation: int = 1
    warmup_steps: int = 300
    weight_decay: float = 1e-2
    clip: float = 1.0
    noise_offset: float = 0.02
    prompt_dropout: float = 0.2
    start_from_lq: bool = False
    first_timestep: int = 0
    ema_decay: float = 0.999
    precision: Literal["no", "bf16", "fp16"] = "no"
    gradient_checkpointing: bool = False
    channels_last: bool = False
    lora: LoRAConfig | None = None
    seed: int = 0
    log_every: int = 10
    save_every: int = 500
    write_minutes: float = 0.0
    compile: bool = False
    keep: int = 2

    def __post_init__(self) -> None:
        unknown = set(self.learning_rates) - set(GROUPS)
        if unknown or not self.learning_rates:
            raise ValueError(
                f"{self.name}: learning rates of {sorted(self.learning_rates)}: name some of {', '.join(GROUPS)}"
            )
        if self.lora is not None and "unet" not in self.learning_rates:
            raise ValueError(f"{self.name}: LoRA without a learning rate of the UNet: give one")
        if (self.steps > 0) == (self.minutes > 0) or self.steps < 0 or self.minutes < 0:
            raise ValueError(f"{self.name}: steps {self.steps} and minutes {self.minutes}: give one of them, above 0")
        if self.write_minutes < 0:
            raise ValueError(f"{self.name}: write_minutes is {self.write_minutes}: give 0 or more")
        if self.late_from < 1 and min(self.late_crop, self.late_batch) < 1:
            raise ValueError(f"{self.name}: late_crop and late_batch must be 1 or more")
        if min(self.batch, self.accumulation, self.log_every, self.save_every, self.keep) < 1:
            raise ValueError(f"{self.name}: batch, accumulation, log_every, save_every and keep must be 1 or more")
        if self.save_every % self.log_every:
            raise ValueError(f"{self.name}: save_every {self.save_every} is no multiple of log_every {self.log_every}")
        if self.precision not in PRECISIONS:
            raise ValueError(f"{self.name}: precision is {self.precision!r}: choose one of {', '.join(PRECISIONS)}")
        if not 0 <= self.prompt_dropout <= 1 or not 0 <= self.ema_decay < 1:
            raise ValueError(f"{self.name}: prompt_dropout must be in 0 to 1 and ema_decay in 0 to below 1")


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    """What to train on.

    Attributes:
        hq: folders or fsspec URLs of high-quality photographs.
        captions: see `photographs.list_photographs`.
        crop: side of a sample in pixels.
        degradations: names in `degradation.recipes.DEGRADATIONS` and how often each is taken, relative to each other. Empty
            gives undamaged samples.
        shrink: a crop may be taken from the photograph reduced by up to this factor (1 is never).
        workers: processes that read and degrade; 0 does it in the training process.
        cache_mib: decoded photographs that each worker keeps.
        leave_out: a file with the names of photographs that are not trained on, a line each; "" leaves out none.
        cache: a folder for degraded crops (`shards.ShardedCrops`); "" degrades anew for each sample. Then `crop` is the side of
            what is kept, and `part` that of a sample.
        shards: of `shards.SHARD` crops each, that are kept.
        part: side of a sample cut from a kept crop; 0 takes it whole.
        pool: kept crops in the trainer's own memory instead (`pool.CropPool`), which `workers` go on replacing; 0 is none.
    """

    hq: tuple[str, ...]
    captions: str = ""
    crop: int = 512
    degradations: Mapping[str, float]
    shrink: float = 1.0
    workers: int = 4
    cache_mib: int = 512
    leave_out: str = ""
    cache: str = ""
    shards: int = 64
    part: int = 0
    pool: int = 0

    def __post_init__(self) -> None:
        if not self.hq:
            raise ValueError("hq is empty: name a folder of high-quality photographs")
        if self.crop < 16:
            raise ValueError(f"crop is {self.crop}: choose 16 or more")
        if self.pool < 0 or (self.pool and self.cache):
            raise ValueError(
                f"pool is {self.pool} and cache {self.cache!r}: give one of them, a pool of 1 crop or more"
            )
        if not 1 <= self.shrink <= 8:
            raise ValueError(f"shrink is {self.shrink}: choose 1 to 8")
        if any(weight <= 0 for weight in self.degradations.values()):
            raise ValueError(f"degradations are {dict(self.degradations)}: give each a weight above 0")
