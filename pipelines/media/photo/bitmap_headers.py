"""Headers of BMP, GIF and TGA: old formats of few fields, which are checked here and decoded by Pillow."""

from __future__ import annotations

import struct

from pipelines.errors import ItemError
from pipelines.media.photo.header import MAX_PROFILE, RECOPY, Header, check_sides, corrupt, need, usable_dpi

__all__ = ["is_bmp", "is_tga", "read_bmp", "read_gif", "read_tga"]

_BMP_BITS = (1, 4, 8, 16, 24, 32)
_BMP_HEADERS = (12, 40, 52, 56, 64, 108, 124)  # lengths of the header behind the file header, in OS/2 and Windows
_PLAIN, _RUNS, _FIELDS = (0,), (1, 2), (3, 6)  # compression: none, run lengths, channels by masks
_METRE = 0.0254  # pixels a metre to pixels an inch
_TGA_PACKED = (9, 10, 11)
_TGA_REST = 1024  # bytes that writers leave behind the pixels
_TGA_END = b"TRUEVISION-XFILE.\0"
_TGA_SAMPLES = {1: 1, 2: 3, 3: 1, 9: 1, 10: 3, 11: 1}  # by kind: palette, colour, grey; the same in run lengths


def is_bmp(data: bytes) -> bool:
    """Whether bytes begin like a BMP file: two letters are met in any text, so the fields behind them decide."""
    return data[:2] == b"BM" and len(data) >= 26 and int.from_bytes(data[14:18], "little") in _BMP_HEADERS


def read_bmp(data: bytes) -> Header:
    """Header of a BMP file.

    Raises:
        ItemError: "zero_size", "truncated", "corrupt" or "unsupported" (JPEG or PNG inside, other depths).
    """
    start, length = struct.unpack_from("<I", data, 10)[0], struct.unpack_from("<I", data, 14)[0]
    body = need(data, 14, length, "the header")
    if length == 12:
        width, height, _, bits = struct.unpack_from("<HHHH", body, 4)
        compression = 0
    else:
        width, height, _, bits, compression = struct.unpack_from("<iiHHI", body, 4)
    check_sides(width, abs(height))
    if bits not in _BMP_BITS or compression not in _PLAIN + _RUNS + _FIELDS:
        reason = f"BMP of {bits} bits a pixel, packed as number {compression}, is not supported; convert it to PNG"
        raise ItemError("unsupported", reason)
    if compression not in _RUNS:
        row = (width * bits + 31) // 32 * 4
        least = start + row * (abs(height) - 1) + (width * bits + 7) // 8  # the last row's padding may be missing
        if least > len(data):
            raise ItemError("truncated", f"the file ends at byte {len(data)} of {least}; {RECOPY}")
    across, down = struct.unpack_from("<ii", body, 24) if length >= 40 else (0, 0)
    return Header(
        format="BMP",
        width=width,
        height=abs(height),
        bits=8,
        samples=1 if bits <= 8 else 4 if bits == 32 else 3,
        icc_profile=_bmp_profile(data, body),
        dpi=usable_dpi(across * _METRE, down * _METRE),
    )


def _bmp_profile(data: bytes, body: bytes) -> bytes | None:
    if len(body) < 124 or body[56:60] != b"DEBM":  # version 5, with its profile inside
        return None
    start, length = struct.unpack_from("<II", body, 112)
    return data[14 + start : 14 + start + length] if 0 < length <= MAX_PROFILE else None


def read_gif(data: bytes) -> Header:
    """Header of a GIF file, whose first picture is whole.

    Raises:
        ItemError: "zero_size", "truncated" or "corrupt".
    """
    width, height, flags = struct.unpack_from("<HHB", need(data, 0, 13, "the header"), 6)
    at = 13 + _palette(flags)
    frames, complete = 0, False
    while at < len(data):
        kind = data[at]
        if kind == 0x3B:
            complete = True
            break
        if kind == 0x21:
            at = _skip_blocks(data, at + 2, frames)
        elif kind == 0x2C:
            left, top, wide, high, flags = struct.unpack_from("<4HB", need(data, at, 10, "a picture's header"), 1)
            if not frames:  # decoders enlarge the canvas to what the first picture covers
                check_sides(wide, high)
                width, height = max(width, left + wide), max(height, top + high)
            at = _skip_blocks(data, at + 10 + _palette(flags) + 1, frames)
            frames += 1
        elif frames:
            break  # stray bytes behind a picture
        else:
            raise corrupt("there is no picture where one belongs")
    if not frames:
        raise ItemError("truncated", f"the file ends before its picture; {RECOPY}")
    check_sides(width, height)
    warnings = () if complete else ("the end marker is missing",)
    if frames > 1:
        warnings = (*warnings, f"animation of {frames} frames: only the first is read")
    return Header(format="GIF", width=width, height=height, bits=8, samples=1, frames=frames, warnings=warnings)


def _palette(flags: int) -> int:
    """Bytes of the palette that flags announce."""
    return 3 * 2 ** ((flags & 7) + 1) if flags & 0x80 else 0


def _skip_blocks(data: bytes, at: int, frames: int) -> int:
    """Where a chain of blocks of up to 255 bytes ends; a cut one behind the first picture ends the file."""
    while at < len(data) and data[at]:
        at += 1 + data[at]
    if at >= len(data) and not frames:
        raise ItemError("truncated", f"the file ends at byte {len(data)}, inside its picture; {RECOPY}")
    return at + 1


def is_tga(data: bytes) -> bool:
    """Whether bytes are a TGA file: by its last bytes, or because pixels as its header has them fill it to the end."""
    if len(data) < 18 + 1 or data[1] > 1 or data[2] not in _TGA_SAMPLES:
        return False
    width, height, bits = struct.unpack_from("<HHB", data, 12)
    if not width or not height or bits not in (8, 15, 16, 24, 32):
        return False
    plain = _tga_start(data) + width * height * ((bits + 7) // 8)
    if data.endswith(_TGA_END) or (data[2] in (1, 2, 3) and plain == len(data)):
        return True
    return data[2] in _TGA_PACKED and _runs_end(data, width * height, (bits + 7) // 8)


def _runs_end(data: bytes, pixels: int, size: int) -> bool:
    """Whether run-length packets hold exactly so many pixels and end where the file does, but for a remark or so."""
    at, found, end = _tga_start(data), 0, len(data)
    while found < pixels and at < end:
        head = data[at]
        count = (head & 127) + 1
        found += count
        at += 1 + (size if head & 128 else size * count)
    return found == pixels and 0 <= end - at <= _TGA_REST


def _tga_start(data: bytes) -> int:
    """Where pixels begin: behind the name and the palette."""
    count, bits = struct.unpack_from("<HB", data, 5)
    return 18 + data[0] + (count * ((bits + 7) // 8) if data[1] else 0)


def read_tga(data: bytes) -> Header:
    """Header of a TGA file.

    Raises:
        ItemError: "truncated" or "unsupported".
    """
    width, height, bits = struct.unpack_from("<HHB", data, 12)
    if data[2] in (1, 2, 3) and _tga_start(data) + width * height * ((bits + 7) // 8) > len(data):
        raise ItemError("truncated", f"the file ends at byte {len(data)}, inside its pixels; {RECOPY}")
    if bits == 15:
        raise ItemError("unsupported", "TGA of 15 bits a pixel is not supported; convert it to PNG")
    samples = _TGA_SAMPLES[data[2]]
    return Header(format="TGA", width=width, height=height, bits=8, samples=4 if bits == 32 else samples)
