"""Write 16-bit PNG, which Pillow does for grey only, and OpenCV without profile, resolution or grey + alpha.

It also writes images that come in bands of rows and are never held whole, of 8 bits, too.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterable
from typing import BinaryIO

import numpy as np

from pipelines.media.photo.png_chunks import SIGNATURE
from pipelines.media.photo.tiff_writer import strips_of

__all__ = ["XMP_KEYWORD", "stream_png", "write_png16"]

XMP_KEYWORD = "XML:com.adobe.xmp"  # of the text chunk that holds an XMP packet

# Colour type by number of channels.
_COLOUR_TYPES = {1: 0, 2: 4, 3: 2, 4: 6}
_LEVEL = 6
_BAND_BYTES = 8 * 2**20  # rows are filtered in bands of about this size, to bound memory


def write_png16(
    pixels: np.ndarray, icc_profile: bytes | None, dpi: tuple[float, float] | None, xmp: bytes = b""
) -> bytes:
    """A PNG file of 16 bits a sample; the same input gives the same bytes.

    Args:
        pixels: HWC uint16, C 1 to 4, straight alpha last.
        icc_profile: embedded as it is.
        dpi: pixels an inch (horizontal, vertical).
        xmp: an XMP packet; none if empty.
    """
    file = io.BytesIO()
    stream_png(file, [pixels], pixels.shape, pixels.dtype, icc_profile=icc_profile, dpi=dpi, xmp=xmp)
    return file.getvalue()


def stream_png(
    file: BinaryIO,
    bands: Iterable[np.ndarray],
    shape: tuple[int, ...],
    dtype: np.dtype,
    *,
    icc_profile: bytes | None,
    dpi: tuple[float, float] | None,
    xmp: bytes,
    chunks: bytes = b"",
) -> None:
    """A PNG file from bands of rows; how they are cut does not change its bytes.

    Args:
        file: to be written.
        bands: [h, W, C] of `dtype`, from top to bottom, of any heights that add up to H.
        shape: H, W, C of the whole image, C 1 to 4, straight alpha last.
        dtype: uint8 or uint16.
        icc_profile, dpi, xmp: as of `write_png16`.
        chunks: further ones before the pixels, whole.

    Raises:
        ValueError: the bands are not the image that `shape` says.
    """
    height, width, channels = shape
    bits = 8 * dtype.itemsize
    file.write(SIGNATURE)
    file.write(_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, _COLOUR_TYPES[channels], 0, 0, 0)))
    if icc_profile is not None:
        file.write(_chunk(b"iCCP", b"ICC profile\0\0" + zlib.compress(icc_profile, _LEVEL)))
    if dpi is not None:
        metre = [max(1, round(value / 0.0254)) for value in dpi]
        file.write(_chunk(b"pHYs", struct.pack(">IIB", *metre, 1)))
    if xmp:
        file.write(_chunk(b"iTXt", XMP_KEYWORD.encode() + b"\0\0\0\0\0" + xmp))  # uncompressed, no language
    file.write(chunks)
    packer = zlib.compressobj(_LEVEL)
    step = channels * dtype.itemsize
    row_bytes = width * step
    above = np.zeros(row_bytes, np.uint8)
    for strip in strips_of(bands, (height, width, channels), max(1, _BAND_BYTES // row_bytes)):
        rows = np.ascontiguousarray(strip, dtype.newbyteorder(">")).view(np.uint8).reshape(-1, row_bytes)
        file.write(_chunk(b"IDAT", packer.compress(_filter(rows, above, step).tobytes())))
        above = rows[-1]
    file.write(_chunk(b"IDAT", packer.flush()))
    file.write(_chunk(b"IEND", b""))


def _filter(rows: np.ndarray, above: np.ndarray, step: int) -> np.ndarray:
    """Rows (N, bytes) with each row's best filter applied and its number in front: (N, 1 + bytes).

    The choice is the PNG specification's advice: the filter whose output, read as signed, is smallest in sum.
    """
    up = np.vstack([above[None], rows[:-1]])
    left = np.zeros_like(rows)
    left[:, step:] = rows[:, :-step]
    corner = np.zeros_like(rows)
    corner[:, step:] = up[:, :-step]
    average = ((left.astype(np.uint16) + up) >> 1).astype(np.uint8)
    best = rows.copy()
    kind = np.zeros(len(rows), np.uint8)
    cost = _cost(rows)
    for number, prediction in enumerate((left, up, average, _paeth(left, up, corner)), start=1):
        candidate = rows - prediction  # modulo 256, as PNG has it
        candidate_cost = _cost(candidate)
        better = candidate_cost < cost
        best[better], kind[better], cost[better] = candidate[better], number, candidate_cost[better]
    return np.hstack([kind[:, None], best])


def _cost(rows: np.ndarray) -> np.ndarray:
    return np.minimum(rows, np.negative(rows)).sum(axis=1, dtype=np.int64)


def _paeth(left: np.ndarray, up: np.ndarray, corner: np.ndarray) -> np.ndarray:
    """Whichever neighbour is nearest to left + up - corner; ties go to left, then up."""
    a, b, c = left.astype(np.int16), up.astype(np.int16), corner.astype(np.int16)
    to_left, to_up, to_corner = abs(b - c), abs(a - c), abs(a + b - 2 * c)
    nearest_is_left = (to_left <= to_up) & (to_left <= to_corner)
    return np.where(nearest_is_left, left, np.where(to_up <= to_corner, up, corner))


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(body, zlib.crc32(kind)))
