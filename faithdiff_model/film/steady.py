"""Restore the frames of a shot so that they do not flicker, in order, with a few in memory at a time."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import cv2
import numpy as np

from faithdiff_model.film.carried_noise import CarriedNoise
from faithdiff_model.film.fusion import REACH as FUSION_REACH
from faithdiff_model.film.fusion import fuse
from faithdiff_model.film.motion import CLEAN, Motion, flow_grey
from faithdiff_model.image.colour_statistics import Colour
from faithdiff_model.image.resize import enlarge

if TYPE_CHECKING:  # the driver of a run plans shots without loading PyTorch
    from faithdiff_model.restorer import Restorer

__all__ = ["AS_IT_IS", "ShotFrame", "Steady", "restore_shot"]

Steady = Literal["none", "shared-noise", "flow"]
# Frames before and after a frame that its result depends on.
REACH: dict[Steady, int] = {"none": 0, "shared-noise": 0, "flow": FUSION_REACH}
AS_IT_IS: Colour = ((1.0, 1.0, 1.0), (0.0, 0.0, 0.0))


@dataclass(frozen=True, kw_only=True)
class ShotFrame:
    """A frame of a shot before it is restored.

    Attributes:
        number: in the film.
        lq: [H, W, 1 or 3], uint8 or uint16, at the source's size.
        camera: (down, across): where the frame lies in its shot's common plane, source pixels. Noise starts from there, so that
            parts of a shot that are restored apart begin with nearly the same.
        colour: gain and offset that bring its colour to that of the frames around it.
    """

    number: int
    lq: np.ndarray
    camera: tuple[float, float] = (0.0, 0.0)
    colour: Colour = AS_IT_IS


def restore_shot(
    restorer: Restorer,
    frames: Iterable[ShotFrame],
    *,
    steady: Steady,
    prompt: str,
    seed: int,
    upscale: int,
    batch: int = 1,
) -> Iterator[np.ndarray]:
    """Restore consecutive frames of one shot.

    - `none`: each frame as a photograph of its own: noise of its own, colour of its own.
    - `shared-noise`: the same noise for all frames, and colour of the frames around.
    - `flow`: noise that is carried along the motion, colour of the frames around, and each result joined with those of the two
      frames before and after it along the motion.

    Args:
        restorer: the model.
        frames: all of one size.
        steady: one of the three.
        prompt: of the shot.
        seed: of the noise.
        upscale: result pixels a source pixel.
        batch: frames that are restored together.

    Yields:
        For each frame, float32 [H * upscale, W * upscale, 1 or 3] in [0, 1].
    """
    results = _restore_frames(restorer, frames, steady, prompt, seed, upscale, batch)
    yield from _fuse_results(results, upscale) if steady == "flow" else results


def _fuse_results(restored: Iterable[np.ndarray], upscale: int) -> Iterator[np.ndarray]:
    """Each result joined with its neighbours, `FUSION_REACH` frames late.

    Motion is measured on the results, which have less grain than the source, at the source's size, where it is steadier.
    """
    frames: deque[np.ndarray] = deque()
    motions: deque[Motion] = deque()  # between each of `frames` and the next
    before: np.ndarray | None = None
    middle = 0
    for result in restored:
        size = (result.shape[1] // upscale, result.shape[0] // upscale)
        small = cv2.resize(result, size, interpolation=cv2.INTER_AREA).reshape(size[1], size[0], -1)
        grey = flow_grey(small, CLEAN)
        if before is not None:
            motions.append(Motion.between(before, grey))
        before = grey
        frames.append(result)
        if len(frames) - middle > FUSION_REACH:
            yield fuse(frames, motions, middle)
            middle += 1
        if middle > FUSION_REACH:
            frames.popleft()
            motions.popleft()
            middle -= 1
    while middle < len(frames):
        yield fuse(frames, motions, middle)
        middle += 1
        if middle > FUSION_REACH:
            frames.popleft()
            motions.popleft()
            middle -= 1


def _restore_frames(
    restorer: Restorer,
    frames: Iterable[ShotFrame],
    steady: Steady,
    prompt: str,
    seed: int,
    upscale: int,
    batch: int,
) -> Iterator[np.ndarray]:
    """Each frame restored by itself; for `flow`, from noise that is carried along the motion."""
    noise: CarriedNoise | None = None
    before: np.ndarray | None = None
    pending: list[tuple[ShotFrame, np.ndarray | None]] = []

    def restore_pending() -> list[np.ndarray]:
        height, width = (side * upscale for side in pending[0][0].lq.shape[:2])
        results = restorer.restore(
            [enlarge(frame.lq, height, width) for frame, _ in pending],
            [prompt] * len(pending),
            [_seed(seed, frame.number) if steady == "none" else seed for frame, _ in pending],
            noises=[own_noise for _, own_noise in pending],
            colours=[None if steady == "none" else frame.colour for frame, _ in pending],
        )
        pending.clear()
        return results

    for frame in frames:
        own_noise: np.ndarray | None = None
        if steady == "flow":
            grey = flow_grey(frame.lq)
            if noise is None or before is None:
                noise = _first_noise(restorer, frame, seed, upscale)
            else:
                motion = Motion.between(before, grey)
                noise.move(motion.backward, motion.backward_consistent)
            before, own_noise = grey, noise.current()
        pending.append((frame, own_noise))
        if len(pending) == batch:
            yield from restore_pending()
    if pending:
        yield from restore_pending()


def _first_noise(restorer: Restorer, frame: ShotFrame, seed: int, upscale: int) -> CarriedNoise:
    height, width = (side * upscale for side in frame.lq.shape[:2])
    shape = (restorer.latent_channels, *restorer.latent_shape(height, width))
    origin = (frame.camera[0] * upscale, frame.camera[1] * upscale)
    return CarriedNoise(seed, shape, restorer.config.pixels_per_latent, origin)


def _seed(seed: int, number: int) -> int:
    """Of a frame that is restored by itself."""
    return int.from_bytes(hashlib.sha256(f"{seed} {number}".encode()).digest()[:8], "big") >> 1
