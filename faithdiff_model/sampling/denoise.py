"""The denoising loop: windows of many images fill one UNet call, images are merged after every step.

The reference steps every window and merges the latents. A scheduler's step is linear in the predicted noise, so merging the
predictions and stepping the image gives the same latents, needs one scheduler state an image, and lets multistep samplers
keep their history in image coordinates.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from faithdiff_model.image.windows import Rect
from faithdiff_model.network.unet import FaithDiffUNet
from faithdiff_model.options import Sampler
from faithdiff_model.sampling.merging import WindowMerger

START_TIMESTEP = 999  # start "lr" noises the encoded LQ image up to here (golden README, fact 3)

CHANGE = "change"  # prediction type of a network that restores in one step

# Name -> diffusers' class and the settings it needs beside the noise schedule.
SCHEDULERS: dict[Sampler, tuple[str, dict[str, Any]]] = {
    "euler": ("EulerDiscreteScheduler", {"timestep_spacing": "leading", "steps_offset": 1}),
    "ddim": (
        "DDIMScheduler",
        {"clip_sample": False, "set_alpha_to_one": False, "timestep_spacing": "leading", "steps_offset": 1},
    ),
    "dpmpp_2m": (
        "DPMSolverMultistepScheduler",
        {"algorithm_type": "dpmsolver++", "solver_order": 2, "timestep_spacing": "leading", "steps_offset": 1},
    ),
    "unipc": ("UniPCMultistepScheduler", {"solver_order": 2, "timestep_spacing": "leading", "steps_offset": 1}),
}


class OneStep:
    """The schedule of a network that restores in one step without noise: what it predicts is added to the scan's latent.

    It has what `denoise` and `start_latent` use of diffusers' schedulers.
    """

    init_noise_sigma = 1.0

    def __init__(self) -> None:
        self.timesteps = torch.tensor([START_TIMESTEP])
        self.alphas_cumprod = torch.ones(START_TIMESTEP + 1)  # no noise at any timestep

    def scale_model_input(self, latent_Chw: Tensor, _timestep: Tensor) -> Tensor:
        """As it is."""
        return latent_Chw

    def step(self, change: Tensor, _timestep: Tensor, latent: Tensor, return_dict: bool = False) -> tuple[Tensor]:
        """The restored latent, as the first of a tuple."""
        return (latent + change,)


def make_scheduler(sampler: Sampler, noise_schedule: Mapping[str, Any], steps: int) -> Any:
    """A diffusers scheduler with its timesteps set; `OneStep` for a network that predicts a change.

    Raises:
        ValueError: a number of steps that the schedule cannot take.
    """
    if noise_schedule.get("prediction_type") == CHANGE:
        if steps != 1:
            raise ValueError(f"steps is {steps}: this network restores in 1 step")
        return OneStep()
    trained = int(noise_schedule["num_train_timesteps"])
    if not 1 <= steps <= trained:
        raise ValueError(f"steps is {steps}: choose 1 to {trained}")
    import diffusers

    class_name, settings = SCHEDULERS[sampler]
    scheduler = getattr(diffusers, class_name)(**{**settings, **noise_schedule})
    scheduler.set_timesteps(steps)
    return scheduler


def start_latent(encoded_Chw: Tensor | None, noise_Chw: Tensor, scheduler: Any) -> Tensor:
    """The latent that denoising starts from.

    Args:
        encoded_Chw: scaled VAE latent of the LQ image for start `lr`, None for start `noise`.
        noise_Chw: standard normal noise.
        scheduler: gives the noise schedule and the scale of its initial latents.
    """
    noise = noise_Chw * scheduler.init_noise_sigma
    if encoded_Chw is None:
        return noise
    # The reference scales the noise for its scheduler first and then adds it to the unscaled latent.
    kept = scheduler.alphas_cumprod[START_TIMESTEP].to(noise_Chw.device)
    return kept.sqrt() * encoded_Chw + (1 - kept).sqrt() * noise


@dataclass(kw_only=True)
class Canvas:
    """One image or tile while it is denoised.

    Attributes:
        latent: [4, h, w] float32, the whole region.
        windows: in the region's coordinates, all of one shape.
        lq_embeddings: [windows, C, h, w], in the UNet's dtype.
        text: [copies, L, C], copies = 2 with guidance (unconditional, conditional), else 1, as where both would be the same;
            None for a network without text.
        pooled: [copies, C]; None likewise.
        time_ids: [windows, 6].
        scheduler: this image's own, since multistep samplers keep history.
    """

    latent: Tensor
    windows: Sequence[Rect]
    lq_embeddings: Tensor
    text: Tensor | None
    pooled: Tensor | None
    time_ids: Tensor
    scheduler: Any
    merger: WindowMerger = field(init=False)

    def __post_init__(self) -> None:
        self.scheduler = copy.deepcopy(self.scheduler)
        height, width = self.latent.shape[-2:]
        self.merger = WindowMerger(height, width, self.windows).to(self.latent.device)

    @property
    def copies(self) -> int:
        """Rows that each window takes in a UNet call."""
        return 1 if self.text is None else self.text.shape[0]

    @property
    def window_shape(self) -> tuple[int, int]:
        return self.windows[0].height, self.windows[0].width


Work = tuple[Canvas, int]  # a canvas and the number of one of its windows
# Told before a UNet call: its windows, and the call's row with the first one's prompt; the others follow row by row.
Observer = Callable[[Sequence[Work], int], None]


@torch.inference_mode()
def denoise(
    unet: FaithDiffUNet,
    canvases: Sequence[Canvas],
    *,
    guidance_scale: float,
    window_batch: int,
    observe: Observer | None = None,
) -> None:
    """Denoise all canvases in place, in step with each other.

    Args:
        unet: the network.
        canvases: images or tiles whose schedulers have the same timesteps.
        guidance_scale: noise = unconditional + scale * (conditional - unconditional); ignored where text has one copy.
        window_batch: windows in one UNet call. Every call has exactly this many, the last ones filled up with a copy, so
            that a window meets the same kernels, and gives the same bits, whatever shares its call.
        observe: follows which windows each UNet call holds.
    """
    batches = batch_windows(canvases, window_batch)
    for timestep in canvases[0].scheduler.timesteps if canvases else ():
        scaled = {id(c): c.scheduler.scale_model_input(c.latent, timestep) for c in canvases}
        merged = {id(c): c.merger.empty(c.latent.shape[0], c.latent.device) for c in canvases}
        for batch in batches:
            if observe is not None:
                # Behind the unconditional copies, if there are any (see `predict_noise`).
                observe(batch, (batch[0][0].copies - 1) * window_batch)
            noise = predict_noise(unet, batch, scaled, timestep, guidance_scale, window_batch)
            for row, (canvas, index) in enumerate(batch):
                canvas.merger.add(merged[id(canvas)], index, noise[row])
        for canvas in canvases:
            step = canvas.scheduler.step(merged[id(canvas)][None], timestep, canvas.latent[None], return_dict=False)
            canvas.latent = step[0][0]


def batch_windows(canvases: Sequence[Canvas], window_batch: int) -> list[list[Work]]:
    """All windows of all canvases in batches of at most `window_batch`, each of one window shape and number of copies."""
    alike: dict[tuple[int, ...], list[Work]] = {}
    for canvas in canvases:
        work = ((canvas, i) for i in range(len(canvas.windows)))
        alike.setdefault((*canvas.window_shape, canvas.copies), []).extend(work)
    return [work[i : i + window_batch] for work in alike.values() for i in range(0, len(work), window_batch)]


def predict_noise(
    unet: FaithDiffUNet,
    batch: list[Work],
    scaled: Mapping[int, Tensor],
    timestep: Tensor,
    guidance_scale: float,
    window_batch: int,
) -> Tensor:
    """Predicted noise [len(batch), 4, h, w], float32, of windows cut out of `scaled` latents (by canvas id)."""
    full = batch + [batch[-1]] * (window_batch - len(batch))
    dtype = full[0][0].lq_embeddings.dtype
    latents = torch.stack([scaled[id(c)][:, c.windows[i].slices[0], c.windows[i].slices[1]] for c, i in full])
    embeddings = torch.stack([c.lq_embeddings[i] for c, i in full])
    # Aligned once: the guidance copies differ by their text alone, which the alignment does not see.
    aligned = unet.alignment(latents.to(dtype), embeddings)
    copies = full[0][0].copies
    # Rows: all windows unconditional, then all conditional.
    text = _rows([c.text for c, _ in full], copies)
    pooled = _rows([c.pooled for c, _ in full], copies)
    time_ids = torch.stack([c.time_ids[i] for c, i in full]).repeat(copies, 1)
    noise = unet.predict(aligned.repeat(copies, 1, 1, 1), timestep, text, pooled, time_ids).float()
    if copies == 2:
        unconditional, conditional = noise.chunk(2)
        noise = unconditional + guidance_scale * (conditional - unconditional)
    return noise[: len(batch)]


def _rows(texts: Sequence[Tensor | None], copies: int) -> Tensor | None:
    """Each canvas's first copy, then each one's second; None for a network without text."""
    given = [text for text in texts if text is not None]
    return torch.stack([text[copy] for copy in range(copies) for text in given]) if given else None
