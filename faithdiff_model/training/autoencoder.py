"""Training a small VAE from nothing, for presets that have no published one. SDXL's VAE is never trained here."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from diffusers.optimization import get_scheduler
from diffusers.training_utils import EMAModel
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional

from faithdiff_model.network.config import NetworkConfig
from faithdiff_model.network.vae import build_vae, save_vae
from faithdiff_model.training.config import DataConfig
from faithdiff_model.training.samples import sample_loader
from faithdiff_model.weights.checkpoint import read_tensors
from faithdiff_model.weights.download import WeightsError


@dataclass(frozen=True, kw_only=True)
class AutoencoderConfig:
    """How to train a VAE.

    Attributes:
        steps, batch, learning_rate, seed: as everywhere.
        latent_noise: standard deviation of the noise that latents get before they are decoded. It is fixed instead of learned
            (the variance half of the posterior is not trained): training and restoring take the posterior's mode.
        latent_weight: of the latents' mean square, which keeps them from growing out of the noise.
        gradient_weight: of the L1 loss of differences between neighbouring pixels, which keeps edges sharp.
        ema_decay: of the averaged weights that are kept.
    """

    steps: int
    batch: int = 16
    learning_rate: float = 2e-3
    warmup_steps: int = 100
    latent_noise: float = 0.02
    latent_weight: float = 1e-4
    gradient_weight: float = 0.5
    ema_decay: float = 0.995
    seed: int = 0
    log_every: int = 50


def train_autoencoder(
    network: NetworkConfig,
    data: DataConfig,
    config: AutoencoderConfig,
    output: Path,
    *,
    init: Path | None = None,
    on_log: Callable[[dict[str, Any]], None] | None = None,
) -> Any:
    """Train the VAE of `network` on one CPU process; return the averaged VAE.

    Writes `vae.safetensors` now and then, `vae-log.jsonl`, and at the end `vae/` in half precision, as a preset loads it.

    The latents' scale is measured over training images at the end, and logged as `scaling_factor`: 1 over their standard
    deviation, which belongs into the network's configuration.

    Args:
        network, data, config, output: what to train, on what, how, and where to.
        init: a `vae.safetensors` to go on from; None starts from nothing.
        on_log: called with each line of the log.

    Raises:
        PhotographError: no photograph can be used.
        WeightsError: `init` is missing or of another VAE.
    """
    output.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(config.seed)
    vae = build_vae(network)
    _orthogonal_start(vae) if init is None else _load(vae, init)
    vae.train().to(memory_format=torch.channels_last)
    parameters = list(vae.parameters())
    optimizer = torch.optim.AdamW(parameters, lr=config.learning_rate, betas=(0.9, 0.99), weight_decay=1e-4)
    schedule = get_scheduler("cosine", optimizer, num_warmup_steps=config.warmup_steps, num_training_steps=config.steps)
    average = EMAModel(parameters, decay=config.ema_decay)
    batches = iter(sample_loader(data, config.seed, batch=config.batch))
    started = time.monotonic()
    with (output / "vae-log.jsonl").open("w") as log:
        for step in range(1, config.steps + 1):
            image = next(batches)["lq"].to(memory_format=torch.channels_last)
            loss, measured = _reconstruct(vae, image, config)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(parameters, 1.0)
            optimizer.step()
            schedule.step()
            average.step(parameters)
            if step % config.log_every == 0 or step == config.steps:
                row = {"step": step, **measured(), "seconds": round(time.monotonic() - started, 1)}
                log.write(json.dumps(row) + "\n")
                log.flush()
                if on_log is not None:
                    on_log(row)
            if step % 500 == 0 or step == config.steps:
                _save_average(vae, average, parameters, output / "vae.safetensors")
        average.copy_to(parameters)
        vae.eval()
        scale = _latent_scale(vae, batches)
        log.write(json.dumps({"step": config.steps, "scaling_factor": round(scale, 5)}) + "\n")
    save_vae(vae, output / "vae", network, torch.float16)
    return vae


def _reconstruct(
    vae: Any, image_BCHW: Tensor, config: AutoencoderConfig
) -> tuple[Tensor, Callable[[], dict[str, float]]]:
    """The loss of images in [-1, 1] through the VAE, and what a log line says of it, worked out only where it is written."""
    with torch.autocast("cpu", torch.bfloat16):
        latent = vae.encode(image_BCHW).latent_dist.mode()
        decoded = vae.decode(latent + config.latent_noise * torch.randn_like(latent)).sample
    pixels = functional.l1_loss(decoded.float(), image_BCHW)
    edges = _edge_loss(decoded.float(), image_BCHW)
    power = latent.float().square().mean()

    def measured() -> dict[str, float]:
        mse = functional.mse_loss(decoded.detach().float(), image_BCHW).item() / 4  # of values in [0, 1]
        return {
            "l1": round(pixels.item(), 5),
            "psnr": round(-10 * torch.log10(torch.tensor(mse)).item(), 3),
            "latent_std": round(latent.detach().float().std().item(), 4),
        }

    return pixels + config.gradient_weight * edges + config.latent_weight * power, measured


def _save_average(vae: Any, average: EMAModel, parameters: list[nn.Parameter], path: Path) -> None:
    """Write the averaged weights; the VAE keeps those that it is trained with."""
    average.store(parameters)
    average.copy_to(parameters)
    save_file({name: value.contiguous() for name, value in vae.state_dict().items()}, path)
    average.restore(parameters)


def _load(vae: Any, path: Path) -> None:
    try:
        vae.load_state_dict(read_tensors(path), strict=True)
    except RuntimeError as error:
        raise WeightsError(f"weights {path}: they belong to another VAE; give this preset's vae.safetensors") from error


def _orthogonal_start(vae: Any) -> None:
    """Convolutions that pass a signal on at its strength, with quiet residual branches.

    Without normalisation, PyTorch's own start shrinks the picture a thousandfold on its way through; from here it is
    recognisable after a hundred steps.
    """
    for name, module in vae.named_modules():
        if isinstance(module, nn.Conv2d):
            gain = 0.2 if name.endswith("conv2") else 1.6 if name.endswith("conv_out") else 1.0
            nn.init.orthogonal_(module.weight, gain=gain)
            if module.bias is not None:
                nn.init.zeros_(module.bias)


def _edge_loss(decoded: torch.Tensor, image: torch.Tensor) -> torch.Tensor:
    across = functional.l1_loss(decoded.diff(dim=3), image.diff(dim=3))
    return across + functional.l1_loss(decoded.diff(dim=2), image.diff(dim=2))


@torch.no_grad()
def _latent_scale(vae: Any, batches: Any) -> float:
    """1 over the standard deviation of the latents of 20 batches."""
    latents = torch.cat([vae.encode(next(batches)["hq"]).latent_dist.mean for _ in range(20)])
    return 1 / latents.std().item()
