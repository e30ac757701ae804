"""Moving pictures of photographs, of which every motion is known, and what age makes of them: for measuring and for trying."""

from __future__ import annotations

from typing import Literal, NamedTuple

import cv2
import numpy as np

from faithdiff_model.degradation.archive.emulsion import grain
from faithdiff_model.degradation.blur import soften
from faithdiff_model.degradation.codec import jpeg

Path = Literal["pan", "zoom", "hand-held"]
_PAN = 0.012  # of the long side a frame
_ZOOM = 1.008  # a frame
_TREMOR = 0.006  # of the long side: of a hand


class Clip(NamedTuple):
    """Frames of a photograph under a moving camera.

    Attributes:
        frames: float32 [h, w, 3] in [0, 1].
        views: float64 [3, 3] of each: from a pixel of the frame, (across, down, 1), to one of the photograph.
    """

    frames: list[np.ndarray]
    views: list[np.ndarray]


def moving_clip(photo_HWC: np.ndarray, count: int, size: tuple[int, int], path: Path, seed: int = 0) -> Clip:
    """A camera moves over a photograph.

    Args:
        photo_HWC: float32 in [0, 1], larger than `size`; where the camera leaves it, it is mirrored.
        count: frames.
        size: height and width of a frame.
        path: a pan at constant speed, a zoom into the middle, or a hand that holds the camera as still as it can while
            walking: a slow drift, tremor, a little turning and zooming.
        seed: of the direction and the hand.
    """
    rng = np.random.default_rng(seed)
    height, width = size
    middle = np.array([photo_HWC.shape[1] / 2, photo_HWC.shape[0] / 2])
    views = []
    angle = rng.uniform(0, 2 * np.pi)
    tremor = np.cumsum(rng.normal(0, _TREMOR, (count, 2)), axis=0)
    tremor = 0.7 * tremor + rng.normal(0, _TREMOR / 3, (count, 2))
    turning = np.cumsum(rng.normal(0, 0.0025, count))
    closeness = np.cumsum(rng.normal(0, 0.0025, count))
    for number in range(count):
        along = (number - (count - 1) / 2) * max(size)
        shift, turn, zoom = np.zeros(2), 0.0, 1.0
        if path == "pan":
            shift = along * _PAN * np.array([np.cos(angle), np.sin(angle)])
        elif path == "zoom":
            zoom = _ZOOM ** -(number - (count - 1) / 2)
        else:
            shift, turn, zoom = tremor[number] * max(size), float(turning[number]), float(np.exp(closeness[number]))
        cosine, sine = zoom * np.cos(turn), zoom * np.sin(turn)
        centre = middle + shift
        views.append(
            np.array([[cosine, -sine, centre[0]], [sine, cosine, centre[1]], [0, 0, 1.0]])
            @ np.array([[1.0, 0, -(width - 1) / 2], [0, 1.0, -(height - 1) / 2], [0, 0, 1.0]])
        )
    frames = [
        cv2.warpAffine(
            photo_HWC,
            view[:2],
            (width, height),
            flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REFLECT,
        ).clip(0, 1)
        for view in views
    ]
    return Clip(frames, views)


def step(clip: Clip, number: int) -> np.ndarray:
    """Where each pixel of frame `number` lies in the frame before: float32 [h, w, 2], (column, row)."""
    height, width = clip.frames[0].shape[:2]
    back = np.linalg.inv(clip.views[number - 1]) @ clip.views[number]
    columns, rows = np.meshgrid(np.arange(width, dtype=np.float64), np.arange(height, dtype=np.float64))
    return np.stack([columns * back[r, 0] + rows * back[r, 1] + back[r, 2] for r in (0, 1)], axis=2).astype(np.float32)


def age_clip(
    frames: list[np.ndarray],
    seed: int,
    *,
    scale: int = 2,
    amount: float = 0.035,
    flicker: float = 0.06,
    quality: int = 75,
) -> list[np.ndarray]:
    """What an old film looks like: smaller, soft, with grain that is new in every frame, and light that pumps.

    Args:
        frames: float32 [h, w, 3] in [0, 1], sides a multiple of `scale`.
        seed: of grain and flicker.
        scale: how many times smaller.
        amount: of grain, of white.
        flicker: largest part by which brightness goes up or down.
        quality: of JPEG at the end, as old transfers have it.

    Returns:
        uint8 [h / scale, w / scale, 3].
    """
    rng = np.random.default_rng(seed)
    aged = []
    for frame in frames:
        small = cv2.resize(frame, (frame.shape[1] // scale, frame.shape[0] // scale), interpolation=cv2.INTER_AREA)
        soft = soften(small, 0.6) * np.float32(1 + rng.uniform(-flicker, flicker))
        spoilt = jpeg(np.clip(grain(soft, rng, amount), 0, 1), quality)
        aged.append(np.rint(np.clip(spoilt, 0, 1) * 255).astype(np.uint8))
    return aged
