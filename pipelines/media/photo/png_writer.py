"""Write 16-bit PNG, which Pillow does for grey only, and OpenCV without profile, resolution or grey + alpha."""

from __future__ import annotations

import struct
import zlib

import numpy as np

from pipelines.media.photo.png_chunks import SIGNATURE

__all__ = ["XMP_KEYWORD", "write_png16"]

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
    height, width, channels = pixels.shape
    parts = [SIGNATURE, _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 16, _COLOUR_TYPES[channels], 0, 0, 0))]
    if icc_profile is not None:
        parts.append(_chunk(b"iCCP", b"ICC profile\0\0" + zlib.compress(icc_profile, _LEVEL)))
    if dpi is not None:
        metre = [max(1, round(value / 0.0254)) for value in dpi]
        parts.append(_chunk(b"pHYs", struct.pack(">IIB", *metre, 1)))
    if xmp:
        parts.append(_chunk(b"iTXt", XMP_KEYWORD.encode() + b"\0\0\0\0\0" + xmp))  # uncompressed, no language
    packer = zlib.compressobj(_LEVEL)
    row_bytes = width * channels * 2
    band = max(1, _BAND_BYTES // row_bytes)
    above = np.zeros(row_bytes, np.uint8)
    for top in range(0, height, band):
        rows = pixels[top : top + band].astype(">u2").view(np.uint8).reshape(-1, row_bytes)
        parts.append(_chunk(b"IDAT", packer.compress(_filter(rows, above, channels * 2).tobytes())))
        above = rows[-1]
    parts.append(_chunk(b"IDAT", packer.flush()))
    parts.append(_chunk(b"IEND", b""))
    return b"".join(parts)


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
