"""Networks by name. One class, several configurations."""

from __future__ import annotations

from faithdiff_model.config import NetworkConfig
from faithdiff_model.presets.sdxl import SDXL
from faithdiff_model.presets.tiny import TINY

PRESETS: dict[str, NetworkConfig] = {"sdxl": SDXL, "tiny": TINY}
# Presets whose weights come from a seed: they prove the plumbing, they do not restore.
UNTRAINED: frozenset[str] = frozenset({"tiny"})
