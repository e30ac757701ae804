"""The detector's weights that travel with the code, and the digest that names them without loading any."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path

from faithdiff_model.weights.download import WeightsError

__all__ = ["SHIPPED", "detector_digest"]

SHIPPED = Path(__file__).parents[1] / "presets" / "weights" / "damage" / "detector.safetensors"


def detector_digest(path: Path = SHIPPED) -> str:
    """SHA-256 of the detector's weights. Two equal digests find the same damage.

    Raises:
        WeightsError: they are missing or cannot be read.
    """
    try:
        return _digest(path, path.stat().st_mtime_ns)
    except OSError as error:
        raise WeightsError(
            f"weights of the damage detector {path}: cannot be read ({error.strerror}); install the package again, or choose "
            "--repair-damage off"
        ) from error


@lru_cache(maxsize=4)
def _digest(path: Path, _changed: int) -> str:
    """Hashed once a process and state of the file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()
