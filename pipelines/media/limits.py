"""Sizes above which a file is refused before any pixel is decoded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

__all__ = ["BYTES_PER_PIXEL", "COPIES", "DecodeLimits", "HasLimits", "limits_of"]


@dataclass(frozen=True, kw_only=True)
class DecodeLimits:
    """Sizes above which a file is refused.

    Together they bound the memory of decoding: at most `BYTES_PER_PIXEL` bytes for each pixel of the limit and
    `COPIES` times the file, whatever the file says of itself.

    Attributes:
        max_bytes: of the file.
        max_pixels: width times height, as the header says. Pixels stored in more than 8 bytes count for as many times
            more as they need.
        max_frames: pages, animation frames or code streams in the file, though only the first is decoded.
    """

    max_bytes: int = 2 * 2**30
    max_pixels: int = 400_000_000
    max_frames: int = 10_000


# Measured at most 50 (JPEG 2000 in code blocks of 8 x 8); JPEG needs 10, 8-bit PNG and WebP 12 to 20, 16-bit TIFF 30 to 40.
BYTES_PER_PIXEL = 64
COPIES = 6


class HasLimits(Protocol):
    """What carries limits: `pipelines.settings.Settings`, for one."""

    @property
    def max_bytes(self) -> int: ...
    @property
    def max_pixels(self) -> int: ...
    @property
    def max_frames(self) -> int: ...


def limits_of(settings: HasLimits) -> DecodeLimits:
    """The limits that settings ask for."""
    return DecodeLimits(max_bytes=settings.max_bytes, max_pixels=settings.max_pixels, max_frames=settings.max_frames)
