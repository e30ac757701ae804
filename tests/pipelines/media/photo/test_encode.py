"""Encoded photographs: exact where lossless, the same bytes each time, profile and resolution kept."""

from __future__ import annotations

import io
import subprocess
import sys

import cv2
import numpy as np
import pytest
import tifffile
from photo_files import flat, icc_profile, noise, read, smooth
from PIL import Image

from pipelines.errors import ItemError
from pipelines.media.photo.encode import encode, on_white, to_8_bits

RGB_PROFILE = icc_profile(b"RGB ", "Scanner")
GREY_PROFILE = icc_profile(b"GRAY", "Dot gain")
TYPES = pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
CHANNELS = pytest.mark.parametrize("channels", [1, 2, 3, 4])


def profile_for(pixels: np.ndarray) -> bytes:
    return RGB_PROFILE if pixels.shape[2] >= 3 else GREY_PROFILE


@TYPES
@CHANNELS
@pytest.mark.parametrize("format", ["PNG", "TIFF"])
def test_lossless_formats_keep_everything(format: str, channels: int, dtype: type) -> None:
    for pixels in (noise(channels, dtype), noise(channels, dtype, size=(1, 1)), smooth(channels).astype(dtype) * 3):
        data = encode(pixels, format=format, icc_profile=profile_for(pixels), dpi=(600, 300))
        photo = read(data)
        np.testing.assert_array_equal(photo.pixels, pixels)
        assert photo.pixels.dtype == dtype
        assert photo.icc_profile == profile_for(pixels)
        assert photo.dpi == pytest.approx((600, 300), abs=0.02)  # PNG counts whole pixels a metre
        assert photo.warnings == ()


@TYPES
@CHANNELS
def test_other_readers_agree(channels: int, dtype: type) -> None:
    pixels = smooth(channels).astype(dtype) * (257 if dtype == np.uint16 else 1) ^ dtype(5)
    tiff = encode(pixels, format="TIFF")
    np.testing.assert_array_equal(tifffile.imread(io.BytesIO(tiff)), flat(pixels))
    png = encode(pixels, format="PNG")
    Image.open(io.BytesIO(png)).load()
    wide = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_UNCHANGED)
    order = {1: [0], 2: [0, 3], 3: [2, 1, 0], 4: [2, 1, 0, 3]}[channels]
    np.testing.assert_array_equal(wide.reshape(*wide.shape[:2], -1)[..., order], pixels)


def test_png_of_16_bits_crosses_bands_and_compresses() -> None:
    rows, columns = np.mgrid[0:1200, 0:1300].astype(np.uint16)
    pixels = np.stack([rows * 50, columns * 50, rows + columns], axis=2)
    data = encode(pixels, format="PNG")  # 9 MB: two bands of rows
    np.testing.assert_array_equal(read(data).pixels, pixels)
    assert len(data) < pixels.nbytes / 20


@pytest.mark.parametrize("channels", [3, 4])
def test_webp_is_lossless(channels: int) -> None:
    pixels = noise(channels)
    photo = read(encode(pixels, format="WEBP", icc_profile=RGB_PROFILE, dpi=(600, 300)))
    np.testing.assert_array_equal(photo.pixels, pixels)
    assert (photo.icc_profile, photo.dpi) == (RGB_PROFILE, (600.0, 300.0))


def test_webp_stores_grey_as_rgb_and_16_bits_as_8() -> None:
    pixels = noise(2, np.uint16)
    photo = read(encode(pixels, format="WEBP"))
    np.testing.assert_array_equal(photo.pixels, to_8_bits(pixels)[..., [0, 0, 0, 1]])


@TYPES
@CHANNELS
def test_jpeg(channels: int, dtype: type) -> None:
    pixels = smooth(channels).astype(dtype) * (257 if dtype == np.uint16 else 1)
    data = encode(pixels, format="JPEG", icc_profile=profile_for(pixels), dpi=(300.2, 299.8))
    photo = read(data)
    assert photo.pixels.shape[2] == (1 if channels < 3 else 3)
    assert abs(photo.pixels.astype(int) - to_8_bits(on_white(pixels))).max() <= 6
    assert (photo.icc_profile, photo.dpi) == (profile_for(pixels), (300.0, 300.0))
    if channels >= 3:
        frame = data.index(b"\xff\xc0")
        assert data[frame + 11] == 0x11  # 4:4:4: the first channel is sampled no more often than the others


def test_jpeg_quality_matters_and_noise_fits() -> None:
    pixels = noise(3, size=(300, 200))
    sizes = [len(encode(pixels, format="JPEG", jpeg_quality=quality)) for quality in (10, 95, 100)]
    assert sizes == sorted(sizes)
    assert sizes[0] * 5 < sizes[2]


@TYPES
@CHANNELS
@pytest.mark.parametrize("format", ["PNG", "TIFF", "JPEG", "WEBP"])
def test_same_input_same_bytes(format: str, channels: int, dtype: type) -> None:
    pixels = noise(channels, dtype)
    first = encode(pixels, format=format, dpi=(300, 300))
    backwards = np.ascontiguousarray(pixels[::-1])[::-1]  # the same values in another memory layout
    assert encode(backwards, format=format, dpi=(300, 300)) == first
    for word in (b"tifffile", b"Pillow", b"20:", b"202"):
        assert word not in first[:500]


def test_same_bytes_in_another_process() -> None:
    script = (
        "import hashlib, numpy as np; from pipelines.media.photo.encode import encode;"
        "p = np.random.default_rng(3).integers(0, 65536, (40, 30, 4), dtype=np.uint16);"
        "files = [encode(p, format=f, dpi=(300, 300)) for f in ('PNG', 'TIFF', 'JPEG', 'WEBP')];"
        "print([hashlib.sha256(file).hexdigest() for file in files])"
    )
    runs = {subprocess.run([sys.executable, "-c", script], capture_output=True, check=True).stdout for _ in range(2)}
    assert len(runs) == 1


@pytest.mark.parametrize(("format", "side"), [("JPEG", 65_501), ("WEBP", 16_384)])
def test_sides_that_the_format_cannot_hold(format: str, side: int) -> None:
    limit = np.zeros((1, side - 1, 3), np.uint8)
    assert read(encode(limit, format=format)).pixels.shape == limit.shape
    with pytest.raises(ItemError, match=rf"^encode_error: {side} x 1 pixels .* choose PNG or TIFF"):
        encode(np.zeros((1, side, 3), np.uint8), format=format)


def test_what_cannot_be_encoded() -> None:
    with pytest.raises(ItemError, match="encode_error: 0 x 4 pixels"):
        encode(np.zeros((4, 0, 3), np.uint8), format="PNG")
    with pytest.raises(ItemError, match="encode_error: the colour profile is not one of"):
        encode(noise(1), format="PNG", icc_profile=RGB_PROFILE)
    with pytest.raises(ItemError, match="encode_error: WebP stores grey as RGB"):
        encode(noise(1), format="WEBP", icc_profile=GREY_PROFILE)
    for wrong in (noise(1)[..., 0], noise(3).astype(np.float32), noise(5)):
        with pytest.raises(ValueError, match="pixels are not HWC"):
            encode(wrong, format="PNG")
    with pytest.raises(ValueError, match="format 'GIF'"):
        encode(noise(3), format="GIF")
    with pytest.raises(ValueError, match="jpeg_quality"):
        encode(noise(3), format="JPEG", jpeg_quality=0)


def test_rounding_and_flattening() -> None:
    deep = np.arange(65536, dtype=np.uint16).reshape(256, 256, 1)
    np.testing.assert_array_equal(to_8_bits(deep), np.rint(deep / 257).astype(np.uint8))
    for dtype in (np.uint8, np.uint16):
        pixels = noise(4, dtype)
        top = np.iinfo(dtype).max
        share = pixels[..., 3:] / top
        exact = pixels[..., :3] * share + top * (1 - share)
        assert abs(on_white(pixels) - exact).max() <= 0.5 + 1e-6
        assert on_white(pixels).dtype == dtype
