"""TIFF samples of whole bytes, exactly as stored, whatever their arrangement.

Pillow reads 16-bit colour as 8, and both it and OpenCV mix up some separate planes without a word. So the layout is
read here, and only the decompression of single strips and tiles is left to libtiff, through Pillow.
"""

from __future__ import annotations

import io
import math
import struct
from collections.abc import Iterator

import numpy as np
from PIL import TiffImagePlugin

from pipelines.media.photo.header import corrupt
from pipelines.media.photo.tiff_pages import RAW, RGB, WHITE_IS_ZERO, TiffHeader

__all__ = ["extra_samples", "has_plain_samples", "read_samples", "to_photo_samples", "to_uint16"]

# Compressions that give back the bytes that went in: LZW, deflate (two numbers), PackBits, LZMA, Zstandard.
_BYTEWISE = {RAW, 5, 8, 32946, 32773, 34925, 50000}
_BLACK_IS_ZERO = 1
_SLACK = 1 << 16  # bytes of headers in a packed strip
_BAND = 1 << 20  # samples converted at a time: conversions need several copies of 8 bytes a sample


def has_plain_samples(header: TiffHeader) -> bool:
    """Whether `read_samples` is the reader for this page: grey or RGB, samples of whole bytes, lossless."""
    return (
        header.bits in (8, 16, 32, 64)
        and not header.bits_reversed
        and not (header.bits == 8 and header.sample_kind == "f")
        and header.photometric in (WHITE_IS_ZERO, _BLACK_IS_ZERO, RGB)
        and header.compression in _BYTEWISE
        and header.predictor in (1, 2)
    )


def read_samples(data: bytes, header: TiffHeader) -> np.ndarray:
    """The samples of a page for which `has_plain_samples` holds.

    Returns:
        HWC in the machine's byte order: uint, int or float of `header.bits`, all of `header.samples` channels.

    Raises:
        ItemError: "corrupt".
        OSError: libtiff could not decompress a chunk.
    """
    dtype = np.dtype(f"{header.order}{header.sample_kind}{header.bits // 8}")
    planes = header.samples if header.planar else 1
    channels = 1 if header.planar else header.samples
    wide, high = header.chunk
    across, down = -(-header.width // wide), -(-header.height // high)
    pixels = np.empty((header.height, header.width, header.samples), dtype.newbyteorder("="))
    for index in range(len(header.offsets)):
        offset, size = int(header.offsets[index]), int(header.sizes[index])
        plane, place = divmod(index, across * down)
        top, left = place // across * high, place % across * wide
        rows = high if header.tiled else min(high, header.height - top)
        row_bytes = wide * channels * dtype.itemsize
        # No packing makes bytes twice as many: all strips may claim the whole file, and each would be copied.
        size = min(size, 2 * row_bytes * rows + _SLACK)
        stored = _unpack(data[offset : offset + size], header.compression, row_bytes, rows)
        chunk = np.frombuffer(stored, dtype).reshape(rows, wide, channels).astype(dtype.newbyteorder("="), copy=False)
        if header.predictor == 2 and header.compression != RAW:
            # Each sample was stored as the difference from its left neighbour, modulo the sample's range.
            chunk = np.cumsum(chunk.view(f"u{dtype.itemsize}"), axis=1, dtype=f"u{dtype.itemsize}").view(chunk.dtype)
        target = pixels[top : top + high, left : left + wide, plane : plane + channels]
        target[...] = chunk[: target.shape[0], : target.shape[1]]
    assert planes * across * down == len(header.offsets)
    return pixels


def _unpack(packed: bytes, compression: int, row_bytes: int, rows: int) -> bytes:
    """The bytes of one chunk, never more than `row_bytes * rows`."""
    if compression == RAW:
        return packed
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
    unpacked = TiffImagePlugin.TiffImageFile(io.BytesIO(head + packed)).tobytes()
    if len(unpacked) != row_bytes * rows:
        raise corrupt("a strip or tile unpacks to the wrong size")
    return unpacked


def to_photo_samples(samples: np.ndarray, header: TiffHeader) -> tuple[np.ndarray, tuple[str, ...]]:
    """Samples as a photo keeps them: grey or RGB, black is zero, at most one straight alpha.

    Args:
        samples: HWC as `read_samples` returns them.

    Returns:
        (HWC with 1 to 4 channels, uint8 for 8-bit samples and uint16 for all others; warnings).
    """
    warnings: list[str] = []
    colours, has_alpha = _layout(samples, header)
    colour = samples[..., :colours]
    if colour.dtype not in (np.uint8, np.uint16):
        colour, note = to_uint16(colour)
        warnings.append(f"{header.bits}-bit {_KINDS[header.sample_kind]} samples were {note} 16 bits")
    top = int(np.iinfo(colour.dtype).max)
    if header.photometric == WHITE_IS_ZERO:
        colour = colour.dtype.type(top) - colour
    if not has_alpha:
        return colour, tuple(warnings)
    alpha = samples[..., colours : colours + 1]
    photo = np.empty((*samples.shape[:2], colours + 1), colour.dtype)
    for rows in _bands(photo):
        shown = alpha[rows] if alpha.dtype == colour.dtype else _alpha_to_uint16(alpha[rows])
        photo[rows, :, colours:] = shown
        photo[rows, :, :colours] = _straight(colour[rows], shown, top) if header.extra[0] == 1 else colour[rows]
    return photo, tuple(warnings)


def extra_samples(samples: np.ndarray, header: TiffHeader) -> np.ndarray | None:
    """The channels beyond colour and alpha, such as a scanner's infrared one, with the samples' values.

    Args:
        samples: HWC as `read_samples` returns them.

    Returns:
        HWC, uint8 or uint16 as `to_photo_samples` makes its own; None where there are none.
    """
    extra = samples[..., sum(_layout(samples, header)) :]
    if not extra.shape[2]:
        return None
    return extra if extra.dtype in (np.uint8, np.uint16) else to_uint16(extra)[0]


def _layout(samples: np.ndarray, header: TiffHeader) -> tuple[int, bool]:
    """How many channels are colours, and whether the next one is alpha."""
    colours = 3 if header.photometric == RGB else 1
    return colours, samples.shape[2] > colours and header.extra[:1] in ((1,), (2,))


def _straight(colour: np.ndarray, alpha: np.ndarray, top: int) -> np.ndarray:
    """Premultiplied colour divided by its alpha; where nothing is visible any colour would do."""
    share = np.maximum(alpha, 1).astype(np.float64) / top
    return np.where(alpha > 0, np.minimum(np.rint(colour / share), top), 0).astype(colour.dtype)


def _bands(samples: np.ndarray) -> Iterator[slice]:
    """Rows of an image [H, W, C], some at a time."""
    step = max(1, _BAND // max(1, samples[0].size))
    for top in range(0, len(samples), step):
        yield slice(top, top + step)


_KINDS = {"u": "integer", "i": "signed integer", "f": "floating-point"}


def to_uint16(samples: np.ndarray) -> tuple[np.ndarray, str]:
    """Samples of any type and range as uint16 of the same shape, and what was done to them ("stretched from .. to")."""
    parts = [(float(part.min()), float(part.max())) for part in (_finite(samples[rows]) for rows in _bands(samples))]
    low, high = min(part[0] for part in parts), max(part[1] for part in parts)
    if samples.dtype.kind == "f" and low >= 0 and high <= 1:  # the convention for floating-point pictures
        start, span, note = 0.0, 1.0, "scaled from 0..1 to"
    elif samples.dtype.kind != "f" and low >= 0 and high <= 65535:
        start, span, note = 0.0, 65535.0, "kept in"
    else:
        start, span, note = low, (high - low) or 1.0, f"stretched from {low:g}..{high:g} to"
    # The span of the largest numbers is itself no number: half of everything is.
    shrink = 1.0 if math.isfinite(span) else 0.5
    span = span if math.isfinite(span) else high / 2 - low / 2
    photo = np.empty(samples.shape, np.uint16)
    for rows in _bands(samples):
        photo[rows] = np.rint((_finite(samples[rows]) * shrink - start * shrink) / span * 65535)
    return photo, note


def _finite(samples: np.ndarray) -> np.ndarray:
    return np.nan_to_num(samples.astype(np.float64), nan=0.0, posinf=0.0, neginf=0.0)


def _alpha_to_uint16(alpha: np.ndarray) -> np.ndarray:
    top = 1.0 if alpha.dtype.kind == "f" else float(np.iinfo(alpha.dtype).max)
    return np.rint(np.clip(np.nan_to_num(alpha.astype(np.float64)) / top, 0, 1) * 65535).astype(np.uint16)
