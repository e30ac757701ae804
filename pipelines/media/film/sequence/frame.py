"""One frame's file, decoded: what a sequence's frames have in common, and what each says of itself."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

__all__ = ["FrameFile", "FrameKind"]


@dataclass(frozen=True, kw_only=True)
class FrameKind:
    """What all frames of a film have in common. Fields are those of `FilmFacts`, of a frame that stands upright.

    Attributes:
        format: "DPX", "EXR", "TIFF" or "PNG".
        rotation: degrees clockwise that frames were turned by to stand upright.
    """

    format: str
    codec: str
    width: int
    height: int
    channels: int
    bit_depth: int
    pixel_format: str
    transfer: str
    primaries: str
    assumed: tuple[str, ...]
    rotation: int = 0

    def __str__(self) -> str:
        return f"{self.format} {self.width}x{self.height} {self.pixel_format}, {self.transfer}"


@dataclass(frozen=True, kw_only=True)
class FrameFile:
    """One decoded frame.

    Attributes:
        pixels: [height, width, 3] upright RGB, uint8 or uint16 over the whole range; grey has three equal components.
        kind: what it has in common with the others.
        rate: frames a second as a fraction, or empty.
        timecode: "hh:mm:ss:ff", or empty.
        pixel_aspect: width to height of an upright pixel, as a fraction.
        colour_profile: name of the embedded profile, or empty.
        warnings: what was changed or could not be kept, a line each.
        above: samples that were above 1 in scene-linear light and were clipped.
        below: samples that were below 0 or no number, likewise.
    """

    pixels: np.ndarray
    kind: FrameKind
    rate: str = ""
    timecode: str = ""
    pixel_aspect: str = "1/1"
    colour_profile: str = ""
    warnings: tuple[str, ...] = ()
    above: int = 0
    below: int = 0
