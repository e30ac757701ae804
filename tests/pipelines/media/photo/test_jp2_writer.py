"""Lossless JPEG 2000: other readers get the same samples, profile, resolution, alpha and XMP."""

from __future__ import annotations

import io
from pathlib import Path

import av
import cv2
import imagecodecs
import numpy as np
import pytest
from metadata import exiftool, needs_exiftool
from photo_files import icc_profile, noise, read, smooth
from PIL import Image

from pipelines.media.photo.encode import encode
from pipelines.media.photo.jp2_writer import write_jp2
from pipelines.media.xmp import xmp_packet

RGB_PROFILE, GREY_PROFILE = icc_profile(b"RGB ", "Scanner"), icc_profile(b"GRAY", "Dot gain")
XMP = b'<?xpacket begin=""?><x:xmpmeta xmlns:x="adobe:ns:meta/"/><?xpacket end="w"?>'
TYPES = pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
CHANNELS = pytest.mark.parametrize("channels", [1, 2, 3, 4])
SIZES = pytest.mark.parametrize("size", [(1, 1), (3, 70), (37, 53), (300, 411)])


def profile_for(channels: int) -> bytes:
    return RGB_PROFILE if channels >= 3 else GREY_PROFILE


@TYPES
@CHANNELS
@SIZES
def test_the_samples_come_back_as_they_were(channels: int, dtype: type, size: tuple[int, int]) -> None:
    pixels = noise(channels, dtype, size=size)
    data = encode(pixels, format="JPEG2000", icc_profile=profile_for(channels), dpi=(600, 300), xmp=XMP)
    back = imagecodecs.jpeg2k_decode(data)
    assert back.dtype == dtype
    np.testing.assert_array_equal(back.reshape(pixels.shape), pixels)
    assert encode(pixels, format="JPEG2000", icc_profile=profile_for(channels), dpi=(600, 300), xmp=XMP) == data


@pytest.mark.parametrize(
    ("channels", "dtype", "layout"),
    [(1, np.uint8, "gray"), (1, np.uint16, "gray16le"), (3, np.uint8, "rgb24"), (3, np.uint16, "rgb48le")],
)
def test_a_decoder_of_another_house_agrees(channels: int, dtype: type, layout: str) -> None:
    """FFmpeg's own, which shares no code with OpenJPEG."""
    pixels = smooth(channels, size=(90, 120)).astype(dtype) * (257 if dtype == np.uint16 else 1) ^ dtype(5)
    decoder = av.CodecContext.create("jpeg2000", "r")
    frames = decoder.decode(av.Packet(write_jp2(pixels, None, None))) + decoder.decode(None)
    found = frames[0].to_ndarray(format=layout)
    np.testing.assert_array_equal(found.reshape(pixels.shape), pixels)


@CHANNELS
def test_pillow_reads_8_bits_with_resolution(channels: int) -> None:
    pixels = noise(channels)
    with Image.open(io.BytesIO(encode(pixels, format="JPEG2000", dpi=(600, 300)))) as image:
        assert image.mode == {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}[channels]
        np.testing.assert_array_equal(np.asarray(image).reshape(pixels.shape), pixels)
        assert image.info["dpi"] == pytest.approx((600, 300), abs=1e-3)


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_opencv_reads_16_bits(channels: int) -> None:
    pixels = noise(channels, np.uint16)
    found = cv2.imdecode(np.frombuffer(encode(pixels, format="JPEG2000"), np.uint8), cv2.IMREAD_UNCHANGED)
    order = {1: [0], 3: [2, 1, 0], 4: [2, 1, 0, 3]}[channels]
    np.testing.assert_array_equal(found.reshape(*found.shape[:2], -1)[..., order], pixels)


@TYPES
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_our_own_reader_takes_it_as_a_scan(channels: int, dtype: type) -> None:
    pixels = noise(channels, dtype)
    photo = read(encode(pixels, format="JPEG2000", icc_profile=profile_for(channels), dpi=(600, 300)))
    np.testing.assert_array_equal(photo.pixels, pixels)
    assert (photo.pixels.dtype, photo.icc_profile) == (dtype, profile_for(channels))
    assert photo.dpi == pytest.approx((600, 300), abs=1e-3)
    assert photo.warnings == ()


@pytest.mark.parametrize("dpi", [(72, 72), (600, 1200), (4800, 12800), (25.4, 0.5), (299.72, 1e6)])
def test_resolutions_of_any_size_are_kept_to_five_digits(dpi: tuple[float, float]) -> None:
    photo = read(encode(noise(3), format="JPEG2000", dpi=dpi))
    if max(dpi) < 1e5:
        assert photo.dpi == pytest.approx(dpi, rel=1e-4)


@needs_exiftool
def test_exiftool_finds_profile_resolution_and_statement(tmp_path: Path) -> None:
    path = tmp_path / "a.jp2"
    statement = xmp_packet({"xmp:CreatorTool": "FaithArchive"})
    path.write_bytes(
        encode(noise(4, np.uint16), format="JPEG2000", icc_profile=RGB_PROFILE, dpi=(600, 300), xmp=statement)
    )
    found = exiftool(path)
    assert found["XMP-xmp:CreatorTool"] == "FaithArchive"
    assert found["ICC_Profile:ProfileDescription"] == "Scanner"
    assert (found["Jpeg2000:ImageWidth"], found["Jpeg2000:ImageHeight"]) == noise(4).shape[1::-1]
    assert found["Jpeg2000:NumberOfComponents"] == 4
    assert found["Jpeg2000:CaptureXResolution"] == pytest.approx(600 / 2.54, rel=1e-4)
    assert found["Jpeg2000:CaptureXResolutionUnit"] == "cm"
    assert found["File:MIMEType"] == "image/jp2"
