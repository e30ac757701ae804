"""How frames are turned to stand upright."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import cast

import av
import numpy as np
from av.buffer import Buffer

__all__ = ["Turn", "side_data", "turn_of"]


@dataclass(frozen=True)
class Turn:
    """A turn by quarters, and a mirroring.

    Attributes:
        transpose: rows become columns first.
        flip_x, flip_y: then columns, rows are reversed.
        warnings: what could not be done or is unusual.
    """

    transpose: bool = False
    flip_x: bool = False
    flip_y: bool = False
    warnings: tuple[str, ...] = ()

    @property
    def degrees(self) -> int:
        """Clockwise: 0, 90, 180 or 270; of a mirrored frame, what is left besides the mirroring."""
        if self.transpose:
            return 90 if self.flip_x else 270
        return 180 if self.flip_x and self.flip_y else 0

    def size(self, width: int, height: int) -> tuple[int, int]:
        """Width and height after the turn."""
        return (height, width) if self.transpose else (width, height)

    def aspect(self, pixel: Fraction) -> Fraction:
        """A pixel's width to its height after the turn."""
        return 1 / pixel if self.transpose else pixel

    def __call__(self, pixels_HWC: np.ndarray) -> np.ndarray:
        turned = pixels_HWC.transpose(1, 0, 2) if self.transpose else pixels_HWC
        turned = turned[:: -1 if self.flip_y else 1, :: -1 if self.flip_x else 1]
        return np.ascontiguousarray(turned)


def side_data(frame: av.VideoFrame, name: str) -> bytes:
    """What FFmpeg attached to a frame under a name of its own; empty where there is nothing."""
    try:
        return bytes(cast(Mapping[str, Buffer], frame.side_data)[name])
    except KeyError:
        return b""


def turn_of(frame: av.VideoFrame) -> Turn:
    """What a frame's display matrix asks for."""
    data = side_data(frame, "DISPLAYMATRIX")
    if len(data) != 36:
        return Turn()
    # The picture's x and y come to (a x + c y, b x + d y).
    a, b, _, c, d = struct.unpack_from("=5i", data)
    size = max(abs(a), abs(b), abs(c), abs(d))
    straight, turned = min(abs(a), abs(d)), min(abs(b), abs(c))
    if size == 0 or max(straight, turned) < 0.99 * size or min(straight, turned) > 0.01 * size:
        return Turn(warnings=("the film asks for a turn by other than quarters, which was not done",))
    if turned > straight:
        turn = Turn(True, c < 0, b < 0)
        mirrored = (c < 0) == (b < 0)
    else:
        turn = Turn(False, a < 0, d < 0)
        mirrored = (a < 0) != (d < 0)
    if mirrored:
        turn = Turn(turn.transpose, turn.flip_x, turn.flip_y, ("frames were mirrored, as the film asks for",))
    return turn
