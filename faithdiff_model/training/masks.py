"""Damage masks as a restoration meets them: right more or less, or not there at all."""

from __future__ import annotations

import cv2
import numpy as np

UNKNOWN = 0.5  # of samples: restored without a mask
_MISSED = 0.15  # of marks
_FALSE = 0.3  # of samples that have some
_MOST_GROWN = 2  # pixels


def seen_mask(damage_HW: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """What a detector, or a person, might say of where the damage is.

    Args:
        damage_HW: bool, the truth.
        rng: of the mistakes: half of the time nothing is said; otherwise some marks are missed, all are 0 to 2 pixels larger,
            and a few are seen where nothing is.

    Returns:
        float32 [H, W], 0 or 1.
    """
    if rng.random() < UNKNOWN:
        return np.zeros(damage_HW.shape, np.float32)
    count, labels = cv2.connectedComponents(damage_HW.astype(np.uint8), connectivity=8)
    kept = rng.random(count) >= _MISSED
    kept[0] = False
    mask = kept[labels].astype(np.uint8)
    if rng.random() < _FALSE:
        height, width = mask.shape
        for _ in range(rng.integers(1, 4)):
            place = (int(rng.integers(width)), int(rng.integers(height)))
            if rng.random() < 0.5:
                axes = (int(rng.integers(1, 4)), int(rng.integers(1, 4)))
                cv2.ellipse(mask, place, axes, rng.uniform(0, 180), 0, 360, 1, -1)
            else:
                turn, reach = rng.uniform(0, np.pi), rng.uniform(4, 40)
                end = (round(place[0] + reach * np.cos(turn)), round(place[1] + reach * np.sin(turn)))
                cv2.line(mask, place, end, 1, 1)
    grown = int(rng.integers(_MOST_GROWN + 1))
    if grown:
        mask = cv2.dilate(mask, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * grown + 1, 2 * grown + 1)))
    return mask.astype(np.float32)
