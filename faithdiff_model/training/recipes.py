"""The paper's two-stage training, and ours for a network that has no published base model, as configurations of one loop.

Each recipe is a function that returns configurations; change a field with `dataclasses.replace`.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from faithdiff_model.training.config import StageConfig

# Golden README, fact 10: a global batch of 256 (16 a process, 4 accumulated, 4 processes).
_ALIGNMENT_RATE, _UNET_RATE, _LQ_ENCODER_RATE = 5e-5, 5e-5, 5e-6

_GRADIENT_WEIGHT = 1.0  # 2 was measured too (nano model card): sharper edges, and more of the noise stays
_FIRST_TIMESTEP = 100  # nano samples with one to eight steps; the eighth is at timestep 124

_DETAIL_GRADIENT_WEIGHT, _DETAIL_FEATURE_WEIGHT = 3.0, 3.0

STAGES = ("prior", "1", "2", "joint", "detail")

# What a network that restores in one step is trained on: the levels and the archive as they are measured, a third with many
# marks from the start, and undamaged photographs, so that it learns to leave them alone.
JOINT_DEGRADATIONS = {
    "level-I": 0.08,
    "level-II": 0.22,
    "level-III": 0.05,
    "archive": 0.14,
    "archive-heavy": 0.22,
    "archive-worn": 0.09,
    "undamaged": 0.20,
}


def sdxl_stage(stage: str) -> StageConfig:
    """Stage `1` aligns for 6,000 steps; stage `2` trains all three parts together for 40,000 (paper section 4.1).

    Raises:
        ValueError: another stage; SDXL is its own prior.
    """
    config = partial(StageConfig, accumulation=4, precision="bf16", gradient_checkpointing=True)
    if stage == "1":
        return config(name="stage1", steps=6_000, learning_rates={"alignment": _ALIGNMENT_RATE})
    if stage == "2":
        return config(
            name="stage2",
            steps=40_000,
            learning_rates={"lq_encoder": _LQ_ENCODER_RATE, "alignment": _ALIGNMENT_RATE, "unet": _UNET_RATE},
        )
    raise ValueError(f"stage is {stage!r}: SDXL takes 1 or 2")


def small_stage(stage: str) -> StageConfig:
    """The same for a network that starts from nothing, with rates for its width and a first stage that makes it a prior.

    `prior` trains the UNet on undamaged latents without an LQ image, which is what SDXL brings along.

    Raises:
        ValueError: another stage.
    """
    # bf16 and channels_last: three times as fast on a CPU with AVX-512 BF16.
    config = partial(StageConfig, precision="bf16", channels_last=True)
    if stage == "prior":
        return config(
            name="prior",
            steps=1_000,
            learning_rates={"alignment": 1e-3, "unet": 1e-3},
            conditioned=False,
            warmup_steps=100,
            ema_decay=0.99,
        )
    config = partial(config, start_from_lq=True, first_timestep=_FIRST_TIMESTEP)
    if stage == "1":
        return config(name="stage1", steps=500, learning_rates={"alignment": 1e-3}, warmup_steps=50, ema_decay=0.99)
    if stage == "2":
        return config(
            name="stage2",
            steps=5_000,
            learning_rates={"lq_encoder": 2e-4, "alignment": 1e-3, "unet": 1e-3},
            warmup_steps=100,
            ema_decay=0.998,
        )
    raise ValueError(f"stage is {stage!r}: choose one of {', '.join(STAGES)}")


def joint_stage(minutes: float) -> StageConfig:
    """Everything at once, from nothing, by the clock: for a network of convolutions on coefficients (nano).

    Rates, averages and sizes as measured (nano model card). float32: bf16 is faster only on a CPU with AVX-512 BF16, and there
    `precision` is worth changing.
    """
    return StageConfig(
        name="joint",
        minutes=minutes,
        objective="restoration",
        learning_rates={"lq_encoder": 1e-3, "alignment": 1e-3, "unet": 1e-3},
        gradient_weight=_GRADIENT_WEIGHT,
        betas=(0.9, 0.99),
        ema_decay=0.998,
        batch=16,
        late_from=0.8,
        late_crop=128,
        late_batch=5,
        channels_last=True,
    )


def detail_stage(minutes: float) -> StageConfig:
    """The crisp end of a network that `joint_stage` has trained: edges and textures that look right, by the clock.

    UNet and head alone are trained: with the same LQ features, weights between the two ends give results between them
    (`weights.blend`).
    """
    return replace(
        joint_stage(minutes),
        name="detail",
        learning_rates={"unet": 3e-4},
        gradient_weight=_DETAIL_GRADIENT_WEIGHT,
        feature_weight=_DETAIL_FEATURE_WEIGHT,
        late_from=1.0,
        ema_decay=0.995,
    )
