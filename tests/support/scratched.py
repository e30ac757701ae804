"""Scans with damage whose place is known, and a detector that finds just that."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from faithdiff_model.damage.detect import Damage


def scratched(pixels: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Pixels [H, W, C], white where the mask [H, W] says, with their own alpha."""
    result = pixels.copy()
    colours = 1 if pixels.shape[2] < 3 else 3
    result[mask, :colours] = np.iinfo(pixels.dtype).max
    return result


def scratch_mask(height: int, width: int) -> np.ndarray:
    """An upright and a level scratch, bool [H, W], and a torn corner where the picture is large enough for one."""
    mask = np.zeros((height, width), bool)
    mask[:, width // 3 : width // 3 + 2] = True
    mask[height // 2] = True
    if min(height, width) >= 60:
        mask[-20:, -20:] = True
    return mask


def name_detector(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the detector have a digest, whatever weights are there."""
    monkeypatch.setattr("pipelines.settings.detector_digest", lambda: "d" * 64)
    monkeypatch.setattr("pipelines.stages.repair_damage.detector_digest", lambda _path: "d" * 64)


def find_white(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the stage's detector find what is wholly white, and count it as three marks."""
    name_detector(monkeypatch)

    def detect(pixels: np.ndarray, *, infrared: np.ndarray | None = None) -> Damage:
        colours = 1 if pixels.shape[2] < 3 else 3
        mask = (pixels[..., :colours] == np.iinfo(pixels.dtype).max).all(axis=2)
        return Damage(mask, float(mask.mean()), 3 if mask.any() else 0, {"lines": float(mask.mean())})

    monkeypatch.setattr("pipelines.stages.repair_damage._load", lambda _digest: SimpleNamespace(detect=detect))
