"""JPEG 2000 whose boxes decoders stumble on, or whose colours are not RGB: read rightly, or named as not supported."""

from __future__ import annotations

import re
import struct

import numpy as np
import pytest
from photo_files import LARGE, cmyk_profile, code_of, jp2_file, jp2_file_12, noise, pillow_file, read, smooth
from test_tiff_samples import srgb_of

from pipelines.errors import ItemError

STREAM = b"\xff\x4f\xff\x51"


def box(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I4s", 8 + len(body), kind) + body


def jp2_with(pixels: np.ndarray, *header_boxes: bytes, before: bytes = b"", behind: bytes = b"") -> bytes:
    """A .jp2 file around the code stream of OpenCV, with these boxes beside the image header."""
    whole = jp2_file(pixels) if pixels.dtype == np.uint16 else pillow_file(pixels, "JPEG2000", mct=0)
    stream = whole[whole.index(STREAM) :]
    height, width, channels = pixels.shape
    ihdr = box(b"ihdr", struct.pack(">IIHBBBB", height, width, channels, 8 * pixels.itemsize - 1, 7, 0, 0))
    head = b"\0\0\0\x0cjP  \r\n\x87\n" + box(b"ftyp", b"jpx \0\0\0\0jp2 jpx ")
    return head + before + box(b"jp2h", ihdr + b"".join(header_boxes)) + box(b"jp2c", stream) + behind


def enumerated(space: int, *ranges: int) -> bytes:
    return box(b"colr", struct.pack(f">BBBI{len(ranges)}I", 1, 0, 0, space, *ranges))


def definitions(*channels: tuple[int, int, int]) -> bytes:
    return box(
        b"cdef", struct.pack(">H", len(channels)) + b"".join(struct.pack(">HHH", *channel) for channel in channels)
    )


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_boxes_of_other_programs_are_passed_over(channels: int, dtype: type) -> None:
    """Adobe's requirements, a colour space of a vendor beside the usual one, labels, and a last box that is cut."""
    pixels = noise(channels, dtype, size=LARGE)
    vendor = box(b"colr", b"\x04\0\0" + bytes(16))
    usual = enumerated(17 if channels == 1 else 16)
    before = box(b"rreq", bytes(11)) + box(b"jplh", box(b"cgrp", vendor)) + box(b"asoc", box(b"lbl ", b"scan"))
    cut = struct.pack(">I4s", 5000, b"dstr") + bytes(20)
    photo = read(jp2_with(pixels, vendor, usual, before=before, behind=cut))
    np.testing.assert_array_equal(photo.pixels, pixels)
    assert (photo.frames, photo.warnings) == (1, ())


@pytest.mark.parametrize("stated", [False, True])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_cielab(dtype: type, stated: bool) -> None:
    rows, columns = np.mgrid[0:40, 0:50]
    lab = np.stack([20 + rows * 1.7, columns * 0.8 - 20, 30 - rows], 2).astype(float)
    top = np.iinfo(dtype).max
    middle = (top + 1) // 2
    spans, offsets = (
        ((100, 254, 254), (0, middle, middle)) if stated else ((100, 170, 200), (0, middle, middle // 2 + middle // 4))
    )
    samples = np.rint(lab * top / np.array(spans) + offsets).clip(0, top).astype(dtype)
    ranges = [number for pair in zip(spans, offsets, strict=True) for number in pair] if stated else []
    photo = read(jp2_with(samples, enumerated(14, *ranges)))
    expected = srgb_of(lab)
    inside = (expected > 0.02).all(axis=2) & (expected < 0.98).all(axis=2)
    assert photo.pixels.dtype == dtype
    assert abs(photo.pixels / top - expected)[inside].max() < (0.03 if dtype == np.uint8 else 0.004)
    assert photo.warnings == ("Lab was converted to sRGB",)
    assert photo.colour_space == "sRGB (converted)"


def test_channels_in_another_order() -> None:
    pixels = noise(4, np.uint16, size=LARGE)
    data = jp2_with(pixels, enumerated(16), definitions((0, 0, 2), (1, 0, 3), (2, 0, 1), (3, 1, 0)))
    np.testing.assert_array_equal(read(data).pixels, pixels[..., [2, 0, 1, 3]])
    grey = noise(4, np.uint16, size=LARGE)
    assert code_of(jp2_with(grey, enumerated(16), definitions((0, 0, 1), (9, 0, 2), (2, 0, 3)))) == "unsupported"


def test_cmyk_by_profile_and_by_number() -> None:
    ink = noise(4, np.uint16, size=LARGE)
    through = read(jp2_with(ink, box(b"colr", b"\x02\0\0" + cmyk_profile())))
    assert through.pixels.shape == (*LARGE, 3)
    assert through.warnings == ("CMYK was converted to sRGB through its profile (Test ink)",)
    assert abs(through.pixels[..., 0].astype(int) - through.pixels[..., 1]).max() <= 4  # that profile knows greys alone
    plain = read(jp2_with(ink, enumerated(12))).pixels
    black = 1 - ink[..., 3:] / 65535
    np.testing.assert_allclose(plain / 65535, (1 - ink[..., :3] / 65535) * black, atol=1e-4)


def test_sycc() -> None:
    grey = np.full((40, 50, 1), 0x8000, np.uint16)
    pixels = np.concatenate([noise(1, np.uint16, size=(40, 50)), grey, grey], 2)
    np.testing.assert_array_equal(read(jp2_with(pixels, enumerated(18))).pixels, pixels[..., [0, 0, 0]])


def test_grey_of_12_bits_fills_the_range_of_16() -> None:
    levels = noise(1, np.uint16, size=LARGE) >> 4
    photo = read(jp2_file_12(levels))
    np.testing.assert_array_equal(photo.pixels, np.floor(levels.astype(float) * 65535 / 4095 + 0.5))


def in_two_parts(data: bytes) -> bytes:
    """A file of one tile part, as one of two whose first says that there is no other."""
    start = data.index(STREAM)
    at = data.index(b"\xff\x90\0\x0a", start)
    (part,) = struct.unpack_from(">I", data, at + 6)
    end = at + part if part else len(data) - 2
    body, tail = data[data.index(b"\xff\x93", at) + 2 : end], data[end:]
    half = len(body) // 2
    parts = b"".join(
        struct.pack(">HHHIBBH", 0xFF90, 10, 0, 14 + len(piece), number, count, 0xFF93) + piece
        for number, count, piece in ((0, 1, body[:half]), (1, 1, body[half:]))
    )
    return data[start:at] + parts + tail


def test_wrong_counts_of_tile_parts() -> None:
    pixels = smooth(3)
    np.testing.assert_array_equal(read(in_two_parts(pillow_file(pixels, "JPEG2000"))).pixels, pixels)


def test_zeros_behind_the_end() -> None:
    """As DICOM pads; the last tile part says only that it is the last."""
    data = bytearray(pillow_file(smooth(3), "JPEG2000", no_jp2=True))
    at = data.index(b"\xff\x90\0\x0a")
    data[at + 6 : at + 10] = bytes(4)
    np.testing.assert_array_equal(read(bytes(data) + bytes(3)).pixels, smooth(3))
    assert code_of(bytes(data[:-40]) + bytes(3)) == "truncated"


@pytest.mark.parametrize("kind", ["e-sYCC", "half a sample a pixel"])
def test_what_no_decoder_reads_is_not_called_damaged(kind: str) -> None:
    data = jp2_with(noise(3, np.uint16, size=LARGE), enumerated(24)) if kind == "e-sYCC" else subsampled()
    with pytest.raises(ItemError) as caught:
        read(data)
    assert caught.value.code == "unsupported"
    assert not re.search("copy it again", caught.value.reason)


def subsampled() -> bytes:
    """A grey code stream whose header says that each sample is for two pixels across: no picture of this size."""
    data = bytearray(pillow_file(smooth(1), "JPEG2000", no_jp2=True))
    data[43] = 2
    struct.pack_into(">I", data, 8, 2 * struct.unpack_from(">I", data, 8)[0])
    struct.pack_into(">I", data, 24, 2 * struct.unpack_from(">I", data, 24)[0])
    return bytes(data)
