"""How far each pixel stands out from its surroundings: the classical measure of a speck or a line, given to the network.

To discover it takes a network of this size longer than to learn when to believe it.
"""

from __future__ import annotations

import cv2
import numpy as np

from faithdiff_model.image.resize import to_grey

SIDES = (3, 7, 15)  # pixels: marks narrower than these stand out from the squares around them
CHANNELS = 3 + 2 * len(SIDES)
REACH = 2 * (SIDES[-1] // 2) + 15  # pixels around one that count
_NEAR, _FLAT = 31, 0.01  # pixels of what is near; what a flat picture counts as usual, of white


def prominence(image: np.ndarray) -> np.ndarray:
    """A picture's luma above and below what surrounds each pixel, compared with what is usual near it.

    White and black top-hats by squares of `SIDES`, each divided by the mean of both in a square of 31 pixels: around 1 all over
    a texture, and much more where one speck or line lies on it. As `log(1 + ratio)`.

    Args:
        image: float32 [H, W, 3] in 0 to 1, RGB.

    Returns:
        float32 [H, W, 2 * len(SIDES)], 0 or more.
    """
    luma = np.ascontiguousarray(to_grey(image)[..., 0])
    found = []
    for side in SIDES:
        square = np.ones((side, side), np.uint8)
        white, black = (
            cv2.morphologyEx(luma, cv2.MORPH_TOPHAT, square),
            cv2.morphologyEx(luma, cv2.MORPH_BLACKHAT, square),
        )
        usual = cv2.blur(white + black, (_NEAR, _NEAR), borderType=cv2.BORDER_REPLICATE) + np.float32(_FLAT)
        found += [np.log1p(white.clip(0) / usual), np.log1p(black.clip(0) / usual)]
    return np.dstack(found)


def network_input(image: np.ndarray) -> np.ndarray:
    """What the network sees of a picture, float32 [H, W, 3] in 0 to 1: [CHANNELS, H, W], RGB in [-1, 1], then prominence."""
    return np.ascontiguousarray(np.dstack([image * 2 - 1, prominence(image)]).transpose(2, 0, 1), np.float32)
