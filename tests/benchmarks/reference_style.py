"""The published reference's way of working, on our modules: what `replica.py` compares `Restorer` with.

As in the reference (commit f11af6c, `pipeline_FaithDiff_tlc.py`, from "8. Denoising loop"): one image at a time; at every step
each window in turn makes one UNet call of its guidance pair; the LQ embedding and the alignment are computed in that call, for
both guidance copies; each window takes its own scheduler step with its own saved scheduler state; then the windows are merged.
Everything before and after the loop (VAE, LQ encoder, colour fix) is ours, so that only the loop differs. The reference keeps
latents in half precision and draws from a generator; here they are float32 and `position_noise`, as in ours.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from faithdiff_model.image.prepared import PreparedImage
from faithdiff_model.image.windows import Rect
from faithdiff_model.restorer import Restorer
from faithdiff_model.sampling.denoise import make_scheduler, start_latent
from faithdiff_model.sampling.latents import encode_latent, to_model_range
from faithdiff_model.sampling.merging import WindowMerger
from faithdiff_model.sampling.noise import position_noise


@dataclass(kw_only=True)
class _Image:
    """One image while it is denoised: `latent` [4, h, w] float32; `features` [1, C, h, w] of the LQ encoder; as in `Canvas`."""

    latent: Tensor
    features: Tensor
    windows: Sequence[Rect]
    text: Tensor
    pooled: Tensor
    time_ids: Tensor


@torch.inference_mode()
def restore_like_reference(restorer: Restorer, image: np.ndarray, prompt: str, seed: int) -> np.ndarray:
    """Restore one image [H, W, 3], no side beyond the codec's window, in its own layout and dtype."""
    options, config = restorer.options, restorer.config
    job = PreparedImage(config, image, None, options.overlap)
    assert job.in_one_piece, "the reference takes an image through its encoders in one piece"
    scheduler = make_scheduler(options.sampler, config.noise_schedule, options.steps)
    state = _start(restorer, job, prompt, seed, scheduler)
    _denoise(restorer, state, scheduler)
    return restorer._decode(job, state, None)()  # type: ignore[arg-type]  # it takes the latent alone


def _start(restorer: Restorer, job: PreparedImage, prompt: str, seed: int, scheduler: Any) -> _Image:
    options, config, device = restorer.options, restorer.config, restorer.device
    dtype = next(restorer.unet.parameters()).dtype
    lq = to_model_range(job.padded.to(device))
    encoded = None
    if options.start == "lr":
        encoded = encode_latent(
            restorer.vae,
            lq.to(restorer.vae.dtype),
            job.windows,
            whole=True,
            pixels_per_latent=config.pixels_per_latent,
            scaling_factor=config.scaling_factor,
        )
    noise = torch.from_numpy(position_noise(seed, job.tile.region)).to(device)
    texts = [restorer.prompt_encoder.encode(prompt)]
    if options.guided:
        texts.insert(0, restorer.prompt_encoder.encode_negative(options.negative_prompt, options.empty_negative))
    return _Image(
        latent=start_latent(encoded, noise, scheduler),
        features=restorer.unet.lq_encoder(lq.to(dtype)[None]),
        windows=job.windows,
        text=torch.stack([t.text for t in texts]),
        pooled=torch.stack([t.pooled for t in texts]),
        time_ids=torch.tensor(job.time_ids, dtype=dtype, device=device),
    )


def _denoise(restorer: Restorer, image: _Image, scheduler: Any) -> None:
    unet, options = restorer.unet, restorer.options
    height, width = image.latent.shape[-2:]
    merger = WindowMerger(height, width, image.windows).to(image.latent.device)
    status: list[dict[str, Any]] = [copy.deepcopy(scheduler.__dict__) for _ in image.windows]
    copies = image.text.shape[0]
    for timestep in scheduler.timesteps:
        merged = merger.empty(image.latent.shape[0], image.latent.device)
        for index, window in enumerate(image.windows):
            scheduler.__dict__.update(status[index])
            rows, columns = window.slices
            latent = image.latent[None, :, rows, columns]
            scaled = scheduler.scale_model_input(torch.cat([latent] * copies), timestep)
            embedding = unet.alignment.lq_embedding(torch.cat([image.features[:, :, rows, columns]] * copies))
            time_ids = image.time_ids[index].repeat(copies, 1)
            noise = unet(
                scaled.to(embedding.dtype), embedding, timestep, image.text, image.pooled, time_ids, pair=copies
            ).float()
            if copies == 2:
                unconditional, conditional = noise.chunk(2)
                noise = unconditional + options.guidance_scale * (conditional - unconditional)
            stepped = scheduler.step(noise, timestep, latent, return_dict=False)[0]
            status[index] = copy.deepcopy(scheduler.__dict__)
            merger.add(merged, index, stepped[0])
        image.latent = merged
