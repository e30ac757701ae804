"""The denoising loop: windows of many images fill one UNet call, images are merged after every step.

The reference steps every window and merges the latents. A scheduler's step is linear in the predicted noise, so merging the
predictions and stepping the image gives the same latents, needs one scheduler state an image, and lets multistep samplers
keep their history in image coordinates.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from typing import Any, NamedTuple

import torch
from torch import Tensor

from faithdiff_model.image.windows import Rect
from faithdiff_model.network.unet import FaithDiffUNet
from faithdiff_model.options import Sampler
from faithdiff_model.sampling.kept import Kept
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
    kept = scheduler.alphas_cumprod[START_TIMESTEP]  # one number on the CPU: no copy to wait for
    return kept.sqrt() * encoded_Chw + (1 - kept).sqrt() * noise


@dataclass(kw_only=True)
class Canvas:
    """One image or tile while it is denoised.

    Attributes:
        latent: [4, h, w] float32, the whole region.
        windows: in the region's coordinates, all of one shape.
        lq_embeddings: [windows, C, h, w], in the UNet's dtype.
        text: [copies, L, C], copies = 2 with guidance (unconditional, conditional), else 1, as where both would be the same;
            None for a network without text. One object for all images of one prompt: what is made of it is kept by that.
        pooled: [copies, C]; None likewise.
        time_ids: [windows, 6].
        scheduler: this image's own, since multistep samplers keep history. Its tables stay on the CPU, where it looks up a
            step's few numbers without waiting for the device.
        shares_calls: whether few windows wait for other images' to fill a UNet call (`call_sizes`).
    """

    latent: Tensor
    windows: Sequence[Rect]
    lq_embeddings: Tensor
    text: Tensor | None
    pooled: Tensor | None
    time_ids: Tensor
    scheduler: Any
    shares_calls: bool = True
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


class Call(NamedTuple):
    """The windows of one UNet call, and how many it is made for: the rest is filled up with copies of the last."""

    work: list[Work]
    size: int


# Told before a UNet call: its windows, and the call's row with the first one's prompt; the others follow row by row.
Observer = Callable[[Sequence[Work], int], None]


@torch.inference_mode()
def denoise(
    unet: FaithDiffUNet,
    canvases: Sequence[Canvas],
    *,
    guidance_scale: float,
    window_batch: int,
    guided_steps: Container[int] | None = None,
    keep_prompts: bool = True,
    feature_reuse: int = 1,
    observe: Observer | None = None,
) -> None:
    """Denoise all canvases in place, in step with each other.

    Args:
        unet: the network.
        canvases: images or tiles whose schedulers have the same timesteps.
        guidance_scale: noise = unconditional + scale * (conditional - unconditional); ignored where text has one copy.
        window_batch: most windows in one UNet call (`call_sizes`).
        guided_steps: the steps, from 0, that are guided; others take the conditional copy alone. None guides all.
        keep_prompts: make the prompts' keys and values once and not at every step, which changes no bits. Not where the UNet's
            layers come to the device one after the other, and not for an observer, who may look at the text itself.
        feature_reuse: steps of which the first computes deep features for all (`network.feature_reuse`); 1 reuses none.
        observe: follows which windows each UNet call holds.

    Nothing in a step waits for the device, so that the next calls are queued while one is at work; of the samplers UniPC alone
    does, since it solves its small systems there.

    Raises:
        ValueError: features are to be reused, and the network has none that could be.
    """
    if not canvases:
        return
    calls = batch_windows(canvases, window_batch)
    kept = Kept(unet, prompts=keep_prompts and observe is None, reuse=feature_reuse)
    timesteps = canvases[0].scheduler.timesteps
    on_device = timesteps.to(canvases[0].latent.device)
    for step, timestep in enumerate(timesteps):
        guided = guided_steps is None or step in guided_steps
        kept.begin_step(guided=guided)
        scaled = {id(c): c.scheduler.scale_model_input(c.latent, timestep) for c in canvases}
        merged = {id(c): c.merger.empty(c.latent.shape[0], c.latent.device) for c in canvases}
        for number, call in enumerate(calls):
            if observe is not None:
                # Behind the unconditional copies, if there are any (see `predict_noise`).
                observe(call.work, (call.work[0][0].copies - 1) * call.size if guided else 0)
            predict = partial(kept.predict, number)
            noise = predict_noise(unet, predict, call, scaled, on_device[step], guidance_scale if guided else None)
            for row, (canvas, index) in enumerate(call.work):
                canvas.merger.add(merged[id(canvas)], index, noise[row])
        for canvas in canvases:
            stepped = canvas.scheduler.step(merged[id(canvas)][None], timestep, canvas.latent[None], return_dict=False)
            canvas.latent = stepped[0][0]


def call_sizes(count: int, window_batch: int, *, shares_calls: bool = True) -> list[int]:
    """The sizes of the UNet calls that take an image's windows, one after the other.

    A window meets the same kernels, and gives the same bits, whatever shares its call: its call's size depends on its own image
    alone. An image of `window_batch` windows or more has full calls, and for its last windows calls of 4, 2 and 1 (the powers
    of two in what remains), so that nothing is computed for nothing and few shapes are met. One of fewer waits for company in a
    full call, which is filled up with copies if there is none; or it takes calls of its own size, where company is unlikely.

    Args:
        count: windows of the image.
        window_batch: most windows in one call.
        shares_calls: fewer windows than `window_batch` wait for company.
    """
    if count < window_batch and shares_calls:
        return [window_batch]
    full, rest = divmod(count, window_batch)
    powers = [1 << bit for bit in reversed(range(rest.bit_length())) if rest >> bit & 1]
    return [window_batch] * full + powers


def batch_windows(canvases: Sequence[Canvas], window_batch: int) -> list[Call]:
    """All windows of all canvases in calls (`call_sizes`), each of one window shape and one number of copies."""
    alike: dict[tuple[int, tuple[int, int], int], list[Work]] = {}
    for canvas in canvases:
        windows = ((canvas, number) for number in range(len(canvas.windows)))
        for size in call_sizes(len(canvas.windows), window_batch, shares_calls=canvas.shares_calls):
            alike.setdefault((canvas.copies, canvas.window_shape, size), []).extend(islice(windows, size))
    return [
        Call(work[first : first + size], size)
        for (_, _, size), work in alike.items()
        for first in range(0, len(work), size)
    ]


def predict_noise(
    unet: FaithDiffUNet,
    predict: Callable[..., Tensor],
    call: Call,
    scaled: Mapping[int, Tensor],
    timestep: Tensor,
    guidance_scale: float | None,
) -> Tensor:
    """Predicted noise [len(call.work), 4, h, w], float32, of windows cut out of `scaled` latents (by canvas id).

    Args:
        unet: the network.
        predict: `sampling.kept.Kept.predict` of this call.
        call: its windows.
        scaled: latents as the scheduler wants them.
        timestep: on the device.
        guidance_scale: None takes the conditional copy alone.
    """
    full = call.work + [call.work[-1]] * (call.size - len(call.work))
    dtype = full[0][0].lq_embeddings.dtype
    latents = torch.stack([scaled[id(c)][:, c.windows[i].slices[0], c.windows[i].slices[1]] for c, i in full])
    embeddings = torch.stack([c.lq_embeddings[i] for c, i in full])
    # Aligned once: the guidance copies differ by their text alone, which the alignment does not see.
    aligned = unet.alignment(latents.to(dtype), embeddings)
    copies = 1 if guidance_scale is None else full[0][0].copies
    # Rows: all windows unconditional, then all conditional.
    texts = [c.text for c, _ in full if c.text is not None]
    text = _rows([c.text for c, _ in full], copies)
    pooled = _rows([c.pooled for c, _ in full], copies)
    time_ids = torch.stack([c.time_ids[i] for c, i in full]).repeat(copies, 1)
    noise = predict(aligned.repeat(copies, 1, 1, 1), timestep, texts, text, pooled, time_ids).float()
    if guidance_scale is not None and copies == 2:
        unconditional, conditional = noise.chunk(2)
        noise = unconditional + guidance_scale * (conditional - unconditional)
    return noise[: len(call.work)]


def _rows(texts: Sequence[Tensor | None], copies: int) -> Tensor | None:
    """Each canvas's first copy, then each one's second, or the last alone; None for a network without text."""
    given = [text[-copies:] for text in texts if text is not None]
    return torch.stack([text[copy] for copy in range(copies) for text in given]) if given else None
