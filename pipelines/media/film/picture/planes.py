"""Pictures as encoders take them: RGB of 16 bits to planes of fewer bits, or of luma and chroma."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from functools import cache

import av
import cv2
import numpy as np

__all__ = ["FULL", "LUMA_WEIGHTS", "gbr", "to_bits", "to_yuv", "video_frame"]

FULL = 65535
# Weights of red and blue in luma, by FFmpeg's name of the matrix (ITU-R BT.601, 709, 2020; SMPTE 240M; FCC 73.682).
LUMA_WEIGHTS = {
    "bt709": (0.2126, 0.0722),
    "fcc": (0.30, 0.11),
    "bt470bg": (0.299, 0.114),
    "smpte170m": (0.299, 0.114),
    "smpte240m": (0.212, 0.087),
    "bt2020nc": (0.2627, 0.0593),
}
# Halves the resolution onto every second sample, with little loss below half the sampling rate and no shift: the half-band
# filter of MPEG's 4:4:4 to 4:2:2 conversion.
_COSITED = np.array([-1, 0, 9, 16, 9, 0, -1], np.float32) / 32
# Halves it onto points between two samples, where 4:2:0 has its chroma in the vertical.
_BETWEEN = np.array([1, 3, 3, 1], np.float32) / 8


def to_bits(samples: np.ndarray, bits: int) -> np.ndarray:
    """Samples of the full range of 16 bits, uint16, as the nearest of `bits` bits, uint16, any shape.

    What was widened from that depth or a smaller one by rounding comes back exactly.
    """
    return samples if bits == 16 else _narrowing(bits)[samples]


@cache
def _narrowing(bits: int) -> np.ndarray:
    top = (1 << bits) - 1
    return ((np.arange(FULL + 1, dtype=np.int64) * top + FULL // 2) // FULL).astype(np.uint16)


def to_yuv(rgb_HWC: np.ndarray, matrix: str, bits: int, *, halve_rows: bool) -> list[np.ndarray]:
    """Luma and chroma of limited range, chroma at half the width and sited with the left one of two pixels.

    Args:
        rgb_HWC: uint16 [H, W, 3], full range. W is even, and H where rows are halved.
        matrix: a key of `LUMA_WEIGHTS`.
        bits: 8 to 16 a sample.
        halve_rows: 4:2:0, else 4:2:2.

    Returns:
        Y [H, W], Cb and Cr, uint8 for 8 bits, else uint16.
    """
    yuv = cv2.transform(rgb_HWC.astype(np.float32), _matrix(matrix, bits))
    # The two codes at either end are kept for synchronisation; overshoot of the chroma filter may reach for them.
    low, high = 1 << (bits - 8), (255 << (bits - 8)) - 1
    kind = np.uint8 if bits == 8 else np.uint16
    chroma = np.ascontiguousarray(yuv[..., 1:])
    rows, step = (_BETWEEN, 2) if halve_rows else (np.ones(1, np.float32), 1)
    # An even kernel is centred between its two middle samples: the anchor is the second of them, the first row wanted is 0.
    anchor = (3, (len(rows) - 1) // 2)
    chroma = cv2.sepFilter2D(chroma, cv2.CV_32F, _COSITED, rows, anchor=anchor, borderType=cv2.BORDER_REPLICATE)
    planes = [yuv[..., 0], chroma[::step, ::2, 0], chroma[::step, ::2, 1]]
    return [np.clip(np.rint(plane), low, high).astype(kind) for plane in planes]


@cache
def _matrix(name: str, bits: int) -> np.ndarray:
    """[3, 4]: full-range RGB of 16 bits to codes of limited range."""
    red, blue = LUMA_WEIGHTS[name]
    luma = np.array([red, 1 - red - blue, blue])
    blueness = (np.array([0, 0, 1]) - luma) / (2 * (1 - blue))
    redness = (np.array([1, 0, 0]) - luma) / (2 * (1 - red))
    scale = (1 << (bits - 8)) / FULL
    weights = np.stack([luma * 219, blueness * 224, redness * 224]) * scale
    offsets = np.array([16, 128, 128])[:, None] * (1 << (bits - 8))
    return np.hstack([weights, offsets]).astype(np.float32)


def video_frame(planes: Sequence[np.ndarray], pixel_format: str, pts: int, time_base: Fraction) -> av.VideoFrame:
    """A frame for an encoder.

    Args:
        planes: [rows, columns], uint8 or uint16, in the format's order; the first has the frame's size.
        pixel_format: planar, little endian.
        pts: when it is shown.
        time_base: seconds a unit of `pts` is worth.
    """
    height, width = planes[0].shape
    frame = av.VideoFrame(width, height, pixel_format)
    for plane, samples in zip(frame.planes, planes, strict=True):
        rows = np.frombuffer(memoryview(plane), samples.dtype).reshape(
            plane.height, plane.line_size // samples.itemsize
        )
        rows[:, : plane.width] = samples
    frame.pts, frame.time_base = pts, time_base
    return frame


def gbr(pixels_HWC: np.ndarray) -> list[np.ndarray]:
    """Planes of the formats `gbrp`, in their order."""
    return [pixels_HWC[..., 1], pixels_HWC[..., 2], pixels_HWC[..., 0]]
