"""Motion between frames of a shot: dense optical flow by OpenCV, and where it is consistent both ways."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from faithdiff_model.image.resize import to_unit_float

__all__ = ["CLEAN", "Motion", "compose", "consistent", "flow", "flow_grey", "positions", "rescale", "sample"]

_LEAST_SIDE = 32  # pixels; below, OpenCV's DIS has no level to start from
_PATCH, _DESCENTS, _SMOOTH, _REFINEMENTS = 12, 40, 60.0, 15  # of DIS; tests/benchmarks/README.md says how chosen
GRAINY, CLEAN = 1.0, 0.6  # pixels of blur before flow is measured: of a source, of what was restored
_HOME, _HOME_SHARE = 1.5, 0.05  # pixels, and part of its length, that a way there and back may miss home by
_LEVEL, _SPREAD = 128.0, 48.0  # what every frame's grey is brought to, so that flicker is no motion


def flow_grey(pixels_HWC: np.ndarray, soft: float = GRAINY) -> np.ndarray:
    """The picture that flow is measured on: uint8 [H, W], of one mean and spread whatever the frame's brightness.

    Args:
        pixels_HWC: uint8, uint16 or float in [0, 1], 1 or 3 channels.
        soft: pixels of blur, against grain.
    """
    grey = to_unit_float(pixels_HWC).mean(axis=2)
    grey = cv2.GaussianBlur(grey, (0, 0), soft)
    even = (grey - grey.mean()) / max(float(grey.std()), 1e-3)
    return np.clip(even * _SPREAD + _LEVEL, 0, 255).astype(np.uint8)


def flow(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Where each pixel of `first` lies in `second`: float32 [H, W, 2], (across, down) pixels to add. By DIS optical flow.

    Args:
        first, second: uint8 [H, W], from `flow_grey`.
    """
    if min(first.shape) < _LEAST_SIDE:
        return np.zeros((*first.shape, 2), np.float32)
    estimator = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    estimator.setFinestScale(0 if min(first.shape) < 512 else 1)
    # Larger patches and a smoother field than the preset's: grain moves them less.
    estimator.setPatchSize(_PATCH)
    estimator.setPatchStride(_PATCH // 3)
    estimator.setGradientDescentIterations(_DESCENTS)
    estimator.setVariationalRefinementAlpha(_SMOOTH)
    estimator.setVariationalRefinementIterations(_REFINEMENTS)
    return np.asarray(estimator.calc(first, second, None), np.float32)


@dataclass(frozen=True)
class Motion:
    """Between two frames, both ways.

    Attributes:
        forward, backward: float32 [H, W, 2], from the first to the second and back.
        forward_consistent, backward_consistent: bool [H, W], where the two agree (forward-backward check).
    """

    forward: np.ndarray
    backward: np.ndarray
    forward_consistent: np.ndarray
    backward_consistent: np.ndarray

    @classmethod
    def between(cls, first: np.ndarray, second: np.ndarray) -> Motion:
        """Measure it on two uint8 [H, W] from `flow_grey`."""
        there, back = flow(first, second), flow(second, first)
        return cls(there, back, consistent(there, back), consistent(back, there))


def consistent(there: np.ndarray, back: np.ndarray) -> np.ndarray:
    """Where a pixel that goes there and comes back is at home again, bool [H, W]; not where it leaves the picture."""
    at = positions(there)
    height, width = there.shape[:2]
    inside = (at[..., 0] >= 0) & (at[..., 0] <= width - 1) & (at[..., 1] >= 0) & (at[..., 1] <= height - 1)
    home = there + sample(back, at)
    length = np.hypot(there[..., 0], there[..., 1])
    return np.asarray(inside & (np.hypot(home[..., 0], home[..., 1]) < _HOME + _HOME_SHARE * length))


def compose(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Two flows one after the other: from A to B, then from B to C."""
    return np.asarray(first + sample(second, positions(first)), np.float32)


def positions(field: np.ndarray) -> np.ndarray:
    """Where pixels land: float32 [H, W, 2], (column, row)."""
    height, width = field.shape[:2]
    columns, rows = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    return np.stack([columns, rows], axis=2) + field


def sample(values: np.ndarray, at: np.ndarray, *, how: int = cv2.INTER_LINEAR) -> np.ndarray:
    """Values [H, W, ...] at positions [h, w, 2]; beyond the border those of the border."""
    return np.asarray(cv2.remap(values, at[..., 0], at[..., 1], how, borderMode=cv2.BORDER_REPLICATE))


def rescale(field: np.ndarray, height: int, width: int) -> np.ndarray:
    """A flow of another resolution: float32 [height, width, 2], in its pixels."""
    down, across = height / field.shape[0], width / field.shape[1]
    resized = cv2.resize(field, (width, height), interpolation=cv2.INTER_LINEAR)
    return np.asarray(resized * np.array([across, down], np.float32), np.float32)
