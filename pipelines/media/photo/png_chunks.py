"""PNG structure: every chunk is walked and checked, and only the ones that pixels need reach a decoder."""

from __future__ import annotations

import io
import struct
import zlib
from dataclasses import dataclass, replace

from pipelines.errors import ItemError
from pipelines.media.photo.exif import read_exif
from pipelines.media.photo.header import MAX_PROFILE, RECOPY, Header, check_sides, corrupt, need, usable_dpi

__all__ = ["SIGNATURE", "PngHeader", "read_png"]

SIGNATURE = b"\x89PNG\r\n\x1a\n"
# Samples of a pixel by colour type: grey, RGB, palette, grey + alpha, RGB + alpha.
_SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
_DEPTHS = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}
# Text, animation and colour hints never reach the decoders: a text chunk of kilobytes can unpack to gigabytes.
_PIXEL_CHUNKS = (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND")
_READ_CHUNKS = (b"iCCP", b"sRGB", b"gAMA", b"pHYs", b"eXIf", b"acTL")


@dataclass(frozen=True, kw_only=True)
class PngHeader(Header):
    """Header of a PNG.

    Attributes:
        colour_type: 0 grey, 2 RGB, 3 palette, 4 grey + alpha, 6 RGB + alpha.
        transparency: the tRNS chunk's payload, for colour types 0, 2 and 3; None when absent.
        stream: a PNG file of only the checked chunks that pixels need.
    """

    colour_type: int
    transparency: bytes | None
    stream: bytes


def read_png(data: bytes) -> PngHeader:
    """Header of a PNG file, all check sums verified.

    Raises:
        ItemError: "zero_size", "truncated", "corrupt" or "unsupported" (not a plain PNG).
    """
    stream = io.BytesIO()
    stream.write(SIGNATURE)
    found: dict[bytes, bytes] = {}
    header: PngHeader | None = None
    warnings: list[str] = []
    view = memoryview(data)
    at, complete, pixels, frames = len(SIGNATURE), False, False, 0
    while at < len(data) and not complete:
        if len(data) - at < 12 and pixels:
            break  # cut inside the end marker: all pixels may still be there
        length, kind = struct.unpack(">I4s", need(data, at, 8, "a chunk"))
        if kind == b"CgBI":
            raise ItemError("unsupported", "this is an Apple iOS PNG, which is not PNG; convert it to PNG first")
        if header is None and kind != b"IHDR":
            raise corrupt("the first chunk is not a header")
        if length > 2**31 - 1:
            raise corrupt(f"chunk {_name(kind)} has an impossible length")
        if at + 12 + length > len(data):
            raise ItemError("truncated", f"the file ends at byte {len(data)}, inside chunk {_name(kind)}; {RECOPY}")
        body = view[at + 8 : at + 8 + length]
        intact = zlib.crc32(body, zlib.crc32(kind)) == struct.unpack_from(">I", data, at + 8 + length)[0]
        if kind in _PIXEL_CHUNKS:
            if not intact:
                raise corrupt(f"the check sum of chunk {_name(kind)} is wrong")
            if length or kind != b"IDAT":  # millions of empty chunks would only keep a decoder busy
                stream.write(view[at : at + 12 + length])
        elif kind in _READ_CHUNKS and kind not in found:
            if intact:
                found[kind] = bytes(body)
            else:
                warnings.append(f"chunk {_name(kind)} is damaged and was ignored")
        elif not intact and kind[:1].isupper():
            raise corrupt(f"the check sum of chunk {_name(kind)} is wrong")
        if kind == b"IHDR" and header is None:
            header = _image_header(bytes(body))
        if kind == b"tRNS":
            found.setdefault(kind, bytes(body))
        pixels = pixels or kind == b"IDAT"
        frames += kind == b"fcTL"
        complete = kind == b"IEND"
        at += 12 + length
    if header is None:
        raise ItemError("truncated", f"the file ends after its signature; {RECOPY}")
    if not complete:
        warnings.append("the end marker is missing")
        stream.write(struct.pack(">I4sI", 0, b"IEND", zlib.crc32(b"IEND")))
    if not pixels:
        raise corrupt("there is no pixel data") if complete else ItemError("truncated", f"no pixel data; {RECOPY}")
    header = replace(header, stream=stream.getvalue(), complete=complete, frames=frames if b"acTL" in found else 1)
    return _with_metadata(header, found, warnings)


def _image_header(body: bytes) -> PngHeader:
    if len(body) != 13:
        raise corrupt("the header chunk has the wrong length")
    width, height, bits, colour_type, method, filtering, interlace = struct.unpack(">IIBBBBB", body)
    check_sides(width, height)
    if bits not in _DEPTHS.get(colour_type, ()) or method or filtering or interlace > 1:
        raise corrupt(f"colour type {colour_type} with {bits} bits does not exist in PNG")
    return PngHeader(
        format="PNG",
        width=width,
        height=height,
        bits=bits,
        samples=_SAMPLES[colour_type],
        colour_type=colour_type,
        transparency=None,
        stream=b"",
    )


def _with_metadata(header: PngHeader, found: dict[bytes, bytes], warnings: list[str]) -> PngHeader:
    orientation, dpi, complaints = read_exif(found.get(b"eXIf"))
    warnings.extend(complaints)
    if len(found.get(b"pHYs", b"")) == 9:
        horizontal, vertical, unit = struct.unpack(">IIB", found[b"pHYs"])
        if unit == 1:  # pixels a metre
            dpi = usable_dpi(horizontal * 0.0254, vertical * 0.0254)
    icc_profile = _icc_profile(found[b"iCCP"], warnings) if b"iCCP" in found else None
    gamma = struct.unpack(">I", found[b"gAMA"])[0] if len(found.get(b"gAMA", b"")) == 4 else 45455
    # 1 / 2.2 is the gamma of sRGB; a profile or an sRGB chunk overrules the gamma chunk.
    if abs(gamma - 45455) > 100 and icc_profile is None and b"sRGB" not in found:
        warnings.append(f"the file asks for gamma {gamma / 100000}: pixels are kept as stored")
    if header.frames > 1:
        warnings.append(f"animation of {header.frames} frames: only the still image is read")
    return replace(
        header,
        transparency=_transparency(header, found.get(b"tRNS")),
        icc_profile=icc_profile,
        orientation=orientation,
        dpi=dpi,
        frames=max(header.frames, 1),
        colour_space="sRGB" if b"sRGB" in found else None,
        warnings=tuple(warnings),
    )


def _transparency(header: PngHeader, body: bytes | None) -> bytes | None:
    if body is None or header.colour_type in (4, 6):  # with an alpha channel the chunk has no meaning
        return None
    if len(body) < {0: 2, 2: 6, 3: 1}[header.colour_type]:
        raise corrupt("the transparency chunk is too short")
    return body


def _icc_profile(body: bytes, warnings: list[str]) -> bytes | None:
    # Profile name, zero byte, compression method (0), deflated profile.
    _, _, packed = body.partition(b"\0")
    unpacker = zlib.decompressobj()
    try:
        profile = unpacker.decompress(packed[1:], MAX_PROFILE)
    except zlib.error:
        profile = b""
    if not profile or unpacker.unconsumed_tail or not unpacker.eof:
        warnings.append("the colour profile is damaged or too large and was ignored")
        return None
    return profile


def _name(kind: bytes) -> str:
    return kind.decode("ascii", "backslashreplace")
