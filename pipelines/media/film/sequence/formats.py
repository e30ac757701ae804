"""Read one frame's file, whichever of the formats it is in: recognised by content."""

from __future__ import annotations

import numpy as np

from pipelines.errors import ItemError
from pipelines.media.film.sequence.dpx import read_dpx
from pipelines.media.film.sequence.exr import read_exr
from pipelines.media.film.sequence.exr_header import MAGIC
from pipelines.media.film.sequence.frame import FrameFile, FrameKind
from pipelines.media.guard import label
from pipelines.media.limits import DecodeLimits
from pipelines.media.photo.decode import Photo, decode

__all__ = ["read_frame"]

STILLS = ("TIFF", "PNG")


def read_frame(data: bytes, name: str, limits: DecodeLimits) -> FrameFile:
    """Decode a frame: DPX, OpenEXR, TIFF or PNG.

    Args:
        data: the whole file.
        name: for reasons.
        limits: sizes above which the file is refused before any pixel is decoded.

    Raises:
        ItemError: and nothing else, whatever the bytes: what `read_dpx`, `read_exr` and `photo.decode.decode` raise;
            "unsupported" for other images.
    """
    if data[:4] in (b"SDPX", b"XPDS"):
        return read_dpx(data, name, limits)
    if data[:4] == MAGIC:
        return read_exr(data, name, limits)
    return _of_photo(decode(data, name, limits), name)


def _of_photo(photo: Photo, name: str) -> FrameFile:
    if photo.format not in STILLS:
        reason = f"is {photo.format}; frames are DPX, EXR, TIFF or PNG: convert the sequence to one of them"
        raise ItemError("unsupported", f"{label(name)}: {reason}")
    pixels, notes = photo.pixels, list(photo.warnings)
    height, width, channels = pixels.shape
    if channels in (2, 4):
        pixels, channels = pixels[..., :-1], channels - 1
        notes.append("the alpha channel was left out")
    kind = FrameKind(
        format=photo.format,
        codec=photo.format.lower(),
        width=width,
        height=height,
        channels=channels,
        bit_depth=photo.bit_depth,
        pixel_format=photo.source_mode,
        transfer="iec61966-2-1",
        primaries="bt709",
        assumed=() if photo.colour_space in ("sRGB", "sRGB (converted)") else ("primaries", "transfer"),
        rotation={3: 180, 6: 90, 8: 270}.get(photo.orientation, 0),
    )
    return FrameFile(
        pixels=np.ascontiguousarray(np.repeat(pixels, 3, axis=2) if channels == 1 else pixels),
        kind=kind,
        colour_profile=photo.colour_space if photo.icc_profile else "",
        warnings=tuple(notes),
    )
