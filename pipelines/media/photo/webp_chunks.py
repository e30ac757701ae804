"""WebP structure: the RIFF chunks."""

from __future__ import annotations

import struct

from pipelines.errors import ItemError
from pipelines.media.photo.exif import read_exif
from pipelines.media.photo.header import RECOPY, Header, check_sides, corrupt

__all__ = ["read_webp"]

# Each chunk costs a decoder a record, however small it is. An animation has a few for each frame.
_MAX_CHUNKS = 100_000


def read_webp(data: bytes) -> Header:
    """Header of a WebP file.

    Raises:
        ItemError: "zero_size", "truncated" or "corrupt".
    """
    if len(data) < 20:
        raise ItemError("truncated", f"the file ends at byte {len(data)}, inside its header; {RECOPY}")
    end = 8 + struct.unpack_from("<I", data, 4)[0]
    if end > len(data):
        raise ItemError("truncated", f"the file has {len(data)} of {end} bytes; {RECOPY}")
    size: tuple[int, int] | None = None
    exif = profile = None
    frames, chunks, at = 0, 0, 12
    while at + 8 <= end:
        chunks += 1
        if chunks > _MAX_CHUNKS + frames:
            raise corrupt(f"there are more than {_MAX_CHUNKS} chunks")
        kind, length = struct.unpack_from("<4sI", data, at)
        if at + 8 + length > end:
            raise corrupt("a chunk is longer than the file")
        # The decoder takes the canvas of VP8X where there is one, else the size in the image data.
        if kind in (b"VP8X", b"VP8L", b"VP8 ") and size is None:
            size = _size(kind, data[at + 8 : at + 8 + min(length, 16)])
        if kind == b"ANMF":
            frames += 1
        elif kind == b"ICCP" and profile is None:
            profile = data[at + 8 : at + 8 + length]
        elif kind == b"EXIF" and exif is None:
            exif = data[at + 8 : at + 8 + length]
        at += 8 + length + length % 2
    if size is None:
        raise corrupt("there is no image data")
    check_sides(*size)
    orientation, dpi, warnings = read_exif(exif)
    if frames > 1:
        warnings = (*warnings, f"animation of {frames} frames: only the first is read")
    return Header(
        format="WEBP",
        width=size[0],
        height=size[1],
        bits=8,
        samples=3,
        frames=max(frames, 1),
        icc_profile=profile,
        orientation=orientation,
        dpi=dpi,
        warnings=warnings,
    )


def _size(kind: bytes, body: bytes) -> tuple[int, int]:
    if kind == b"VP8X" and len(body) >= 10:  # 24-bit sides less one, after flags and reserved bytes
        return int.from_bytes(body[4:7], "little") + 1, int.from_bytes(body[7:10], "little") + 1
    if kind == b"VP8L" and len(body) >= 5 and body[0] == 0x2F:  # 14-bit sides less one
        bits = int.from_bytes(body[1:5], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if kind == b"VP8 " and len(body) >= 10 and body[3:6] == b"\x9d\x01\x2a":  # 14-bit sides, 2 bits of scale
        width, height = struct.unpack_from("<HH", body, 6)
        return width & 0x3FFF, height & 0x3FFF
    raise corrupt("the image header is damaged")
