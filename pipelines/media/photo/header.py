"""What a container says about its image, read before any pixel is decoded."""

from __future__ import annotations

from dataclasses import dataclass

from pipelines.errors import ItemError

__all__ = ["MAX_PROFILE", "RECOPY", "Header", "check_sides", "corrupt", "need", "usable_dpi"]

RECOPY = "copy it again from the original"
MAX_PROFILE = 16 * 2**20  # bytes of a colour profile; the largest of printers are a few MB


@dataclass(frozen=True, kw_only=True)
class Header:
    """Facts of one image file; every format's reader returns this or a subclass with what only that format has.

    Attributes:
        format: "JPEG", "PNG", "TIFF", "WEBP", "JPEG2000", "AVIF", "BMP", "GIF" or "TGA".
        width: pixels in a stored row, before the orientation is applied; at least 1.
        height: stored rows; at least 1.
        bits: bits of one sample as stored.
        samples: samples of one pixel as stored (a palette index counts as one).
        frames: pages, animation frames or code streams in the file; only the first is ever decoded.
        icc_profile: the embedded profile, unchecked.
        orientation: EXIF orientation, 1 to 8.
        dpi: (horizontal, vertical) pixels an inch, both above 0; None when not stored or stored without a unit.
        colour_space: a name the container itself gives ("sRGB"), or None.
        complete: False when the end marker is missing although no part of the structure is visibly cut.
        warnings: what the reader had to put up with, a line each.
    """

    format: str
    width: int
    height: int
    bits: int
    samples: int
    frames: int = 1
    icc_profile: bytes | None = None
    orientation: int = 1
    dpi: tuple[float, float] | None = None
    colour_space: str | None = None
    complete: bool = True
    warnings: tuple[str, ...] = ()


def need(data: bytes, offset: int, count: int, what: str) -> bytes:
    """`count` bytes of `data` from `offset`.

    Raises:
        ItemError: "truncated" when the file ends before them.
    """
    if offset + count > len(data):
        raise ItemError("truncated", f"the file ends at byte {len(data)}, inside {what}; {RECOPY}")
    return data[offset : offset + count]


def check_sides(width: int, height: int) -> None:
    """Refuse an image without area.

    Raises:
        ItemError: "zero_size".
    """
    if width < 1 or height < 1:
        raise ItemError("zero_size", f"the header says {width} x {height} pixels; {RECOPY} or leave it out")


def corrupt(what: str) -> ItemError:
    """The error for a structure that contradicts its format."""
    return ItemError("corrupt", f"{what}; {RECOPY}")


def usable_dpi(horizontal: float, vertical: float) -> tuple[float, float] | None:
    """Both resolutions in pixels an inch, or None when either is not a sensible number."""
    # Above a million is no scanner: it is a broken fraction.
    if 0 < horizontal < 1e6 and 0 < vertical < 1e6:
        return float(horizontal), float(vertical)
    return None
