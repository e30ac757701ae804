"""Image files for tests, written as independently of the code under test as the installed libraries allow."""

from __future__ import annotations

import io
import struct
import zlib

import cv2
import numpy as np
import tifffile
from PIL import Image

from pipelines.errors import ItemError
from pipelines.media.photo.decode import DecodeLimits, Photo, decode

HEIGHT, WIDTH = 21, 34  # different, odd and even: a swapped or cut side shows
LARGE = (37, 50)  # OpenCV writes no JPEG 2000 of less than 32 pixels a side


def noise(channels: int, dtype: type = np.uint8, seed: int = 0, size: tuple[int, int] = (HEIGHT, WIDTH)) -> np.ndarray:
    """HWC noise over the whole range of an unsigned integer type."""
    top = np.iinfo(dtype).max
    return np.random.default_rng(seed).integers(0, top, (*size, channels), dtype=dtype, endpoint=True)


def smooth(channels: int, size: tuple[int, int] = (48, 64)) -> np.ndarray:
    """HWC uint8 gradients, which lossy formats keep to within a few levels."""
    rows, columns = np.mgrid[0 : size[0], 0 : size[1]]
    planes = [rows * 4 + 20, columns * 3 + 10, (rows + columns) * 2, 255 - columns * 2]
    return np.stack(planes[:channels], axis=2).clip(0, 255).astype(np.uint8)


def flat(pixels: np.ndarray) -> np.ndarray:
    """HWC with one channel as HW, as libraries want it."""
    return pixels[..., 0] if pixels.shape[2] == 1 else pixels


def pillow_file(image: Image.Image | np.ndarray, format: str, **options: object) -> bytes:
    if isinstance(image, np.ndarray):
        image = Image.fromarray(flat(image))
    file = io.BytesIO()
    image.save(file, format, **options)
    return file.getvalue()


def tiff_file(samples: np.ndarray, **options: object) -> bytes:
    file = io.BytesIO()
    tifffile.imwrite(file, samples, **{"metadata": None, "software": False, **options})
    return file.getvalue()


def with_tag(data: bytes, tag: int, value: int, *, count: int = 1) -> bytes:
    """A little-endian TIFF whose first page has another value, or place of values, in a tag that is there, as LONG."""
    changed = bytearray(data)
    (start,) = struct.unpack_from("<I", data, 4)
    (tags,) = struct.unpack_from("<H", data, start)
    for place in range(start + 2, start + 2 + 12 * tags, 12):
        if struct.unpack_from("<H", data, place)[0] == tag:
            struct.pack_into("<HII", changed, place + 2, 4, count, value)
            return bytes(changed)
    raise AssertionError(f"the page has no tag {tag}")


def png_chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


# Adam7: first row, first column, row step, column step of each pass.
_PASSES = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1))


def png_file(
    samples: np.ndarray, colour_type: int, bits: int, *, before: bytes = b"", interlaced: bool = False
) -> bytes:
    """An unfiltered PNG of HWC samples, with chunks `before` the pixels."""
    height, width = samples.shape[:2]
    passes = [samples[top::down, left::right] for top, left, down, right in _PASSES] if interlaced else [samples]
    packed = zlib.compress(b"".join(_png_rows(part, bits) for part in passes if part.size))
    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, colour_type, 0, 0, interlaced))
    body = header + before + png_chunk(b"IDAT", packed) + png_chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def _png_rows(samples: np.ndarray, bits: int) -> bytes:
    height = samples.shape[0]
    if bits < 8:
        columns = np.unpackbits(samples[..., 0, None].astype(np.uint8), axis=2)[..., 8 - bits :].reshape(height, -1)
        rows = np.packbits(columns, axis=1)
    else:
        rows = samples.astype(f">u{bits // 8}").reshape(height, -1).view(np.uint8)
    return np.hstack([np.zeros((height, 1), np.uint8), rows]).tobytes()


def jp2_file(pixels: np.ndarray) -> bytes:
    """Lossless .jp2 of 8 or 16 bits, grey, RGB or RGBA, by OpenCV."""
    order = [2, 1, 0, 3][: pixels.shape[2]] if pixels.shape[2] >= 3 else [0]
    done, data = cv2.imencode(".jp2", pixels[..., order], [cv2.IMWRITE_JPEG2000_COMPRESSION_X1000, 1000])
    assert done
    return data.tobytes()


def jp2_file_12(pixels: np.ndarray) -> bytes:
    """Lossless .jp2 of 12 bits from samples below 4096.

    No library here writes 12 bits. A 16-bit stream differs only in its level shift of 2**15 instead of 2**11, and in
    the depth that its headers state.
    """
    data = bytearray(jp2_file(pixels + np.uint16(2**15 - 2**11)))
    size = data.index(b"\xff\x4f\xff\x51")
    for channel in range(pixels.shape[2]):
        data[size + 42 + 3 * channel] = 11
    ihdr = data.index(b"ihdr")
    data[ihdr + 14] = 11
    return bytes(data)


def icc_profile(space: bytes, name: str = "Test profile", tags: dict[bytes, bytes] | None = None) -> bytes:
    """A minimal version 2 profile of a colour space (b"GRAY", b"RGB ", b"CMYK")."""
    title = name.encode("ascii") + b"\0"
    bodies = {b"desc": b"desc" + bytes(4) + struct.pack(">I", len(title)) + title + bytes(78), **(tags or {})}
    table, content = struct.pack(">I", len(bodies)), b""
    start = 128 + 4 + 12 * len(bodies)
    for tag, content_of_tag in bodies.items():
        body = content_of_tag + bytes(-len(content_of_tag) % 4)
        table += tag + struct.pack(">II", start + len(content), len(body))
        content += body
    kind = b"prtr" if space == b"CMYK" else b"mntr"
    connection = b"Lab " if space == b"CMYK" else b"XYZ "
    head = bytearray(128)
    struct.pack_into(">I4s4s4s4s4s", head, 0, start + len(content), bytes(4), b"\x02\x40\0\0", kind, space, connection)
    head[36:40] = b"acsp"
    head[68:80] = struct.pack(">III", 0xF6D6, 0x10000, 0xD32D)  # the D50 illuminant
    return bytes(head) + table + content


def cmyk_profile() -> bytes:
    """A CMYK profile whose every colour is pure grey with lightness 100 % - K, whatever C, M and Y are."""
    steps = np.arange(256, dtype=np.uint8).tobytes()
    corners = b"".join(bytes([0 if k else 255, 128, 128]) for _ in range(8) for k in range(2))
    identity = struct.pack(">9I", 65536, 0, 0, 0, 65536, 0, 0, 0, 65536)
    table = b"mft1" + bytes(4) + bytes([4, 3, 2, 0]) + identity + steps * 4 + corners + steps * 3
    return icc_profile(b"CMYK", "Test ink", {b"A2B0": table, b"A2B1": table})


def exif_block(orientation: int) -> bytes:
    exif = Image.Exif()
    exif[274] = orientation
    return exif.tobytes()


def read(data: bytes, name: str = "scans/test.bin", **limits: int) -> Photo:
    return decode(data, name, DecodeLimits(**limits))


def code_of(data: bytes, **limits: int) -> str:
    """The error code that decoding ends with; "" when a photo comes out. Any other exception passes through."""
    try:
        read(data, **limits)
    except ItemError as error:
        assert error.reason
        assert "\n" not in error.reason
        return error.code
    return ""
