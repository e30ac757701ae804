"""Files made to exhaust a decoder: whatever a header claims, memory and time stay within what the limits promise."""

from __future__ import annotations

import re
import struct
import time
import zlib
from collections.abc import Callable, Sequence

import numpy as np
import pytest
from photo_files import (
    cmyk_profile,
    code_of,
    exif_block,
    flat,
    icc_profile,
    jp2_file,
    noise,
    pillow_file,
    png_chunk,
    png_file,
    read,
    smooth,
    tiff_file,
)
from PIL import Image
from traced_memory import peak_bytes

from pipelines.media.limits import BYTES_PER_PIXEL, COPIES

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:PIL.*")

MIB = 1 << 20
_SLACK = 8 * MIB  # what an allocator keeps
_TAG = struct.Struct("<HHII")


def tiff_with(data: bytes, tags: Sequence[tuple[int, int, int, int]], blob: bytes = b"") -> bytes:
    """A TIFF with further tags (tag, type, count, value or offset), which replace its own; `blob` is put at its end.

    An offset counts from the start of `blob`.
    """
    (start,) = struct.unpack_from("<I", data, 4)
    (count,) = struct.unpack_from("<H", data, start)
    own = [_TAG.unpack_from(data, start + 2 + 12 * number) for number in range(count)]
    replaced = {tag[0] for tag in tags}
    moved = [
        (tag, kind, many, value + len(data) if many * _SIZES[kind] > 4 else value) for tag, kind, many, value in tags
    ]
    table = sorted([*moved, *(tag for tag in own if tag[0] not in replaced)])
    body = struct.pack("<H", len(table)) + b"".join(_TAG.pack(*tag) for tag in table) + bytes(4)
    return data[:4] + struct.pack("<I", len(data) + len(blob)) + data[8:] + blob + body


_SIZES = {1: 1, 3: 2, 4: 4, 7: 1}


def tag_bomb(compression: str | None) -> bytes:
    """Thousands of tags that all point at the same megabyte."""
    plain = Image.fromarray(smooth(3)) if compression else Image.fromarray(smooth(3)).quantize(64)
    tags = [(tag, 7, MIB, 0) for tag in (*range(1000, 30_000), *range(52_000, 60_000))]
    return tiff_with(pillow_file(plain, "TIFF", compression=compression), tags, bytes(MIB))


def overlapping_pages(count: int = 9_000) -> bytes:
    """A list of pages, each of which claims the same 65,535 tags."""
    page = tiff_file(flat(noise(1)))
    page += bytes(len(page) % 2)
    start = struct.unpack_from("<I", page, 4)[0]
    pointer = start + 2 + 12 * struct.unpack_from("<H", page, start)[0]
    span = 2 + 65_535 * 12
    chain = bytearray(b"\xff\xff\0\0" * count + bytes(span))
    for number in range(count - 1):
        struct.pack_into("<I", chain, 4 * number + span, len(page) + 4 * (number + 1))
    return page[:pointer] + struct.pack("<I", len(page)) + page[pointer + 4 :] + bytes(chain)


def many_strips() -> bytes:
    """Strips of a row that all claim the whole file as their packed bytes."""
    pixels, blob = flat(noise(1, size=(2_000, 1))), zlib.compress(bytes(1)) + bytes(16 * MIB)
    data = tiff_file(pixels, compression="deflate", rowsperstrip=1)
    base = len(data)
    table = struct.pack("<2000I", *[base] * 2_000) + struct.pack("<2000I", *[len(blob)] * 2_000)
    tags = [(273, 4, 2_000, len(blob)), (279, 4, 2_000, len(blob) + 8_000)]
    return tiff_with(data, tags, blob + table)


def chunks(kind: bytes, count: int) -> bytes:
    data = png_file(noise(3), 2, 8)
    place = data.index(b"IDAT") - 4
    return data[:place] + png_chunk(kind, b"") * count + data[place:]


def exif_segments(count: int) -> bytes:
    data = pillow_file(smooth(3), "JPEG")
    return data[:2] + (b"\xff\xe1\xff\xffExif\0\0" + bytes(65_527)) * count + data[2:]


def scans(count: int, side: int = 2000, hidden: bool = False) -> bytes:
    """A progressive JPEG whose last scan comes again and again, with or without what looks like the end before it."""
    data = pillow_file(np.zeros((side, side, 1), np.uint8), "JPEG", progressive=True)
    end, last = data.rindex(b"\xff\xd9"), [found.start() for found in re.finditer(b"\xff\xda", data)][-1]
    comment = b"\xff\xfe\0\4\xff\xd9" if hidden else b""
    return data[:end] + (comment + data[data.rindex(b"\xff\xc4", 0, last) : end]) * count + data[end:]


def stream(
    size: tuple[int, int] = (1000, 1000),
    *,
    tile: tuple[int, int] | None = None,
    precinct: int | None = None,
    code_block: int | None = None,
    layers: int | None = None,
    in_tile: bool = False,
) -> bytes:
    """A JPEG 2000 code stream of a small picture whose header asks for more.

    Args:
        size: width and height that it claims.
        tile: of a tile; by default all of it.
        precinct: side of precincts as a power of 2.
        code_block: sides of code blocks as a power of 2, less 2.
        layers: number of layers.
        in_tile: the coding style stands in the tile's header, after a harmless one in the main header.
    """
    data = bytearray(pillow_file(smooth(1), "JPEG2000", no_jp2=True))
    struct.pack_into(">II", data, 8, *size)
    struct.pack_into(">II", data, 24, *(tile or size))
    place = data.index(b"\xff\x52")
    (length,) = struct.unpack_from(">H", data, place + 2)
    style = data[place : place + 2 + length]
    if layers:
        struct.pack_into(">H", style, 6, layers)
    if code_block is not None:
        style[10] = style[11] = code_block
    if precinct is not None:
        style[4] |= 1
        style[14:] = bytes([precinct * 17] * (style[9] + 1))
        struct.pack_into(">H", style, 2, len(style) - 2)
    if not in_tile:
        return bytes(data[:place] + style + data[place + 2 + length :])
    part = data.index(b"\xff\x90")
    (old,) = struct.unpack_from(">I", data, part + 6)
    if old:
        struct.pack_into(">I", data, part + 6, old + len(style))
    return bytes(data[: part + 12] + style + data[part + 12 :])


def webp_chunks(count: int) -> bytes:
    image = pillow_file(smooth(3), "WEBP")[12:]
    canvas = b"VP8X" + struct.pack("<I", 10) + bytes(4) + (63).to_bytes(3, "little") + (47).to_bytes(3, "little")
    body = b"WEBP" + canvas + image + b"JUNK\0\0\0\0" * count
    return b"RIFF" + struct.pack("<I", len(body)) + body


def boxes(count: int) -> bytes:
    """A .jp2 with many code streams, which are its frames."""
    data = pillow_file(smooth(1), "JPEG2000")
    return (
        data[: data.index(b"jp2c") - 4]
        + struct.pack(">I", len(data) - data.index(b"jp2c") + 4)
        + (data[data.index(b"jp2c") :] + b"\0\0\0\x08jp2c" * (count - 1))
    )


def huge_profile() -> bytes:
    profile = icc_profile(b"RGB ") + bytes(40 * MIB)
    return pillow_file(smooth(3), "WEBP", icc_profile=struct.pack(">I", len(profile)) + profile[4:])


# Name -> (file, code that it ends with, "" for a photo).
BOMBS: dict[str, tuple[Callable[[], bytes], str]] = {
    "TIFF tags, palette": (lambda: tag_bomb(None), ""),
    "TIFF tags, JPEG": (lambda: tag_bomb("jpeg"), "corrupt"),
    "TIFF overlapping pages": (overlapping_pages, ""),
    "TIFF strips over strips": (many_strips, "corrupt"),
    "TIFF profile": (lambda: tiff_with(pillow_file(smooth(3), "TIFF"), [(34675, 7, 40 * MIB, 0)], bytes(40 * MIB)), ""),
    "PNG empty data": (lambda: chunks(b"IDAT", 500_000), ""),
    "PNG empty text": (lambda: chunks(b"teXt", 500_000), ""),
    "JPEG metadata": (lambda: exif_segments(1000), ""),
    "JPEG scans": (lambda: scans(3000), "unsupported"),
    "JPEG scans behind a false end": (lambda: scans(3000, hidden=True), "unsupported"),
    "JPEG 2000 tiles": (lambda: stream((250, 250), tile=(1, 1)), "unsupported"),
    "JPEG 2000 tiles in one row": (lambda: stream((65_000, 1), tile=(1, 1)), "unsupported"),
    "JPEG 2000 precincts": (lambda: stream(precinct=1), "unsupported"),
    "JPEG 2000 precincts in a tile": (lambda: stream(precinct=1, in_tile=True), "unsupported"),
    "JPEG 2000 code blocks": (lambda: stream(code_block=0), "unsupported"),
    "JPEG 2000 layers": (lambda: stream(layers=65_535, precinct=5), "unsupported"),
    "JPEG 2000 code streams": (lambda: boxes(100_000), "too_many_frames"),
    "WebP chunks": (lambda: webp_chunks(1_000_000), "corrupt"),
    "WebP profile": (huge_profile, ""),
}


@pytest.mark.parametrize("kind", BOMBS)
def test_a_bomb_costs_little(kind: str) -> None:
    make, expected = BOMBS[kind]
    data, codes = make(), list[str]()
    read(pillow_file(smooth(3), "TIFF", compression="jpeg"))  # libraries that are loaded at first use
    started = time.perf_counter()
    used = peak_bytes(lambda: codes.append(code_of(data, max_pixels=4_000_000)))
    assert codes == [expected]
    assert used <= _SLACK + COPIES * len(data) + 30 * MIB * (expected == "")
    assert time.perf_counter() - started < 5


def test_genuine_files_near_the_limits_pass() -> None:
    """What encoders do make is far from what is refused."""
    assert code_of(scans(100, side=64)) == ""
    picture = Image.fromarray(smooth(3, (512, 768)))
    for options in (
        {"tile_size": (128, 128), "precinct_size": (128, 128)},
        {"precinct_size": (64, 64), "codeblock_size": (32, 32)},
        {"codeblock_size": (8, 8)},
        {"quality_layers": list(range(60, 0, -3)), "irreversible": True, "tile_size": (256, 256)},
        {"num_resolutions": 1, "tile_size": (64, 64)},
    ):
        assert read(pillow_file(picture, "JPEG2000", **options)).pixels.shape == (512, 768, 3), options


@pytest.mark.parametrize(
    ("kind", "make"),
    [
        ("JPEG 2000", lambda: boxes(3)),
        (
            "TIFF",
            lambda: pillow_file(smooth(1), "TIFF", save_all=True, append_images=[Image.new("L", (5, 5))] * 2),
        ),
        ("PNG", lambda: pillow_file(smooth(3), "PNG", save_all=True, append_images=_frames())),
        ("WebP", lambda: pillow_file(smooth(3), "WEBP", save_all=True, append_images=_frames(), lossless=True)),
    ],
)
def test_frames_are_limited_before_anything_is_decoded(kind: str, make: Callable[[], bytes]) -> None:
    data = make()
    assert code_of(data, max_frames=2) == "too_many_frames"
    assert (code_of(data, max_frames=3), read(data).frames) == ("", 3)


def _frames() -> list[Image.Image]:
    return [Image.fromarray(smooth(3) ^ np.uint8(number)) for number in (1, 2)]


def test_an_animation_is_counted_and_not_believed() -> None:
    claim = png_chunk(b"acTL", struct.pack(">II", 2**31, 0))
    photo = read(png_file(noise(3), 2, 8, before=claim))
    assert photo.frames == 1


def test_wide_pixels_count_more_than_once() -> None:
    """32 bytes a pixel count as four pixels of 8 bytes."""
    samples = np.zeros((10, 10, 4), np.float64)
    data = tiff_file(samples, photometric="rgb", extrasamples=["unassalpha"])
    assert code_of(data, max_pixels=399) == "too_many_pixels"
    assert code_of(data, max_pixels=400) == ""
    assert code_of(png_file(noise(4, np.uint16, size=(10, 10)), 6, 16), max_pixels=100) == ""


_SIZE = (1000, 1000)
_LARGE: dict[str, Callable[[], bytes]] = {
    "JPEG": lambda: pillow_file(smooth(3, _SIZE), "JPEG", progressive=True, exif=exif_block(6)),
    "CMYK JPEG": lambda: pillow_file(Image.fromarray(smooth(4, _SIZE), "CMYK"), "JPEG", icc_profile=cmyk_profile()),
    "PNG": lambda: pillow_file(smooth(4, _SIZE), "PNG"),
    "PNG of 16 bits": lambda: png_file(noise(4, np.uint16, size=_SIZE), 6, 16, interlaced=True),
    "TIFF in one strip": lambda: _float_tiff(np.float32, 1),
    "premultiplied TIFF": lambda: _float_tiff(np.float64, 4),
    "JPEG TIFF": lambda: pillow_file(smooth(3, _SIZE), "TIFF", compression="jpeg"),
    "WebP": lambda: pillow_file(smooth(4, _SIZE), "WEBP"),
    "JPEG 2000": lambda: pillow_file(smooth(4, _SIZE), "JPEG2000", codeblock_size=(8, 8)),
    "JPEG 2000 of 16 bits": lambda: jp2_file(smooth(3, _SIZE).astype(np.uint16) * 257),
}


def _float_tiff(dtype: type, channels: int) -> bytes:
    samples = (smooth(channels, _SIZE).astype(dtype) - 99) * 1e30
    options = {"photometric": "rgb", "extrasamples": ["assocalpha"]} if channels == 4 else {"photometric": "minisblack"}
    return tiff_file(flat(samples), compression="deflate", rowsperstrip=_SIZE[0], **options)


@pytest.mark.parametrize("kind", _LARGE)
def test_memory_stays_below_the_stated_multiple(kind: str) -> None:
    data = _LARGE[kind]()
    counted = 4_000_000 if kind == "premultiplied TIFF" else 1_000_000
    used = peak_bytes(lambda: read(data, max_pixels=counted))
    assert used > 3 * counted / 2  # the measure sees something
    assert used <= BYTES_PER_PIXEL * counted + COPIES * len(data)


def test_the_largest_numbers_are_stretched_too() -> None:
    samples = np.array([[-1.7e308, 0.0, 1.7e308, np.inf, np.nan]])
    photo = read(tiff_file(samples, photometric="minisblack"))
    assert photo.pixels[0, :, 0].tolist() == [0, 32768, 65535, 32768, 32768]
