"""The paper's ablations (tables 5 and 6) as changes of a network and of a stage."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal, get_args

from faithdiff_model.network.config import NetworkConfig
from faithdiff_model.training.config import StageConfig

Ablation = Literal["none", "without-alignment", "without-pretraining", "last-layer", "encoder-only", "unet-only"]
ABLATIONS: tuple[Ablation, ...] = get_args(Ablation)


def ablate(ablation: Ablation, network: NetworkConfig, stage: StageConfig) -> tuple[NetworkConfig, StageConfig]:
    """A network and a stage with one thing taken away.

    Args:
        ablation: `without-alignment` adds the LQ embedding to the latent features without transformer blocks;
            `without-pretraining` starts the alignment fresh in stage 2; `last-layer` takes the VAE encoder's last layer
            instead of its penultimate features; `encoder-only` and `unet-only` train one of the two beside the alignment and
            leave the other as it is. Training the two separately is `encoder-only`, then `unet-only` from its weights.
        network, stage: what to change.

    Raises:
        ValueError: an unknown ablation, or one that leaves the stage nothing to train or does not fit the network.
    """
    rates = dict(stage.learning_rates)
    if ablation == "without-alignment":
        network = replace(network, alignment=replace(network.alignment, layers=0))
    elif ablation == "last-layer":
        if network.coefficients is not None:
            raise ValueError(f"ablation is last-layer: {network.name} has no VAE whose last layer it could take")
        channels = int(network.vae["latent_channels"])
        network = replace(network, lq_encoder=replace(network.lq_encoder, last_channels=channels))
    elif ablation == "encoder-only":
        rates.pop("unet", None)
    elif ablation == "unet-only":
        rates.pop("lq_encoder", None)
    elif ablation not in ABLATIONS:
        raise ValueError(f"ablation is {ablation!r}: choose one of {', '.join(ABLATIONS)}")
    return network, replace(stage, learning_rates=rates)
