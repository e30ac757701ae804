"""Every setting of a training stage, typed and validated: flags, environment and YAML fill this one object."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, field_validator, model_validator

from faithdiff_model.presets import PRESETS
from faithdiff_model.spec import ModelSpec
from faithdiff_model.training.ablations import Ablation, ablate
from faithdiff_model.training.config import DataConfig, LoRAConfig, StageConfig
from faithdiff_model.training.recipes import JOINT_DEGRADATIONS, detail_stage, joint_stage, sdxl_stage, small_stage
from pipelines.run.training import TrainingJob
from pipelines.setting_types import PresetName, setting

__all__ = ["ENV_PREFIX", "TrainSettings"]

ENV_PREFIX = "FAITHARCHIVE_TRAIN_"
_DEGRADATIONS = "level-I=1,level-II=3,archive=2"
_MINUTES = 85.0


class TrainSettings(BaseModel):
    """Settings of `faitharchive train`. Zero or empty takes the recipe's value."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    hq: str = setting("", "Data", "Folder or URL of high-quality photographs; several with commas.")
    output: str = setting("", "Data", "Folder for checkpoints, log and weights. A run in it is continued.")
    captions: str = setting(
        "", "Data", "'beside' for .txt files beside the photographs, or a CSV with path and caption."
    )
    degradations: str = setting(
        "",
        "Data",
        "Degradations and how often each, relative to each other, as in level-II=3,archive=2; empty is the recipe's mix.",
    )
    crop: int = setting(0, "Data", "Side of a sample in pixels; 0 is 512 of sdxl, 128 of others.", ge=0, le=4096)
    shrink: float = setting(2.0, "Data", "Samples may come from photographs reduced by up to this.", ge=1, le=8)
    workers: int = setting(2, "Data", "Processes that read and degrade, for each training process.", ge=0, le=256)
    leave_out: str = setting("", "Data", "File with the names of photographs that are not trained on, a line each.")
    cache: str = setting(
        "", "Data", "Folder that keeps degraded crops, for stages joint and detail; empty degrades anew."
    )
    shards: int = setting(64, "Data", "Shards of 512 crops that the cache holds.", ge=1, le=100_000)

    preset: PresetName = setting("nano", "Model", f"Network: {', '.join(PRESETS)}.")
    base: str = setting(
        "", "Model", "SDXL base model: folder, URL or hub id (owner/name@revision); empty is the preset's own."
    )
    vae: str = setting("", "Model", "VAE: folder, URL or hub id, as base; empty is the preset's own.")
    init: str = setting("", "Model", "Weights to begin with: an earlier stage's FaithDiff.safetensors.")
    attention: Literal["preset", "guidance_pair", "spatial"] = setting("preset", "Model", "Alignment attention.")
    ablation: Ablation = setting("none", "Model", "One thing taken away, as in the paper's tables 5 and 6.")
    lora_rank: int = setting(0, "Model", "Train adapters of this rank in the UNet instead of the UNet; 0 is off.", ge=0)
    lora_targets: str = setting(
        "to_q,to_k,to_v,to_out.0", "Model", "Ends of the names of the layers that get an adapter."
    )

    stage: Literal["vae", "prior", "1", "2", "joint", "detail"] = setting(
        "joint",
        "Stage",
        "joint trains nano from nothing, and is its default; detail trains its crisp end from joint's weights. For others, 1 "
        "trains the alignment, 2 (their default) all three parts; vae and prior make what sdxl already has.",
    )
    steps: int = setting(0, "Stage", "Optimizer steps.", ge=0)
    minutes: float = setting(0.0, "Stage", "Time to train for, of stages joint and detail; 0 is 85.", ge=0)
    gradient_weight: float = setting(
        -1.0, "Stage", "Of edges beside errors, in stages joint and detail; -1 is the recipe's.", ge=-1
    )
    feature_weight: float = setting(
        -1.0, "Stage", "Of textures beside errors, in stage detail; -1 is the recipe's.", ge=-1
    )
    batch: int = setting(0, "Stage", "Samples a process and call.", ge=0)
    accumulation: int = setting(0, "Stage", "Calls an optimizer step.", ge=0)
    learning_rate: float = setting(0.0, "Stage", "Of alignment and UNet; the LQ encoder's keeps its ratio.", ge=0, le=1)
    precision: Literal["recipe", "no", "bf16", "fp16"] = setting("recipe", "Stage", "Arithmetic of the network.")
    gradient_checkpointing: bool = setting(False, "Stage", "Recompute activations, for memory; sdxl always does.")
    seed: int = setting(0, "Stage", "Of samples, noise and timesteps.", ge=0, lt=2**31)
    log_every: int = setting(10, "Stage", "Steps between lines of the log.", ge=1)
    save_every: int = setting(500, "Stage", "Steps between checkpoints; a multiple of log_every.", ge=1)

    device: Literal["auto", "cpu"] = setting("auto", "Machines", "auto takes GPUs where there are some.")
    ray_workers: int = setting(0, "Machines", "Training processes on Ray; 0 trains here, without Ray.", ge=0)
    ray_address: str = setting("local", "Machines", "local starts Ray here; auto or ray://host:10001 joins a cluster.")

    @model_validator(mode="before")
    @classmethod
    def _stage_of_the_preset(cls, given: object) -> object:
        """Where no stage is named, the one that trains the preset whole."""
        if isinstance(given, dict) and "stage" not in given:
            preset = PRESETS.get(given.get("preset", cls.model_fields["preset"].default))
            if preset is not None and preset.coefficients is None:
                return {**given, "stage": "2"}
        return given

    @field_validator("degradations")
    @classmethod
    def _known_degradations(cls, value: str) -> str:
        if value:
            _weights(value)
        return value

    @model_validator(mode="after")
    def _complete(self) -> TrainSettings:
        if not self.hq or not self.output:
            raise ValueError("hq and output are needed: faitharchive train PHOTOGRAPHS OUTPUT")
        if self.preset == "sdxl" and self.stage in ("vae", "prior"):
            raise ValueError(f"stage is {self.stage} but sdxl is trained as far as that: choose stage 1 or 2")
        if self._by_clock != (PRESETS[self.preset].coefficients is not None):
            fitting = "joint or detail" if PRESETS[self.preset].coefficients is not None else "vae, prior, 1 or 2"
            raise ValueError(f"stage is {self.stage}, which does not train {self.preset}: choose {fitting}")
        if self.stage == "vae" and self.ray_workers:
            raise ValueError("stage is vae, which one process trains: leave ray_workers out")
        if self.stage == "detail" and not self.init:
            raise ValueError("stage is detail, which goes on from joint's weights: give them as init")
        return self

    @property
    def _by_clock(self) -> bool:
        """Whether the stage trains a network that restores in one step, until its time is out."""
        return self.stage in ("joint", "detail")

    def job(self) -> TrainingJob:
        """What to run.

        Raises:
            ValueError: settings that do not go together.
        """
        attention = None if self.attention == "preset" else self.attention
        spec = ModelSpec(
            preset=self.preset, base=self.base, vae=self.vae, attention=attention, device=self.device, dtype="float32"
        )
        network, stage = ablate(self.ablation, spec.network(), self._stage())
        return TrainingJob(
            spec=spec,
            network=network,
            stage=stage,
            data=self.data(),
            output=Path(self.output),
            init=Path(self.init) if self.init else None,
            fresh_alignment=self.ablation == "without-pretraining",
        )

    def data(self) -> DataConfig:
        """What to train on."""
        return DataConfig(
            hq=tuple(part.strip() for part in self.hq.split(",") if part.strip()),
            captions=self.captions,
            crop=self.crop or (512 if self.preset == "sdxl" else 128),
            degradations={} if self.stage in ("vae", "prior") else self._mix(),
            shrink=self.shrink,
            workers=self.workers,
            leave_out=self.leave_out,
            cache=self.cache,
            shards=self.shards,
            part=64 if self._by_clock and self.cache else 0,
        )

    def _mix(self) -> dict[str, float]:
        if self.degradations:
            return _weights(self.degradations)
        return dict(JOINT_DEGRADATIONS) if self._by_clock else _weights(_DEGRADATIONS)

    def _stage(self) -> StageConfig:
        if self._by_clock:
            stage = (joint_stage if self.stage == "joint" else detail_stage)(self.minutes or _MINUTES)
        else:
            stage = sdxl_stage(self.stage) if self.preset == "sdxl" else small_stage(self.stage)
        rates = dict(stage.learning_rates)
        if self.learning_rate:
            scale = self.learning_rate / max(rates.values())
            rates = {name: rate * scale for name, rate in rates.items()}
        targets = tuple(part.strip() for part in self.lora_targets.split(",") if part.strip())
        return replace(
            stage,
            steps=self.steps or stage.steps,
            minutes=0.0 if self.steps else stage.minutes,
            gradient_weight=stage.gradient_weight if self.gradient_weight < 0 else self.gradient_weight,
            feature_weight=stage.feature_weight if self.feature_weight < 0 else self.feature_weight,
            batch=self.batch or stage.batch,
            accumulation=self.accumulation or stage.accumulation,
            learning_rates=rates,
            precision=stage.precision if self.precision == "recipe" else self.precision,
            lora=LoRAConfig(rank=self.lora_rank, alpha=float(self.lora_rank), targets=targets)
            if self.lora_rank
            else stage.lora,
            gradient_checkpointing=stage.gradient_checkpointing or self.gradient_checkpointing,
            seed=self.seed,
            log_every=self.log_every,
            save_every=self.save_every,
        )


def _weights(text: str) -> dict[str, float]:
    """`level-II=3,archive=2` as a table. Raises ValueError: an unknown name, or a weight that is no number above 0."""
    from faithdiff_model.degradation.recipes import DEGRADATIONS

    weights = {}
    for part in text.split(","):
        name, _, weight = part.strip().partition("=")
        if name not in DEGRADATIONS:
            raise ValueError(
                f"{name!r} is not a degradation: choose from {', '.join(DEGRADATIONS)}, as in level-II=3,archive=2"
            )
        try:
            weights[name] = float(weight or 1)
        except ValueError:
            raise ValueError(f"{part.strip()!r}: the weight is no number; write level-II=3,archive=2") from None
        if not 0 < weights[name] < float("inf"):
            raise ValueError(f"{part.strip()!r}: the weight must be above 0; leave the degradation out instead")
    return weights
