"""One frame's file, decoded: what a sequence's frames have in common, and what each says of itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from pipelines.errors import ItemError
from pipelines.media.limits import DecodeLimits
from pipelines.media.photo.header import RECOPY


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


def guarded(
    read: Callable[[bytes, DecodeLimits], FrameFile], data: bytes, name: str, limits: DecodeLimits
) -> FrameFile:
    """Call a reader so that only `ItemError` comes out, naming the file.

    Args:
        read: the reader.
        data: the whole file.
        name: of the file; only its last part is used.
        limits: sizes above which it is refused; that of bytes is checked here.

    Raises:
        ItemError: whatever the reader raised.
    """
    try:
        if not data:
            raise ItemError("empty", f"the file has no bytes; {RECOPY}")
        if len(data) > limits.max_bytes:
            reason = (
                f"{len(data)} bytes are more than the limit of {limits.max_bytes}; raise --max-bytes if it is genuine"
            )
            raise ItemError("too_many_bytes", reason)
        return read(data, limits)
    except ItemError as error:
        code, reason = error.code, error.reason
    except MemoryError:
        code, reason = "too_many_pixels", "not enough memory to decode it; lower --max-pixels or use a larger machine"
    except Exception as error:  # a crafted structure that no reader foresaw
        code, reason = "corrupt", f"{type(error).__name__}: {error}; {RECOPY}"
    raise ItemError(code, f"{label(name)}: {reason}")


def label(path: str) -> str:
    """The last part of a path, fit for a reason."""
    return path.rpartition("/")[2].encode("utf-8", "backslashreplace").decode()
