"""A slate: the picture that stands where a frame is missing."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import DTypeLike

__all__ = ["slate"]

_DARK, _LIGHT = 24, 168  # of 255: plainly no picture, and not glaring in a dark room
_FONT = cv2.FONT_HERSHEY_SIMPLEX
_SHARE = 0.6  # of the width that a line of text may take


def slate(height: int, width: int, dtype: DTypeLike, text: str) -> np.ndarray:
    """A dark frame with a light diagonal cross, the words MISSING FRAME, and a line below them.

    Args:
        height, width: of the frame, in pixels.
        dtype: uint8 or uint16.
        text: second line, in ASCII: the frame's number.

    Returns:
        [height, width, 3] grey RGB of `dtype`; the same for the same arguments.
    """
    grey = np.full((height, width), _DARK, np.uint8)
    thick = max(1, min(height, width) // 240)
    for start, end in (((0, 0), (width - 1, height - 1)), ((width - 1, 0), (0, height - 1))):
        cv2.line(grey, start, end, (_LIGHT,), thick, cv2.LINE_AA)
    lines = ("MISSING FRAME", text)
    sizes = [cv2.getTextSize(line, _FONT, 1.0, thick)[0] for line in lines]
    # Both lines in one size of type, of which the wider fits the width and both together half the height.
    tall = 2 * max(size[1] for size in sizes)
    scale = min(_SHARE * width / max(size[0] for size in sizes), height / (2 * tall))
    step = round(tall * scale)
    top = (height - 2 * step) // 2
    # The cross does not run through the words.
    half = round(max(size[0] for size in sizes) * scale / 2) + step // 4
    grey[max(top, 0) : top + 2 * step, max(width // 2 - half, 0) : width // 2 + half] = _DARK
    for row, (line, size) in enumerate(zip(lines, sizes, strict=True)):
        place = (round((width - size[0] * scale) / 2), top + row * step + round((step + size[1] * scale) / 2))
        cv2.putText(grey, line, place, _FONT, scale, (_LIGHT,), thick, cv2.LINE_AA)
    full = grey.astype(np.uint16) * 257 if np.dtype(dtype) == np.uint16 else grey
    return np.repeat(full[..., None], 3, axis=2)
