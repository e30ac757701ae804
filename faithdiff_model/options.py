"""How a restoration is sampled: what a user may choose without touching the network."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

__all__ = ["SAMPLERS", "EmptyNegative", "RestoreOptions", "Sampler", "Start"]

Sampler = Literal["euler", "ddim", "dpmpp_2m", "unipc"]
Start = Literal["lr", "noise"]
ColourFix = Literal["adain", "wavelet", "none"]
Grain = Literal["reduce", "keep"]
EmptyNegative = Literal["encoded", "zeros"]
SAMPLERS: tuple[str, ...] = get_args(Sampler)
STARTS: tuple[str, ...] = get_args(Start)
COLOUR_FIXES: tuple[str, ...] = get_args(ColourFix)
GRAINS: tuple[str, ...] = get_args(Grain)
EMPTY_NEGATIVES: tuple[str, ...] = get_args(EmptyNegative)


@dataclass(frozen=True, kw_only=True)
class RestoreOptions:
    """Sampling options; the defaults are the reference's.

    Attributes:
        steps: denoising steps, 1 to 1000.
        guidance_scale: classifier-free guidance; 1 or less switches it off and halves the work.
        guidance_start, guidance_end: parts of the steps between which guidance acts, from 0 to 1; outside, a step takes the
            prompt's copy alone, half the work (Kynkaanniemi et al., 2024: guidance in an interval of noise levels).
        feature_reuse: steps of which the first computes the UNet's deep features for all; 1 reuses none, 2 computes them at
            every other step (`network.feature_reuse`).
        sampler: a name in `SAMPLERS`.
        start: `lr` starts from the noised LQ image, `noise` from pure noise.
        colour_fix: `adain`, `wavelet` or `none`.
        negative_prompt: what guidance leads away from.
        empty_negative: what an empty one is: `encoded` is the empty text through the encoders, as in the reference and in
            training, where prompts are dropped to it (diffusers' `negative_prompt=""`); `zeros` is what diffusers takes for
            `negative_prompt=None` where `force_zeros_for_empty_prompt` is set.
        overlap: step between windows as a part of their side, in (0, 1].
        codec_overlap: part of a window's side that windows of VAE and LQ encoder share where an image is larger than one, 0 to
            0.5; 0 takes the windows of denoising, which overlap by half, as tiles do whatever is chosen.
        scan_share: share of the scan itself in the result, 0 to below 1, which steadies a small network.
        grain: `reduce` leaves it to the network; `keep` puts the scan's fine grain back (`image.grain`).
        window_batch: most windows in one UNet call; part of what makes two runs give the same bits.
    """

    steps: int = 20
    guidance_scale: float = 5.0
    guidance_start: float = 0.0
    guidance_end: float = 1.0
    feature_reuse: int = 1
    sampler: Sampler = "euler"
    start: Start = "lr"
    colour_fix: ColourFix = "adain"
    negative_prompt: str = ""
    empty_negative: EmptyNegative = "encoded"
    overlap: float = 0.5
    codec_overlap: float = 0.25
    scan_share: float = 0.0
    grain: Grain = "reduce"
    window_batch: int = 1

    def __post_init__(self) -> None:
        if self.sampler not in SAMPLERS:
            raise ValueError(f"sampler is {self.sampler!r}: choose one of {', '.join(SAMPLERS)}")
        if self.start not in STARTS:
            raise ValueError(f"start is {self.start!r}: choose one of {', '.join(STARTS)}")
        if self.colour_fix not in COLOUR_FIXES:
            raise ValueError(f"colour fix is {self.colour_fix!r}: choose one of {', '.join(COLOUR_FIXES)}")
        if self.grain not in GRAINS:
            raise ValueError(f"grain is {self.grain!r}: choose one of {', '.join(GRAINS)}")
        if self.empty_negative not in EMPTY_NEGATIVES:
            raise ValueError(f"empty negative is {self.empty_negative!r}: choose one of {', '.join(EMPTY_NEGATIVES)}")
        if not 0 <= self.scan_share < 1:
            raise ValueError(f"scan share is {self.scan_share}: choose a value from 0 to below 1")
        if not 0 <= self.guidance_start < self.guidance_end <= 1:
            raise ValueError(
                f"guidance starts at {self.guidance_start} and ends at {self.guidance_end}: choose parts of the steps from "
                "0 to 1, the start before the end"
            )
        if not 0 < self.overlap <= 1:
            raise ValueError(f"overlap is {self.overlap}: choose a value above 0 and up to 1")
        if not 0 <= self.codec_overlap <= 0.5:
            raise ValueError(f"codec overlap is {self.codec_overlap}: choose a value from 0 to 0.5")
        if self.steps < 1 or self.window_batch < 1 or self.feature_reuse < 1:
            raise ValueError(
                f"steps is {self.steps}, window batch {self.window_batch} and feature reuse {self.feature_reuse}: all must be "
                "1 or more"
            )

    @property
    def guided(self) -> bool:
        """Whether each window needs an unconditional copy, where prompt and negative prompt differ."""
        return self.guidance_scale > 1

    @property
    def guided_steps(self) -> range:
        """The steps, counted from 0, at which guidance acts, where it does."""
        return range(math.ceil(self.guidance_start * self.steps), math.ceil(self.guidance_end * self.steps))
