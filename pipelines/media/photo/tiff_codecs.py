"""The bytes of one strip or tile of a TIFF, unpacked: never more of them than its pixels need.

imagecodecs unpacks; what it refuses, libtiff is asked for, which takes what writers of thirty years have left in files: bits
behind the end of a PackBits strip, strips with rows too many, LZW in the order of bits of before 1990.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Callable

import imagecodecs
import numpy as np
from PIL import TiffImagePlugin

from pipelines.errors import ItemError
from pipelines.media.photo.header import RECOPY, corrupt
from pipelines.media.photo.jpeg_markers import read_frame
from pipelines.media.photo.tiff_pages import JPEG, RAW, RGB, WHITE_IS_ZERO, YCBCR, TiffHeader

__all__ = ["BYTEWISE", "JPEG_SPACES", "decode_jpeg_chunk", "unpack_chunk"]

_DEFLATE, _OLD_DEFLATE, _LZW, _PACKBITS, _LZMA, _ZSTD = 8, 32946, 5, 32773, 34925, 50000
_UNPACKERS: dict[int, Callable[..., bytes | bytearray]] = {
    _LZW: imagecodecs.lzw_decode,
    _DEFLATE: imagecodecs.zlib_decode,
    _OLD_DEFLATE: imagecodecs.zlib_decode,
    _PACKBITS: imagecodecs.packbits_decode,
    _LZMA: imagecodecs.lzma_decode,
    _ZSTD: imagecodecs.zstd_decode,
}
# Compressions that give back the bytes that went in.
BYTEWISE = frozenset({RAW, *_UNPACKERS})
_BLACK_IS_ZERO = 1
# What deep JPEG is taken for and given back as, by photometric number; libjpeg would guess otherwise.
JPEG_SPACES = {
    WHITE_IS_ZERO: ("GRAYSCALE", "GRAYSCALE"),
    _BLACK_IS_ZERO: ("GRAYSCALE", "GRAYSCALE"),
    RGB: ("RGB", "RGB"),
    YCBCR: ("YCBCR", "RGB"),
}


def unpack_chunk(packed: bytes, header: TiffHeader, row_bytes: int, rows: int) -> bytes | bytearray:
    """The `row_bytes * rows` bytes of a chunk.

    Args:
        packed: as stored.
        header: of the page, whose compression is one of `BYTEWISE`.

    Raises:
        ItemError: "corrupt" when it unpacks to another number of bytes, "truncated" when its packed bytes are cut.
        OSError: libtiff could not unpack it.
    """
    if header.bits_reversed:
        packed = bytes(imagecodecs.bitorder_decode(packed))
    size = row_bytes * rows
    if header.compression == RAW:
        return packed
    unpacked: bytes | bytearray
    try:
        unpacked = _UNPACKERS[header.compression](packed, out=size)
    except RuntimeError:  # each codec has an error of its own below it
        unpacked = b""
    if len(unpacked) != size:
        unpacked = _by_libtiff(packed, header.compression, row_bytes, rows)
    if len(unpacked) != size:
        raise corrupt("a strip or tile unpacks to the wrong size")
    return unpacked


def _by_libtiff(packed: bytes, compression: int, row_bytes: int, rows: int) -> bytes:
    # A TIFF of one strip of 8-bit grey around the packed bytes: whatever the samples are, libtiff hands back bytes.
    tags = {
        256: row_bytes,
        257: rows,
        258: 8,
        259: compression,
        262: _BLACK_IS_ZERO,
        273: 8 + 2 + 9 * 12 + 4,
        277: 1,
        278: rows,
        279: len(packed),
    }
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    head = b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + bytes(4)
    return TiffImagePlugin.TiffImageFile(io.BytesIO(head + packed)).tobytes()


def decode_jpeg_chunk(packed: bytes, header: TiffHeader, rows: int) -> np.ndarray:
    """A strip or tile of JPEG with more than 8 bits a sample.

    Returns:
        uint16 [rows or more, chunk width, channels of the chunk].

    Raises:
        ItemError: "corrupt", "truncated" or "unsupported".
    """
    assert header.compression == JPEG
    channels = 1 if header.planar else header.samples
    frame = read_frame(packed)
    stated = (frame.bits, frame.width, frame.samples)
    if stated != (header.bits, header.chunk[0], channels) or not rows <= frame.height <= header.chunk[1]:
        raise corrupt(f"a strip or tile holds a JPEG of {frame.width} x {frame.height} pixels, which it is not")
    if packed.rfind(b"\xff\xd9") < 0:
        raise ItemError("truncated", f"a strip or tile ends before its last pixels; {RECOPY}")
    stored, wanted = JPEG_SPACES[header.photometric] if channels in (1, 3) and not header.planar else (None, None)
    try:
        pixels = imagecodecs.jpeg8_decode(packed, tables=header.jpeg_tables, colorspace=stored, outcolorspace=wanted)
    except RuntimeError as error:
        raise corrupt(f"a strip or tile of JPEG cannot be decoded ({error})") from error
    return pixels.reshape(frame.height, frame.width, channels).astype(np.uint16, copy=False)
