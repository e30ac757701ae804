"""The form in which an encoder takes the pictures of a film: planes, size, and what they say of their colour."""

from __future__ import annotations

import cv2
import numpy as np
from av.video.codeccontext import VideoCodecContext

from pipelines.media.film.facts import FilmFacts
from pipelines.media.film.picture.colour_tags import (
    FULL_RANGE,
    LIMITED,
    MATRIX_NUMBERS,
    PRIMARIES_NUMBERS,
    TRANSFER_NUMBERS,
    UNKNOWN,
)
from pipelines.media.film.picture.planes import LUMA_WEIGHTS, gbr, to_bits, to_yuv

__all__ = ["PictureForm"]

_HD_LINES = 720  # from here on players take BT.709 where they do not read tags


class PictureForm:
    """How pictures are given to one encoder.

    FFV1 gets RGB, or grey for grey sources, of 10 or 16 bits and full range; ProRes and H.264 get luma and chroma of limited
    range, with the source's matrix, but BT.709 for RGB sources and large pictures.

    Args:
        codec: ffv1, prores_ks or libx264.
        facts: of the source.
        width, height: of the result.
        bits: 10 or 16, of FFV1.

    Attributes:
        pixel_format: FFmpeg's name.
        size: height and width of what is encoded.
        warnings: what became different, a line each; grows as pictures come.
    """

    def __init__(self, codec: str, facts: FilmFacts, width: int, height: int, bits: int) -> None:
        self._facts, self._bits = facts, bits
        self._matrix = _matrix(facts, height)
        self.warnings = list[str]()
        self._pad = (height % 2, width % 2) if codec == "libx264" else (0, 0)
        self.size = height + self._pad[0], width + self._pad[1]
        if any(self._pad):
            sides = " and ".join(side for side, odd in zip(("row", "column"), self._pad, strict=True) if odd)
            # 4:2:0 has even sides. 4:4:4 would keep odd ones, but hardly any player shows it; cropping would lose picture.
            self.warnings.append(f"H.264 has even sides only: the last {sides} is there twice")
        grey = f"{'gray' if facts.channels == 1 else 'gbrp'}{bits}le"
        self.pixel_format = {"prores_ks": "yuv422p10le", "libx264": "yuv420p"}.get(codec, grey)

    def tag(self, context: VideoCodecContext) -> None:
        """Tell an encoder, before it is opened, what colours are meant."""
        context.color_primaries = PRIMARIES_NUMBERS.get(self._facts.primaries, UNKNOWN)
        context.color_trc = TRANSFER_NUMBERS.get(self._facts.transfer, UNKNOWN)
        if self.pixel_format.startswith("yuv"):
            context.color_range, context.colorspace = LIMITED, MATRIX_NUMBERS[self._matrix]
        else:
            context.color_range = FULL_RANGE
            context.colorspace = UNKNOWN if self.pixel_format.startswith("gray") else MATRIX_NUMBERS["gbr"]

    def planes(self, pixels_HWC: np.ndarray) -> list[np.ndarray]:
        """A picture, uint16 [H, W, 3], RGB, full range, as the pixel format has it."""
        if self.pixel_format.startswith("gray"):
            return [to_bits(self._grey(pixels_HWC), self._bits)]
        if self.pixel_format.startswith("gbrp"):
            return [to_bits(plane, self._bits) for plane in gbr(pixels_HWC)]
        if self.pixel_format == "yuv422p10le":
            return to_yuv(pixels_HWC, self._matrix, 10, halve_rows=False)
        if any(self._pad):
            pixels_HWC = cv2.copyMakeBorder(pixels_HWC, 0, self._pad[0], 0, self._pad[1], cv2.BORDER_REPLICATE)
        return to_yuv(pixels_HWC, self._matrix, 8, halve_rows=True)

    def _grey(self, pixels_HWC: np.ndarray) -> np.ndarray:
        red, green, blue = (pixels_HWC[..., channel] for channel in range(3))
        if np.array_equal(red, green) and np.array_equal(green, blue):
            return green
        warning = "the source is grey, and so is the result: colour that the model added was left out"
        if warning not in self.warnings:
            self.warnings.append(warning)
        return ((pixels_HWC.sum(axis=2, dtype=np.uint32) + 1) // 3).astype(np.uint16)


def _matrix(facts: FilmFacts, height: int) -> str:
    if facts.primaries == "bt2020" or facts.matrix == "bt2020nc":
        return "bt2020nc"
    if facts.matrix not in LUMA_WEIGHTS or height >= _HD_LINES:
        return "bt709"
    return facts.matrix
