"""The error network's weights that travel with the code: where they are, and what size their cells have."""

from __future__ import annotations

from pathlib import Path

__all__ = ["CELL", "SHIPPED"]

CELL = 8  # pixels a side of what one output of the network is of
SHIPPED = Path(__file__).parents[1] / "presets" / "weights" / "trust" / "errors.safetensors"
