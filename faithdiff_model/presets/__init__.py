"""Networks by name. One class, several configurations, and where each has its weights from and how it samples best."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from faithdiff_model.network.config import NetworkConfig
from faithdiff_model.options import RestoreOptions
from faithdiff_model.presets.nano import NANO
from faithdiff_model.presets.sdxl import DEFAULT_BASE, DEFAULT_FAITHDIFF, DEFAULT_VAE, SDXL
from faithdiff_model.presets.tiny import TINY

SHIPPED = Path(__file__).parent / "weights"  # networks small enough to travel in the package


@dataclass(frozen=True, kw_only=True)
class Origin:
    """Where a preset's weights are, unless a setting says otherwise.

    Attributes:
        base: SDXL base model with tokenizers and text encoders; "" for a network without text input.
        vae: folder of the VAE; "" for a network whose codec has no weights.
        faithdiff: the weights of UNet, LQ encoder and alignment.
    """

    base: str
    vae: str
    faithdiff: str


PRESETS: dict[str, NetworkConfig] = {"nano": NANO, "sdxl": SDXL, "tiny": TINY}
ORIGINS: dict[str, Origin] = {
    "nano": Origin(base="", vae="", faithdiff=str(SHIPPED / "nano" / "FaithDiff.safetensors")),
    "sdxl": Origin(base=DEFAULT_BASE, vae=DEFAULT_VAE, faithdiff=DEFAULT_FAITHDIFF),
}
# Presets whose weights come from a seed: they prove the plumbing, they do not restore.
UNTRAINED: frozenset[str] = frozenset({"tiny"})
# Where each stands between its faithful and its crisp end (`ModelSpec.detail`); 0 of those that have no crisp end.
DETAIL: dict[str, float] = {"nano": 0.0, "sdxl": 0.0, "tiny": 0.0}
# Largest side of a tile in result pixels (`pipelines/setting_fields.py: tile`). Cutting an 8000x6000 result in four costs sdxl
# half as many windows again (252 for 165); the small ones' windows are cheap, and memory and rows for many replicas count.
TILE: dict[str, int] = {"nano": 4096, "sdxl": 8192, "tiny": 4096}
# How each samples best. nano restores in one step and keeps the scan's colours by itself.
DEFAULTS: dict[str, RestoreOptions] = {
    "nano": RestoreOptions(steps=1, guidance_scale=1.0, colour_fix="none", scan_share=0.0, codec_overlap=0.0),
    "sdxl": RestoreOptions(),
    "tiny": RestoreOptions(codec_overlap=0.0),
}
