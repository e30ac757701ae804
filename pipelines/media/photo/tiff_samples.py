"""TIFF samples exactly as stored, whatever their arrangement, width and packing.

Pillow reads 16-bit colour as 8, and both it and OpenCV mix up some separate planes without a word. So the layout is read
here, where every size is checked first, and libraries do the arithmetic: unpacking, predictors, bits that cross bytes.
"""

from __future__ import annotations

import imagecodecs
import numpy as np

from pipelines.media.photo.header import corrupt
from pipelines.media.photo.tiff_codecs import BYTEWISE, JPEG_SPACES, decode_jpeg_chunk, unpack_chunk
from pipelines.media.photo.tiff_pages import CMYK, ICC_LAB, JPEG, LAB, RAW, RGB, WHITE_IS_ZERO, YCBCR, TiffHeader

__all__ = ["has_plain_samples", "read_chunk", "read_samples", "sample_type"]

_BLACK_IS_ZERO = 1
_HORIZONTAL, _FLOATING = 2, 3  # predictors
_SPACES = (WHITE_IS_ZERO, _BLACK_IS_ZERO, RGB, CMYK, LAB, ICC_LAB)
_WIDTHS = {"u": {*range(1, 33), 64}, "i": {8, 16, 32, 64}, "f": {16, 32, 64}}  # bits by kind of sample
_SLACK = 1 << 16  # bytes of headers in a packed strip


def has_plain_samples(header: TiffHeader) -> bool:
    """Whether `read_samples` is the reader for this page: grey, RGB, CMYK or Lab, kept without loss; or deep JPEG."""
    if header.compression == JPEG:
        return (
            header.bits > 8
            and header.photometric in JPEG_SPACES
            and not (header.planar and header.photometric == YCBCR)
        )
    if header.photometric in (CMYK, LAB, ICC_LAB) and (header.sample_kind != "u" or header.bits not in (8, 16)):
        return False
    return (
        header.compression in BYTEWISE
        and header.photometric in _SPACES
        and header.bits in _WIDTHS[header.sample_kind]
        and header.predictor in _predictors(header)
    )


def _predictors(header: TiffHeader) -> set[int]:
    if header.bits not in (8, 16, 32, 64):
        return {1}
    return {1, _HORIZONTAL, _FLOATING} if header.sample_kind == "f" else {1, _HORIZONTAL}


def sample_type(header: TiffHeader) -> np.dtype:
    """The type, in the machine's byte order, that samples of a page are read as."""
    size = next(size for size in (1, 2, 4, 8) if header.bits <= 8 * size)
    return np.dtype(f"{header.sample_kind}{size}")


def read_samples(data: bytes, header: TiffHeader) -> np.ndarray:
    """The samples of a page for which `has_plain_samples` holds.

    Returns:
        HWC in the machine's byte order: uint, int or float wide enough for `header.bits`, all of `header.samples` channels,
        numbers as stored.

    Raises:
        ItemError: "corrupt" or "truncated".
        OSError: libtiff could not decompress a chunk.
    """
    wide, high = header.chunk
    across, down = -(-header.width // wide), -(-header.height // high)
    pixels = np.empty((header.height, header.width, header.samples), sample_type(header))
    channels = 1 if header.planar else header.samples
    for index in range(len(header.offsets)):
        plane, place = divmod(index, across * down)
        top, left = place // across * high, place % across * wide
        target = pixels[top : top + high, left : left + wide, plane : plane + channels]
        target[...] = read_chunk(data, header, index)[: target.shape[0], : target.shape[1]]
    assert (header.samples // channels) * across * down == len(header.offsets)
    return pixels


def read_chunk(data: bytes, header: TiffHeader, index: int) -> np.ndarray:
    """One strip or tile of a page for which `has_plain_samples` holds.

    Args:
        index: its place in `header.offsets`.

    Returns:
        [rows, chunk width, channels of the chunk]; a tile at the edge is whole, with its padding.

    Raises:
        ItemError: "corrupt" or "truncated".
        OSError: libtiff could not decompress it.
    """
    wide, high = header.chunk
    channels = 1 if header.planar else header.samples
    across, down = -(-header.width // wide), -(-header.height // high)
    top = index % (across * down) // across * high
    rows = high if header.tiled else min(high, header.height - top)
    row_bytes = (wide * channels * header.bits + 7) // 8
    # No packing makes bytes twice as many: a strip may claim far more of the file than it needs.
    size = min(int(header.sizes[index]), 2 * row_bytes * rows + _SLACK)
    offset = int(header.offsets[index])
    packed = data[offset : offset + size]
    if header.compression == JPEG:
        return decode_jpeg_chunk(packed, header, rows)
    stored = unpack_chunk(packed, header, row_bytes, rows)
    if header.bits not in (8, 16, 32, 64):
        return _from_bits(stored, header, (rows, wide, channels))
    kind = np.dtype(f"{header.order}{header.sample_kind}{header.bits // 8}")
    chunk = np.frombuffer(stored, kind, rows * wide * channels).reshape(rows, wide, channels)
    if header.compression == RAW or header.predictor == 1:
        return chunk.astype(kind.newbyteorder("="), copy=False)
    if header.predictor == _FLOATING:
        return imagecodecs.floatpred_decode(chunk, axis=-2, dist=1).astype(kind.newbyteorder("="), copy=False)
    # Each sample was stored as the difference from its left neighbour, modulo the sample's range.
    unsigned = f"u{kind.itemsize}"
    chunk = chunk.astype(kind.newbyteorder("="), copy=False)
    return np.cumsum(chunk.view(unsigned), axis=1, dtype=unsigned).view(chunk.dtype)


def _from_bits(stored: bytes | bytearray, header: TiffHeader, shape: tuple[int, int, int]) -> np.ndarray:
    """Samples that cross the borders of bytes; each row begins with a byte of its own."""
    samples = imagecodecs.packints_decode(stored, sample_type(header), header.bits, runlen=shape[1] * shape[2])
    if samples.size < shape[0] * shape[1] * shape[2]:
        raise corrupt("a strip or tile unpacks to the wrong size")
    return samples[: shape[0] * shape[1] * shape[2]].reshape(shape)
