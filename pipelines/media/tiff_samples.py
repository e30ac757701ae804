"""TIFF samples of whole bytes, exactly as stored, whatever their arrangement.

Pillow reads 16-bit colour as 8, and both it and OpenCV mix up some separate planes without a word. So the layout is
read here, and only the decompression of single strips and tiles is left to libtiff, through Pillow.
"""

from __future__ import annotations

import io
import struct

import numpy as np
from PIL import TiffImagePlugin

from pipelines.media.header import corrupt
from pipelines.media.tiff_pages import RAW, RGB, WHITE_IS_ZERO, TiffHeader

# Compressions that give back the bytes that went in: LZW, deflate (two numbers), PackBits, LZMA, Zstandard.
_BYTEWISE = {RAW, 5, 8, 32946, 32773, 34925, 50000}
_BLACK_IS_ZERO = 1


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
    for index, (offset, size) in enumerate(zip(header.offsets.tolist(), header.sizes.tolist(), strict=True)):
        plane, place = divmod(index, across * down)
        top, left = place // across * high, place % across * wide
        rows = high if header.tiled else min(high, header.height - top)
        row_bytes = wide * channels * dtype.itemsize
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
    colours = 3 if header.photometric == RGB else 1
    colour, extra = samples[..., :colours], header.extra[: samples.shape[2] - colours]
    has_alpha = bool(extra) and extra[0] in (1, 2)
    if samples.shape[2] - colours > has_alpha:
        warnings.append(f"{samples.shape[2] - colours - has_alpha} extra channels were left out")
    if colour.dtype not in (np.uint8, np.uint16):
        colour, note = to_uint16(colour)
        warnings.append(f"{header.bits}-bit {_KINDS[header.sample_kind]} samples were {note} 16 bits")
    top = int(np.iinfo(colour.dtype).max)
    if header.photometric == WHITE_IS_ZERO:
        colour = colour.dtype.type(top) - colour
    if not has_alpha:
        return colour, tuple(warnings)
    alpha = samples[..., colours : colours + 1]
    if alpha.dtype != colour.dtype:
        alpha = _alpha_to_uint16(alpha)
    if extra[0] == 1:
        # Premultiplied colour is divided by its alpha; where nothing is visible any colour would do.
        share = np.maximum(alpha, 1).astype(np.float64) / top
        colour = np.where(alpha > 0, np.minimum(np.rint(colour / share), top), 0).astype(colour.dtype)
    return np.concatenate([colour, alpha], axis=2), tuple(warnings)


_KINDS = {"u": "integer", "i": "signed integer", "f": "floating-point"}


def to_uint16(samples: np.ndarray) -> tuple[np.ndarray, str]:
    """Samples of any type and range as uint16 of the same shape, and what was done to them ("stretched from .. to")."""
    finite = np.nan_to_num(samples.astype(np.float64), nan=0.0, posinf=0.0, neginf=0.0)
    low, high = float(finite.min()), float(finite.max())
    if samples.dtype.kind == "f" and low >= 0 and high <= 1:  # the convention for floating-point pictures
        return np.rint(finite * 65535).astype(np.uint16), "scaled from 0..1 to"
    if samples.dtype.kind != "f" and low >= 0 and high <= 65535:
        return finite.astype(np.uint16), "kept in"
    span = (high - low) or 1.0
    return np.rint((finite - low) / span * 65535).astype(np.uint16), f"stretched from {low:g}..{high:g} to"


def _alpha_to_uint16(alpha: np.ndarray) -> np.ndarray:
    top = 1.0 if alpha.dtype.kind == "f" else float(np.iinfo(alpha.dtype).max)
    return np.rint(np.clip(np.nan_to_num(alpha.astype(np.float64)) / top, 0, 1) * 65535).astype(np.uint16)
