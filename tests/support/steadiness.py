"""How steady a restored clip is, and how sharp: measured where the true motion and the true frames are known."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import cv2
import numpy as np

# Where each pixel of a frame lies in the frame before it: number -> float32 [H, W, 2], (column, row).
Step = Callable[[int], np.ndarray]
_BORDER = 8  # pixels that are not judged: there a warp has nothing to go by


def warping_error(frames: Sequence[np.ndarray], step: Step) -> float:
    """Mean absolute difference between each frame and the one before it, brought into its place by the true motion.

    0 is perfectly steady. Interpolation alone gives a little, the more the sharper a clip is: compare with the clean one's.

    Args:
        frames: float32 [H, W, C] in [0, 1].
        step: the true motion.
    """
    errors = []
    for number in range(1, len(frames)):
        at = step(number)
        before = cv2.remap(frames[number - 1], at[..., 0], at[..., 1], cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT)
        height, width = at.shape[:2]
        inside = (
            (at[..., 0] >= _BORDER)
            & (at[..., 0] < width - _BORDER)
            & (at[..., 1] >= _BORDER)
            & (at[..., 1] < height - _BORDER)
        )
        errors.append(float(np.abs(frames[number] - before.reshape(frames[number].shape))[inside].mean()))
    return float(np.mean(errors))


def sharpness(frames: Sequence[np.ndarray], clean: Sequence[np.ndarray]) -> float:
    """Slope of the restored gradients over the clean ones: 1 as sharp, below 1 blurrier, above 1 sharpened.

    Noise has no part in it, as it does not go with the clean gradient; a blurred edge has less of it.

    Args:
        frames, clean: float32 [H, W, C], alike.
    """
    above = below = 0.0
    for frame, truth in zip(frames, clean, strict=True):
        for axis in (0, 1):
            wanted = np.diff(truth, axis=axis)
            above += float((np.diff(frame, axis=axis) * wanted).sum())
            below += float((wanted * wanted).sum())
    return above / below
