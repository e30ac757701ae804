"""Brightness that pumps from frame to frame, taken out before restoring where the settings say so."""

from __future__ import annotations

import numpy as np

from pipelines.media.film.survey.smooth import smooth

__all__ = ["apply_deflicker", "deflicker_gains"]

_LEAST, _MOST = 0.5, 2.0
_BLACK = 0.004  # a frame this dark has no level to speak of


def deflicker_gains(colour: np.ndarray, highs: np.ndarray, shots: list[tuple[int, int]]) -> np.ndarray:
    """What each frame's channels are to be multiplied by, so that their means lie on a smooth path within each shot.

    Slow changes, such as fades, are the path itself and stay. A gain never drives what was not clipped into white.

    Args:
        colour: means of the channels, [n, 3], over [0, 1].
        highs: level that one pixel in a thousand is above, likewise.
        shots: first frame and number of frames of each.

    Returns:
        float64 [n, 3], within 0.5 and 2.
    """
    means = np.asarray(colour, np.float64)
    gains = np.ones_like(means)
    for first, count in shots:
        inside = slice(first, first + count)
        levels = np.maximum(means[inside], _BLACK)
        gains[inside] = np.maximum(smooth(levels), _BLACK) / levels
    gains[means < _BLACK] = 1.0
    room = 1 / np.maximum(np.asarray(highs, np.float64), 1e-6)
    return np.clip(np.minimum(gains, np.maximum(room, 1.0)), _LEAST, _MOST)


def apply_deflicker(pixels_HWC: np.ndarray, gain: np.ndarray) -> np.ndarray:
    """A frame with its channels multiplied; black stays black, as light that pumps multiplies it.

    Args:
        pixels_HWC: uint8 or uint16 [H, W, 3].
        gain: three numbers. Ones give the same bits.
    """
    if np.all(gain == 1):
        return pixels_HWC
    top = np.iinfo(pixels_HWC.dtype).max
    return np.clip(np.rint(pixels_HWC * np.asarray(gain, np.float32)), 0, top).astype(pixels_HWC.dtype)
