"""The training objective: L1 between the noise that was added to a latent and the noise that is predicted.

A network whose noise schedule says `v_prediction` predicts the velocity instead, noise and latent in one (Salimans and Ho,
2022).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from diffusers import DDPMScheduler
from torch import Tensor, nn
from torch.nn import functional

from faithdiff_model.network.config import NetworkConfig
from faithdiff_model.network.unet import FaithDiffUNet


@dataclass(frozen=True)
class Noised:
    """Latents on their way to noise: `latent` and the prediction's `target` [B, C, h, w], the `timestep` of each row [B]."""

    latent: Tensor
    target: Tensor
    timestep: Tensor


def forward_process(config: NetworkConfig) -> DDPMScheduler:
    """The noise schedule as the training needs it."""
    return DDPMScheduler(**config.noise_schedule)


def add_noise(
    latent_BChw: Tensor,
    schedule: DDPMScheduler,
    noise_offset: float,
    generator: torch.Generator,
    *,
    start_BChw: Tensor | None = None,
    first_timestep: int = 0,
) -> Noised:
    """Noise latents at uniform timesteps.

    Args:
        latent_BChw: scaled HQ latents.
        schedule: see `forward_process`.
        noise_offset: scale of the part of the noise that is one value for a whole channel (lets the mean brightness move).
        generator: on the CPU, so that equal seeds give equal noise on every device.
        start_BChw: scaled LQ latents, for a network whose restoration starts from them at a low noise level. They are then part
            of the noise, so that the last timestep's latent is the noised LQ image and holds nothing of the HQ one. Between,
            this is the path of a deterministic sampler from the one to the other: the LQ image's share falls with the noise.
            Without it such a network learns to read the HQ image through the noise, and finds the LQ image there instead
            (nano model card). At SDXL's last timestep the difference is a fifteenth of the noise.
        first_timestep: the lowest one that is drawn.
    """
    B, C, h, w = latent_BChw.shape
    noise = torch.randn((B, C, h, w), generator=generator)
    if noise_offset:
        noise = noise + noise_offset * torch.randn((B, C, 1, 1), generator=generator)
    timestep = torch.randint(first_timestep, schedule.config["num_train_timesteps"], (B,), generator=generator)
    noise, timestep = noise.to(latent_BChw.device), timestep.to(latent_BChw.device)
    if start_BChw is not None:
        kept = schedule.alphas_cumprod[-1]
        noise = noise + (start_BChw - latent_BChw) * (kept / (1 - kept)).sqrt().to(latent_BChw.device)
    velocity = schedule.config["prediction_type"] == "v_prediction"
    target = schedule.get_velocity(latent_BChw, noise, timestep) if velocity else noise
    return Noised(schedule.add_noise(latent_BChw, noise, timestep), target, timestep)


class NoiseLoss(nn.Module):
    """The network behind its loss, as one module: what runs in parallel and what autocast sees whole.

    Args:
        unet: the network.
        conditioned: False predicts without the LQ image.
    """

    def __init__(self, unet: FaithDiffUNet, *, conditioned: bool) -> None:
        super().__init__()
        self.unet = unet
        self.conditioned = conditioned

    def forward(
        self, noised: Noised, lq_BCHW: Tensor, text: tuple[Tensor, Tensor] | None, time_ids_B6: Tensor
    ) -> Tensor:
        """Mean absolute error of the prediction, a scalar in float32.

        Args:
            noised: see `add_noise`.
            lq_BCHW: LQ images in [-1, 1], at the HQ size.
            text: hidden states [B, L, C] and pooled projection [B, C]; None for a network without text input.
            time_ids_B6: see `FaithDiffUNet.predict`.
        """
        embedding = None
        if self.conditioned:
            embedding = self.unet.alignment.lq_embedding(_differentiable(self.unet.lq_encoder(lq_BCHW)))
        hidden, pooled = text or (None, None)
        latent = _differentiable(noised.latent)
        predicted = self.unet(latent, embedding, noised.timestep, hidden, pooled, time_ids_B6)
        return functional.l1_loss(predicted.float(), noised.target)


def _differentiable(tensor: Tensor) -> Tensor:
    """What a frozen part hands to a trained one, asking for a gradient that nobody reads.

    PyTorch's group normalisation on a CPU ends the process in its backward pass where its weights need a gradient, its input
    does not, and the input lies channels last (2.13).
    """
    return tensor.detach().requires_grad_() if tensor.is_cpu and not tensor.requires_grad else tensor


def as_arguments(batch: dict[str, Any], device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """HQ images, LQ images and time ids of a batch, on `device`."""
    hq, lq, time_ids = (batch[name].to(device, non_blocking=True) for name in ("hq", "lq", "time_ids"))
    return hq, lq, time_ids
