"""What a scanner's infrared channel says of damage: dyes let infrared through, dust, hairs and scratches do not.

A silver picture stops infrared too: then the channel shows the picture, says nothing of dust, and is left out of account.
"""

from __future__ import annotations

import cv2
import numpy as np

_SILVER = 0.6  # correlation with the picture from which on the channel is the picture itself
_LOSS = (0.06, 0.18)  # share of the infrared light that a mark takes away: from doubtful to certain
_GROUND = 64  # sides of the squares in pixels whose median is the light that passes where nothing lies


def infrared_evidence(infrared: np.ndarray, luma: np.ndarray) -> np.ndarray | None:
    """How likely each pixel is covered, by the infrared light that is missing.

    Args:
        infrared: float32 [H, W] in 0 to 1.
        luma: float32 [H, W] in 0 to 1, of the visible picture.

    Returns:
        float32 [H, W] in 0 to 1, or None where the channel shows the picture itself or nothing at all.
    """
    shade, detail = _detail(luma), _detail(infrared)
    if float(np.median(infrared)) < 0.02 or _correlation(detail, shade) > _SILVER:
        return None  # no light, or the picture itself
    passed = infrared / np.maximum(_ground(infrared), 1e-3)
    ordinary = np.abs(passed - 1) < 0.3
    # A little of the picture leaks into the channel: what goes with the picture is no mark.
    shadows = shade[ordinary]
    leak = float(((passed[ordinary] - 1) * (shadows - shadows.mean())).mean()) / max(float(shadows.var()), 1e-6)
    missing = 1 - (passed - np.float32(leak) * shade)
    noise = 1.4826 * float(np.median(np.abs(missing[ordinary])))
    low, high = max(_LOSS[0], 4 * noise), max(_LOSS[1], 8 * noise)
    return np.clip((missing - low) / (high - low), 0, 1).astype(np.float32)


def combine(probability: np.ndarray, evidence: np.ndarray) -> np.ndarray:
    """What picture and infrared say together: float32 [H, W].

    Missing infrared light is damage, whatever the picture shows. Where all of it passes, what the network saw is likely a part
    of the scene: it keeps three quarters of its probability, as it may be damage that lets infrared through.

    Args:
        probability: by the network, float32 [H, W] in 0 to 1.
        evidence: see `infrared_evidence`.
    """
    near = cv2.dilate(evidence, np.ones((3, 3), np.uint8))
    return np.maximum(evidence, probability * (0.75 + 0.25 * np.clip(4 * near, 0, 1)))


def _detail(plane: np.ndarray) -> np.ndarray:
    """A plane [H, W] without its broad lights and shadows."""
    return plane - cv2.GaussianBlur(plane, (0, 0), _GROUND / 4)


def _correlation(one: np.ndarray, other: np.ndarray) -> float:
    """How alike two planes [H, W] of mean near 0 are, 0 to 1; planes that are flat are not alike."""
    spread = float(one.std() * other.std())
    return abs(float((one * other).mean())) / spread if spread > 1e-7 else 0.0


def _ground(infrared: np.ndarray) -> np.ndarray:
    """Light that passes around each pixel where nothing lies: medians of squares, smooth between them, float32 [H, W]."""
    height, width = infrared.shape
    rows, columns = -(-height // _GROUND), -(-width // _GROUND)
    medians = np.empty((rows, columns), np.float32)
    for row in range(rows):
        for column in range(columns):
            medians[row, column] = np.median(infrared[row * _GROUND :, column * _GROUND :][:_GROUND, :_GROUND])
    return cv2.resize(medians, (width, height), interpolation=cv2.INTER_LINEAR)
