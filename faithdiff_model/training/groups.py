"""Which parameters a stage trains, and with what learning rate."""

from __future__ import annotations

from typing import Any

from torch import nn

from faithdiff_model.network.unet import FaithDiffUNet
from faithdiff_model.training.config import GROUPS, Group, LoRAConfig, StageConfig


def group_modules(unet: FaithDiffUNet) -> dict[Group, nn.Module]:
    """The three parts that the paper trains. The UNet's first convolution is in the alignment."""
    core = unet.core if unet.head is None else nn.ModuleDict({"core": unet.core, "head": unet.head})
    return {"lq_encoder": unet.lq_encoder, "alignment": unet.alignment, "unet": core}


def parameter_groups(unet: FaithDiffUNet, stage: StageConfig) -> list[dict[str, Any]]:
    """Freeze what the stage does not train; return the optimizer's groups (`params`, `lr`, `name`).

    With LoRA, adapters are added to the UNet here.
    """
    unet.requires_grad_(False)
    if stage.lora is not None:
        _add_adapters(unet, stage.name, stage.lora)
    groups = []
    for name in GROUPS:
        if name not in stage.learning_rates:
            continue
        module = group_modules(unet)[name]
        if name == "alignment" and not stage.conditioned:
            module = unet.alignment.conv_in  # all that a UNet without an LQ image has of it
        if name == "lq_encoder" and not stage.conditioned:
            raise ValueError(
                f"{stage.name}: without an LQ image there is no LQ encoder to train: leave its learning rate out"
            )
        for parameter_name, parameter in module.named_parameters():
            if name != "unet" or stage.lora is None or "lora_" in parameter_name:
                parameter.requires_grad_(True)
        trained = [parameter for parameter in module.parameters() if parameter.requires_grad]
        groups.append({"params": trained, "lr": stage.learning_rates[name], "name": name})
    return groups


def _add_adapters(unet: FaithDiffUNet, stage: str, lora: LoRAConfig) -> None:
    from peft import LoraConfig

    if not any(name.endswith(lora.targets) for name, _ in unet.core.named_modules()):
        raise ValueError(
            f"{stage}: LoRA on {', '.join(lora.targets)}: the UNet has no such layer: name others, such as conv1"
        )
    unet.diffusers_core(f"{stage}: LoRA").add_adapter(
        LoraConfig(r=lora.rank, lora_alpha=lora.alpha, target_modules=list(lora.targets), init_lora_weights="gaussian")
    )
