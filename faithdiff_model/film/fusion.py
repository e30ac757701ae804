"""Average a restored frame with those before and after it, along the motion.

Grain is new in every frame, what was photographed is not: frames that show the same thing are averaged, each brought into
place by one warp. Where the motion is not sure, or the frames differ once in place, a frame stands for itself.

A way that misses its place by a little blurs: by a Gaussian whose variance is that of the miss, in the share that moved
neighbours have in the sum. To first order that is undone. What stands still misses nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from faithdiff_model.film.motion import Motion, compose, positions, rescale, sample

__all__ = ["REACH", "fuse"]

REACH = 2  # frames on either side
_ALIKE = 0.06  # of white, after blurring: a difference of which a neighbour counts a third
_MISS = 0.1  # pixels squared, across and down, that ways miss by at edges: 0.04 to 0.4 on three of train
_LOOK = 2.0  # pixels of blur of the difference: grain cancels out in it, and a misplaced edge does not


def fuse(frames: Sequence[np.ndarray], motions: Sequence[Motion], middle: int) -> np.ndarray:
    """One frame joined with its neighbours.

    Args:
        frames: restored, float32 [H, W, C] in [0, 1], in order.
        motions: between each and the next, at any resolution: one fewer.
        middle: the frame that is wanted.

    Returns:
        float32 [H, W, C].
    """
    centre = frames[middle]
    total, weights = centre.copy(), np.ones(centre.shape[:2], np.float32)
    moving = np.zeros(centre.shape[:2], np.float32)
    for way in (-1, 1):
        field: np.ndarray | None = None
        consistent: np.ndarray | None = None
        number = middle
        while 0 <= number + way < len(frames):
            motion = motions[number if way == 1 else number - 1]
            step = motion.forward if way == 1 else motion.backward
            trusted = motion.forward_consistent if way == 1 else motion.backward_consistent
            if field is None or consistent is None:
                field, consistent = step, trusted
            else:
                consistent = consistent & (sample(trusted.astype(np.float32), positions(field)) > 0.99)
                field = compose(field, step)
            number += way
            way_there = rescale(field, *centre.shape[:2])
            moved, weight = _warp(centre, frames[number], way_there, consistent)
            total += moved * weight[..., None]
            weights += weight
            moving += weight * np.minimum(np.hypot(way_there[..., 0], way_there[..., 1]), 1)
    mean = total / weights[..., None]
    return np.asarray(np.clip(_restore_detail(mean, moving / weights), 0, 1), np.float32)


def _restore_detail(mean: np.ndarray, share: np.ndarray) -> np.ndarray:
    """A mean of frames with the detail that ways which miss a little took out of it.

    Args:
        mean: [H, W, C].
        share: [H, W], 0 to 1: that neighbours which moved by a pixel or more have in it.
    """
    # A Gaussian of variance 1 takes as much away as a miss of variance 1 does.
    detail = mean - cv2.GaussianBlur(mean, (0, 0), 1.0).reshape(mean.shape)
    return np.asarray(mean + _MISS * share[..., None] * detail)


def _warp(
    centre: np.ndarray, other: np.ndarray, way: np.ndarray, consistent: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """A neighbour in the middle frame's place, and how much each of its pixels counts, 0 to 1."""
    height, width = centre.shape[:2]
    moved = sample(other, positions(way), how=cv2.INTER_LANCZOS4)
    moved = moved.reshape(centre.shape)
    apart = cv2.GaussianBlur((moved - centre).mean(axis=2), (0, 0), _LOOK)
    trusted = cv2.resize(consistent.astype(np.float32), (width, height), interpolation=cv2.INTER_LINEAR)
    weight = np.exp(-((apart / _ALIKE) ** 2)) * np.clip(2 * trusted - 1, 0, 1)
    return moved, np.asarray(weight, np.float32)
