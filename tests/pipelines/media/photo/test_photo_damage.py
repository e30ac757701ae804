"""Whatever the bytes, decoding ends in a photo or in an error with the right code, soon and in little memory."""

from __future__ import annotations

import struct
import time
import tracemalloc
import zlib
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from photo_files import (
    LARGE,
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

from pipelines.media.photo import ifd

# Pillow says more about broken tags than a night's log should hold; pytest puts its own filters back for every test.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:PIL.*")

PROFILE = icc_profile(b"RGB ")
FILES: dict[str, Callable[[], bytes]] = {
    "JPEG": lambda: pillow_file(smooth(3), "JPEG", icc_profile=PROFILE, exif=exif_block(6)),
    "progressive JPEG": lambda: pillow_file(smooth(3), "JPEG", progressive=True),
    "CMYK JPEG": lambda: pillow_file(Image.fromarray(smooth(4), "CMYK"), "JPEG"),
    "PNG": lambda: pillow_file(smooth(4), "PNG", icc_profile=PROFILE, exif=exif_block(6)),
    "palette PNG": lambda: pillow_file(Image.fromarray(smooth(3)).quantize(64), "PNG"),
    "PNG of 16 bits": lambda: png_file(noise(3, np.uint16), 2, 16),
    "TIFF": lambda: pillow_file(smooth(3), "TIFF", icc_profile=PROFILE, dpi=(300, 300)),
    "LZW TIFF": lambda: pillow_file(smooth(3), "TIFF", compression="tiff_lzw"),
    "JPEG TIFF": lambda: pillow_file(smooth(3), "TIFF", compression="jpeg"),
    "fax TIFF": lambda: pillow_file(Image.fromarray(flat(smooth(1))).convert("1"), "TIFF", compression="group4"),
    "TIFF of 16 bits": lambda: tiff_file(noise(4, np.uint16), photometric="rgb", compression="deflate", predictor=True),
    "tiled TIFF": lambda: tiff_file(noise(3, np.uint16, size=LARGE), photometric="rgb", tile=(16, 16)),
    "WebP": lambda: pillow_file(smooth(3), "WEBP", icc_profile=PROFILE, exif=exif_block(6)),
    "lossless WebP": lambda: pillow_file(smooth(4), "WEBP", lossless=True),
    "JPEG 2000": lambda: pillow_file(smooth(3), "JPEG2000"),
    "JPEG 2000 stream": lambda: pillow_file(smooth(1), "JPEG2000", no_jp2=True),
    "JPEG 2000 of 16 bits": lambda: jp2_file(noise(3, np.uint16, size=LARGE)),
}
# Codes that damage may end in: the size fields are as easily hit as any other byte.
DAMAGE = {"", "truncated", "corrupt", "unsupported", "zero_size", "too_many_pixels", "not_an_image"}


@pytest.mark.parametrize("kind", FILES)
def test_a_cut_file_is_truncated(kind: str) -> None:
    data = FILES[kind]()
    assert code_of(data) == ""
    ends = sorted(
        {4, 5, 8, 11, 12, 13, 20, 33, 40, *(len(data) * tenth // 10 for tenth in range(1, 10)), len(data) - 24}
    )
    for end in ends:
        assert code_of(data[:end]) == "truncated", f"cut at {end} of {len(data)}"


@pytest.mark.parametrize("kind", FILES)
def test_a_file_that_lost_its_last_bytes_is_never_filled_up(kind: str) -> None:
    # The last bytes of a TIFF may be no more than the zero that ends the list of pages.
    data = FILES[kind]()
    whole = read(data).pixels
    for lost in range(1, 24):
        if code_of(data[:-lost]) == "":
            photo = read(data[:-lost])
            np.testing.assert_array_equal(photo.pixels, whole)
            assert photo.warnings or "TIFF" in kind, f"{lost} bytes lost without a word"


@pytest.mark.parametrize("kind", FILES)
def test_mutations_give_a_photo_or_an_error(kind: str) -> None:
    data = FILES[kind]()
    rng = np.random.default_rng(sum(kind.encode()))
    codes = set()
    for turn in range(250):
        mutant = bytearray(data)
        # Headers break decoders more than pixels do: every other mutation stays in the first bytes.
        reach = min(len(data), 200) if turn % 2 else len(data)
        for _ in range(rng.integers(1, 8)):
            place = rng.integers(0, reach)
            mutant[place] = rng.choice([0, 255, mutant[place] ^ (1 << rng.integers(0, 8)), rng.integers(0, 256)])
        if turn % 10 == 0:
            start, length = rng.integers(0, len(data), 2)
            del mutant[start : start + length // 4]
        codes.add(code_of(bytes(mutant), max_pixels=1_000_000))
    assert codes <= DAMAGE


@pytest.mark.parametrize("bits", [8, 16])
def test_a_damaged_png_never_passes_for_a_sound_one(bits: int) -> None:
    data = png_file(noise(3, np.uint16 if bits == 16 else np.uint8), 2, bits)
    for place in range(8, len(data) - 12, 37):
        mutant = bytearray(data)
        mutant[place] ^= 0x10
        assert code_of(bytes(mutant)) in DAMAGE - {""}


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from([b"", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"II*\0", b"MM\0+", b"RIFF", b"\xff\x4f\xff\x51"]),
    st.binary(max_size=300),
)
def test_random_bytes(start: bytes, rest: bytes) -> None:
    assert code_of(start + rest) != "" or start


def test_codes_of_what_is_no_photograph() -> None:
    assert code_of(b"") == "empty"
    assert code_of(b"\xff") == "not_an_image"
    assert code_of(b"Dear archivist, BM and P6 are letters too.") == "not_an_image"
    assert code_of(np.random.default_rng(1).bytes(5000)) == "not_an_image"
    assert code_of(b"%PDF-1.7 ...") == "unsupported"
    for format in ("PPM", "ICO", "QOI", "DDS"):
        assert code_of(pillow_file(smooth(3), format)) == "unsupported", format
    assert code_of(b"8BPS\0\1" + bytes(40)) == "unsupported"
    assert code_of(b"\0\0\0\x18ftypheic" + bytes(40)) == "unsupported"


def test_valid_files_of_unsupported_kinds() -> None:
    ten = bytearray(pillow_file(smooth(3), "JPEG"))
    ten[ten.index(b"\xff\xc0") + 4] = 10
    assert code_of(bytes(ten)) == "unsupported"
    hierarchical = pillow_file(smooth(3), "JPEG").replace(b"\xff\xc0", b"\xff\xc5")
    assert code_of(hierarchical) == "unsupported"
    assert (
        code_of(b"\x89PNG\r\n\x1a\n" + png_chunk(b"CgBI", bytes(4)) + pillow_file(smooth(3), "PNG")[8:])
        == "unsupported"
    )


def test_zero_sides() -> None:
    empty_png = png_chunk(b"IHDR", struct.pack(">IIBBBBB", 0, 9, 8, 2, 0, 0, 0)) + png_chunk(b"IEND", b"")
    assert code_of(b"\x89PNG\r\n\x1a\n" + empty_png) == "zero_size"
    jpeg = bytearray(pillow_file(smooth(3), "JPEG"))
    frame = jpeg.index(b"\xff\xc0")
    jpeg[frame + 5 : frame + 7] = bytes(2)
    assert code_of(bytes(jpeg)) == "zero_size"
    tiff = tiff_file(flat(noise(1)))
    place = tiff.index(struct.pack("<HH", 256, 4)) + 8
    assert code_of(tiff[:place] + bytes(4) + tiff[place + 4 :]) == "zero_size"
    stream = bytearray(pillow_file(smooth(1), "JPEG2000", no_jp2=True))
    stream[8:12] = bytes(4)
    assert code_of(bytes(stream)) == "zero_size"
    webp = bytearray(pillow_file(smooth(3), "WEBP"))
    webp[26:28] = bytes(2)
    assert code_of(bytes(webp)) == "zero_size"


def bombs() -> dict[str, bytes]:
    """Small files that claim 60000 x 60000 pixels, or the most that their format can."""
    png = png_chunk(b"IHDR", struct.pack(">IIBBBBB", 60000, 60000, 8, 6, 0, 0, 0))
    png += png_chunk(b"IDAT", zlib.compress(bytes(10**6))) + png_chunk(b"IEND", b"")
    jpeg = bytearray(pillow_file(smooth(3), "JPEG"))
    frame = jpeg.index(b"\xff\xc0")
    jpeg[frame + 5 : frame + 9] = struct.pack(">HH", 60000, 60000)
    tiff = bytearray(tiff_file(flat(noise(1))))
    for tag in (256, 257, 278):
        place = tiff.index(struct.pack("<HH", tag, 4)) + 8
        tiff[place : place + 4] = struct.pack("<I", 60000)
    stream = bytearray(pillow_file(smooth(1), "JPEG2000", no_jp2=True))
    stream[8:16] = struct.pack(">II", 60000, 60000)
    jp2 = bytearray(pillow_file(smooth(1), "JPEG2000"))
    size = jp2.index(b"\xff\x4f\xff\x51")
    jp2[size + 8 : size + 16] = struct.pack(">II", 60000, 60000)
    header = jp2.index(b"ihdr") + 4
    jp2[header : header + 8] = struct.pack(">II", 60000, 60000)
    canvas = b"VP8X" + struct.pack("<I", 10) + bytes(4) + (16383).to_bytes(3, "little") * 2
    image = pillow_file(smooth(3), "WEBP")[12:]
    webp = b"RIFF" + struct.pack("<I", 4 + len(canvas) + len(image)) + b"WEBP" + canvas + image
    return {
        "PNG": b"\x89PNG\r\n\x1a\n" + png,
        "JPEG": bytes(jpeg),
        "TIFF": bytes(tiff),
        "JPEG 2000 stream": bytes(stream),
        "JPEG 2000": bytes(jp2),
        "WebP": webp,
    }


@pytest.mark.parametrize("kind", bombs())
def test_a_bomb_is_refused_fast(kind: str) -> None:
    data = bombs()[kind]
    started = time.perf_counter()
    # A TIFF whose strips could not hold such an image is called truncated: the pixels it claims are not there.
    expected = "truncated" if kind == "TIFF" else "too_many_pixels"
    assert code_of(data, max_pixels=200_000_000) == expected
    assert time.perf_counter() - started < 0.5


def test_a_small_header_does_not_hide_a_large_stream() -> None:
    jp2 = bytearray(bombs()["JPEG 2000"])
    header = jp2.index(b"ihdr") + 4
    jp2[header : header + 8] = struct.pack(">II", 8, 8)
    assert code_of(bytes(jp2)) == "corrupt"


@pytest.mark.parametrize("kind", [b"zTXt", b"iTXt", b"iCCP"])
def test_a_metadata_bomb_costs_no_memory(kind: bytes) -> None:
    packed = zlib.compress(bytes(200 * 2**20))
    body = {b"zTXt": b"Comment\0\0", b"iTXt": b"Comment\0\1\0\0\0", b"iCCP": b"Profile\0\0"}[kind] + packed
    pixels = noise(3)
    data = png_file(pixels, 2, 8, before=png_chunk(kind, body) * (1 if kind == b"iCCP" else 5))
    tracemalloc.start()
    try:
        photo = read(data)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    np.testing.assert_array_equal(photo.pixels, pixels)
    assert peak < 64 * 2**20
    assert len(photo.warnings) == (1 if kind == b"iCCP" else 5)  # each says what was left out


def test_a_strip_bomb_costs_no_memory() -> None:
    good = tiff_file(noise(3, np.uint16), photometric="rgb", compression="deflate", rowsperstrip=1000)
    bomb = zlib.compress(bytes(200 * 2**20))
    data = bytearray(good + bomb)
    for tag, value in ((273, len(good)), (279, len(bomb))):
        place = next(
            data.index(struct.pack("<HH", tag, kind)) for kind in (3, 4) if struct.pack("<HH", tag, kind) in data
        )
        data[place + 2 : place + 12] = struct.pack("<HII", 4, 1, value)
    tracemalloc.start()
    try:
        read(bytes(data))  # libtiff stops at the strip's size: the rest is never unpacked
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 64 * 2**20


def test_an_endless_list_of_pages_is_cut_short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ifd, "MAX_PAGES", 20_000)
    page = bytearray(tiff_file(flat(noise(1))))
    start = struct.unpack_from("<I", page, 4)[0]
    pointer = start + 2 + 12 * struct.unpack_from("<H", page, start)[0]
    struct.pack_into("<I", page, pointer, len(page))
    pages = np.zeros(20_100, dtype=[("tags", "<u2"), ("next", "<u4")])
    pages["next"] = len(page) + 6 * np.arange(1, len(pages) + 1)
    data = bytes(page) + pages.tobytes()
    assert code_of(data) == "too_many_frames"
    photo = read(data, max_frames=20_000)
    assert photo.frames == 20_000
    assert any("more than 20000 pages" in line for line in photo.warnings)
