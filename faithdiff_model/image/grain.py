"""The grain of a scan: what a restoration took away that is fine, everywhere, and no stronger than its surroundings have it."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from torch import Tensor

_FINE = 3.0  # pixels, the deviation of a Gaussian: coarser differences are tone or stains, not grain
_AROUND = (
    61  # pixels a side of what a place's strength of grain is the median of: a line and its halo are the lesser part
)
_LIMIT = 4.0  # times that median; of 100 of a Gaussian's deviations 99 lie within
_LEVELS = 1020.0  # the median is taken of quarters of a level of 255, up to 64 levels


def with_grain(restored_CHW: Tensor, scan_HWC: Tensor) -> Tensor:
    """A restored image with its scan's grain, shaped and placed like it; both over [0, 1], the restored one not clamped."""
    shown = restored_CHW.clamp(0, 1)  # grain is beside what a result can show
    pixels = np.ascontiguousarray(shown.permute(1, 2, 0).float().cpu().numpy())
    grain = grain_of(scan_HWC.float().cpu().numpy(), pixels)
    return shown + torch.from_numpy(grain).permute(2, 0, 1).to(shown)


def grain_of(scan_HWC: np.ndarray, restored_HWC: np.ndarray) -> np.ndarray:
    """What to add to a restored image to give it back its scan's grain, float32 [H, W, C].

    Dust and scratches stay away but for a trace: they are stronger than the grain around them. What is further away than a few
    dozen pixels does not matter, so that tiles with a halo agree.

    Args:
        scan_HWC: the scan at the result's size, float32 in [0, 1].
        restored_HWC: the result before its grain, likewise, of the same shape.
    """
    gone = scan_HWC - restored_HWC
    # Twice: around a strong mark the first blur is off by a share of it.
    coarse = _blurred(gone)
    return _limited(gone - _blurred(coarse + _limited(gone - coarse)))


def _blurred(image_HWC: np.ndarray) -> np.ndarray:
    return cv2.GaussianBlur(image_HWC, (0, 0), _FINE).reshape(image_HWC.shape)


def _limited(fine_HWC: np.ndarray) -> np.ndarray:
    """Each channel, no stronger than it usually is around each place."""
    limited = np.empty_like(fine_HWC)
    for channel in range(fine_HWC.shape[2]):
        plane = np.ascontiguousarray(fine_HWC[..., channel])
        strength = np.clip(np.abs(plane) * _LEVELS, 0, 255).round().astype(np.uint8)
        most = cv2.medianBlur(strength, _AROUND).astype(np.float32) * (_LIMIT / _LEVELS)
        limited[..., channel] = np.clip(plane, -most, most)
    return limited
