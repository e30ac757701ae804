"""How the picture moves as a whole: the camera's path, and gate weave, the part of it that no cameraman made."""

from __future__ import annotations

import cv2
import numpy as np

from pipelines.media.film.survey.smooth import smooth

__all__ = ["CameraTracker", "apply_shift", "weave"]

_SURE = 0.03  # response of the correlation; below there is nothing to follow
_MOST_WEAVE = 0.02  # of the frame's side: what is more is no weave


class CameraTracker:
    """Follows the picture from frame to frame; feed it every frame of a film in order."""

    def __init__(self) -> None:
        self._last: np.ndarray | None = None
        self._window: np.ndarray | None = None

    def step(self, grey_HW: np.ndarray, scale: float) -> tuple[float, float]:
        """How far the frame lies from the one before, (down, across), in source pixels; 0 where nothing can be followed.

        A pan to the right, in which content moves to the left, is a positive step across.

        Args:
            grey_HW: the reduced frame, float32.
            scale: reduced pixels a source pixel.
        """
        even = grey_HW - cv2.GaussianBlur(grey_HW, (0, 0), max(grey_HW.shape) / 12)
        if self._window is None or self._window.shape != even.shape:
            self._window = cv2.createHanningWindow(even.shape[::-1], cv2.CV_32F)
            self._last = None
        last, self._last = self._last, even
        if last is None:
            return 0.0, 0.0
        (across, down), response = cv2.phaseCorrelate(last, even, self._window)
        far = abs(across) > even.shape[1] / 3 or abs(down) > even.shape[0] / 3
        if response < _SURE or far or not np.isfinite([across, down]).all():
            return 0.0, 0.0
        down, across = _refined(last, even, down, across)
        return -down / scale, -across / scale


def _refined(last: np.ndarray, even: np.ndarray, down: float, across: float) -> tuple[float, float]:
    """A step in parts of a pixel: the correlation alone is drawn towards whole ones.

    The enhanced correlation coefficient does not change with brightness, so flicker does not move it.
    """
    warp = np.array([[1, 0, across], [0, 1, down]], np.float32)
    stop = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 30, 1e-4)
    try:
        _, warp = cv2.findTransformECC(last, even, warp, cv2.MOTION_TRANSLATION, stop, None, 5)
    except cv2.error:  # no structure, or it ran away
        return down, across
    refined = float(warp[1, 2]), float(warp[0, 2])
    near = abs(refined[0] - down) < 2 and abs(refined[1] - across) < 2
    return refined if near else (down, across)


def weave(camera: np.ndarray, shots: list[tuple[int, int]], size: tuple[int, int]) -> np.ndarray:
    """Gate weave: the camera's path minus its smooth path within each shot.

    A tripod shot becomes still, and a pan stays a pan.

    Args:
        camera: [n, 2], (down, across), source pixels.
        shots: first frame and number of frames of each.
        size: height and width of a frame; what is more than 2 % of them is not taken for weave.

    Returns:
        float64 [n, 2]: what frames have to be moved by to lie on the smooth path (`apply_shift`).
    """
    result = np.zeros(camera.shape)
    for first, count in shots:
        path = np.asarray(camera[first : first + count], np.float64)
        result[first : first + count] = path - smooth(path)
    limit = np.array(size) * _MOST_WEAVE
    return np.clip(result, -limit, limit)


def apply_shift(pixels_HWC: np.ndarray, shift: np.ndarray) -> np.ndarray:
    """A picture moved by (down, across) pixels, with parts of them; what comes in at the border is the border's own.

    Args:
        pixels_HWC: uint8 or uint16.
        shift: two numbers. None of it gives the same bits.
    """
    down, across = float(shift[0]), float(shift[1])
    if not down and not across:
        return pixels_HWC
    moved = cv2.warpAffine(
        np.ascontiguousarray(pixels_HWC),
        np.array([[1.0, 0.0, across], [0.0, 1.0, down]]),
        pixels_HWC.shape[1::-1],
        flags=cv2.INTER_CUBIC,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return moved.reshape(pixels_HWC.shape)
