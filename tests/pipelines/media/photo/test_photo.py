"""Every format, mode and depth comes out as stored."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from photo_files import (
    HEIGHT,
    LARGE,
    WIDTH,
    cmyk_profile,
    code_of,
    exif_block,
    icc_profile,
    jp2_file,
    jp2_file_12,
    noise,
    pillow_file,
    png_chunk,
    png_file,
    read,
    smooth,
)
from PIL import Image, ImageCms

from pipelines.media.kinds import PHOTO_SUFFIXES

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("format", ["PNG", "JPEG2000"])
def test_eight_bits_are_exact(format: str, channels: int) -> None:
    pixels = noise(channels)
    photo = read(pillow_file(pixels, format))
    np.testing.assert_array_equal(photo.pixels, pixels)
    assert photo.pixels.dtype == np.uint8
    assert photo.pixels.flags.c_contiguous
    assert (photo.format, photo.bit_depth, photo.orientation, photo.frames) == (format, 8, 1, 1)
    assert photo.warnings == ()
    assert photo.dpi is None


@pytest.mark.parametrize("channels", [3, 4])
def test_lossless_webp_is_exact(channels: int) -> None:
    pixels = noise(channels)
    photo = read(pillow_file(pixels, "WEBP", lossless=True, exact=True))
    np.testing.assert_array_equal(photo.pixels, pixels)
    assert photo.format == "WEBP"


@pytest.mark.parametrize(("channels", "mode", "space"), [(1, "L", "grey (assumed)"), (3, "RGB", "sRGB (assumed)")])
@pytest.mark.parametrize("progressive", [False, True])
def test_jpeg(channels: int, mode: str, space: str, progressive: bool) -> None:
    pixels = smooth(channels)
    photo = read(pillow_file(pixels, "JPEG", quality=97, subsampling=0, progressive=progressive, dpi=(300, 200)))
    assert abs(photo.pixels.astype(int) - pixels).max() <= 6
    assert (photo.format, photo.source_mode, photo.colour_space, photo.dpi) == ("JPEG", mode, space, (300.0, 200.0))


def test_lossy_webp_and_bare_jpeg2000_stream() -> None:
    pixels = smooth(3)
    assert abs(read(pillow_file(pixels, "WEBP", quality=95)).pixels.astype(int) - pixels).mean() < 4
    stream = pillow_file(pixels, "JPEG2000", no_jp2=True)
    assert stream.startswith(b"\xff\x4f\xff\x51")
    np.testing.assert_array_equal(read(stream).pixels, pixels)


@pytest.mark.parametrize(("colour_type", "channels"), [(0, 1), (4, 2), (2, 3), (6, 4)])
def test_png_of_16_bits_is_exact(colour_type: int, channels: int) -> None:
    pixels = noise(channels, np.uint16)
    photo = read(png_file(pixels, colour_type, 16))
    assert photo.pixels.dtype == np.uint16
    assert photo.bit_depth == 16
    np.testing.assert_array_equal(photo.pixels, pixels)


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_jpeg2000_of_16_bits_is_exact(channels: int) -> None:
    pixels = noise(channels, np.uint16, size=LARGE)
    photo = read(jp2_file(pixels))
    np.testing.assert_array_equal(photo.pixels, pixels)
    assert photo.bit_depth == 16


@pytest.mark.parametrize("channels", [1, 3])
def test_jpeg2000_of_12_bits_fills_the_range_of_16(channels: int) -> None:
    pixels = noise(channels, np.uint16, size=LARGE) >> 4
    pixels[0, 0], pixels[0, 1] = 0, 4095
    photo = read(jp2_file_12(pixels))
    exact = pixels.astype(float) / 4095 * 65535
    # Pillow widens grey by shifting, which stays within a sixteenth of the 8-bit step.
    assert abs(photo.pixels - exact).max() <= 16
    np.testing.assert_array_equal(photo.pixels >> 4, pixels)


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_png_of_few_bits_becomes_grey_of_8(bits: int) -> None:
    levels = noise(1) >> (8 - bits)
    photo = read(png_file(levels, 0, bits))
    np.testing.assert_array_equal(photo.pixels, levels * (255 // (2**bits - 1)))


@pytest.mark.parametrize(("colour_type", "bits"), [(0, 1), (0, 2), (0, 4), (0, 8), (0, 16), (2, 8), (2, 16)])
def test_png_transparent_colour_becomes_alpha(colour_type: int, bits: int) -> None:
    channels = 3 if colour_type == 2 else 1
    samples = noise(channels, np.uint16) >> (16 - bits)
    key = samples[3, 5]
    data = png_file(samples, colour_type, bits, before=png_chunk(b"tRNS", key.astype(">u2").tobytes()))
    photo = read(data)
    assert photo.pixels.shape == (HEIGHT, WIDTH, channels + 1)
    top = 65535 if bits == 16 else 255
    expected = np.where((samples == key).all(axis=2), 0, top)
    np.testing.assert_array_equal(photo.pixels[..., -1], expected)
    assert (expected == 0).any()
    np.testing.assert_array_equal(photo.pixels[..., :-1], samples * (top // (2**bits - 1)))


def test_palette_becomes_rgb_and_with_transparency_rgba() -> None:
    colours = noise(3, seed=1, size=(1, 16))[0]
    index = noise(1) >> 4
    palette = png_chunk(b"PLTE", colours.tobytes())
    opaque = read(png_file(index, 3, 8, before=palette))
    np.testing.assert_array_equal(opaque.pixels, colours[index[..., 0]])
    assert opaque.source_mode == "P"
    assert any("palette" in line for line in opaque.warnings)
    alpha = np.arange(16, dtype=np.uint8) * 17
    clear = read(png_file(index, 3, 8, before=palette + png_chunk(b"tRNS", alpha.tobytes())))
    np.testing.assert_array_equal(clear.pixels[..., :3], colours[index[..., 0]])
    np.testing.assert_array_equal(clear.pixels[..., 3], alpha[index[..., 0]])


@pytest.mark.parametrize("bits", [8, 16])
def test_interlaced_png_is_exact(bits: int) -> None:
    pixels = noise(3, np.uint16 if bits == 16 else np.uint8)
    np.testing.assert_array_equal(read(png_file(pixels, 2, bits, interlaced=True)).pixels, pixels)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "WEBP", "PNG", "PNG of 16 bits"])
def test_orientation_is_applied(kind: str, orientation: int) -> None:
    pixels = noise(3, np.uint16) if kind == "PNG of 16 bits" else smooth(3)
    block = exif_block(orientation)
    if kind == "PNG of 16 bits":
        resolution = png_chunk(b"pHYs", struct.pack(">IIB", 11811, 3937, 1))
        data = png_file(pixels, 2, 16, before=png_chunk(b"eXIf", block.removeprefix(b"Exif\0\0")) + resolution)
    else:
        options = {"JPEG": {"quality": 97, "subsampling": 0}, "WEBP": {"lossless": True}, "PNG": {}}[kind]
        data = pillow_file(pixels, kind, exif=block, **options)
    photo = read(data)
    # What each value means, in the words of the EXIF standard: which side of the scene the first row and column show.
    expected = {
        1: lambda p: p,
        2: lambda p: p[:, ::-1],
        3: lambda p: p[::-1, ::-1],
        4: lambda p: p[::-1],
        5: lambda p: p.transpose(1, 0, 2),
        6: lambda p: np.rot90(p, -1),
        7: lambda p: p[::-1, ::-1].transpose(1, 0, 2),
        8: lambda p: np.rot90(p, 1),
    }[orientation](pixels)
    assert photo.orientation == orientation
    assert photo.pixels.shape == expected.shape
    assert abs(photo.pixels.astype(int) - expected).max() <= (8 if kind == "JPEG" else 0)
    if kind == "PNG of 16 bits":
        assert photo.dpi == pytest.approx((300, 100) if orientation < 5 else (100, 300), abs=0.1)


@pytest.mark.parametrize("format", ["JPEG", "PNG", "TIFF", "WEBP"])
def test_colour_profile_is_kept(format: str) -> None:
    photo = read(pillow_file(smooth(3), format, icc_profile=SRGB))
    assert photo.icc_profile == SRGB
    assert photo.colour_space == "sRGB built-in"


def test_large_colour_profile_spans_several_jpeg_segments() -> None:
    profile = icc_profile(b"RGB ", "Scanner", {b"junk": noise(1, size=(400, 500)).tobytes()})
    photo = read(pillow_file(smooth(3), "JPEG", icc_profile=profile))
    assert photo.icc_profile == profile
    assert photo.colour_space == "Scanner"


def test_colour_profile_of_jpeg2000_is_kept() -> None:
    profile = icc_profile(b"RGB ", "Scanner")
    data = jp2_file(noise(3, size=LARGE))
    start = data.index(b"colr") - 4
    end = start + struct.unpack_from(">I", data, start)[0]
    box = struct.pack(">I", 11 + len(profile)) + b"colr\x02\0\0" + profile
    head = data.index(b"jp2h") - 4
    size = struct.unpack_from(">I", data, head)[0] + len(box) - (end - start)
    photo = read(data[:head] + struct.pack(">I", size) + data[head + 4 : start] + box + data[end:])
    assert photo.icc_profile == profile


def test_grey_keeps_a_grey_profile_and_drops_one_of_rgb() -> None:
    grey = icc_profile(b"GRAY", "Dot gain")
    kept = read(pillow_file(smooth(1), "JPEG", icc_profile=grey))
    assert (kept.icc_profile, kept.colour_space) == (grey, "Dot gain")
    dropped = read(pillow_file(smooth(1), "JPEG", icc_profile=SRGB))
    assert (dropped.icc_profile, dropped.colour_space) == (None, "grey (assumed)")
    assert any("profile is for RGB" in line for line in dropped.warnings)
    broken = read(pillow_file(smooth(3), "PNG", icc_profile=SRGB[:200]))
    assert broken.icc_profile is None
    assert any("profile is damaged" in line for line in broken.warnings)


@pytest.mark.parametrize("format", ["JPEG", "TIFF"])
def test_cmyk_goes_through_its_profile(format: str) -> None:
    ink = np.zeros((16, 16, 4), np.uint8)
    ink[..., 0] = 255  # cyan, which the test profile does not show
    ink[:, 8:, 3] = 255
    image = Image.fromarray(ink, "CMYK")
    with_profile = read(pillow_file(image, format, icc_profile=cmyk_profile()))
    assert with_profile.source_mode == "CMYK"
    assert with_profile.icc_profile is None
    assert with_profile.colour_space == "sRGB (converted)"
    assert with_profile.pixels[:, :8].min() >= 250
    assert with_profile.pixels[:, 8:].max() <= 5
    assert any("through its profile (Test ink)" in line for line in with_profile.warnings)
    without = read(pillow_file(image, format))
    assert without.pixels[0, 0].tolist() == pytest.approx([0, 255, 255], abs=3)
    assert any("approximate" in line for line in without.warnings)


def test_png_metadata() -> None:
    pixels = noise(3)
    photo = read(
        png_file(pixels, 2, 8, before=png_chunk(b"sRGB", b"\0") + png_chunk(b"gAMA", struct.pack(">I", 45455)))
    )
    assert (photo.colour_space, photo.warnings) == ("sRGB", ())
    linear = read(png_file(pixels, 2, 8, before=png_chunk(b"gAMA", struct.pack(">I", 100000))))
    np.testing.assert_array_equal(linear.pixels, pixels)
    assert any("gamma 1.0" in line for line in linear.warnings)


@pytest.mark.parametrize("format", ["PNG", "WEBP"])
def test_animation_gives_its_first_frame(format: str) -> None:
    frames = [Image.fromarray(noise(3, seed=seed)) for seed in range(3)]
    photo = read(pillow_file(frames[0], format, save_all=True, append_images=frames[1:], lossless=True, duration=50))
    np.testing.assert_array_equal(photo.pixels, np.asarray(frames[0]))
    assert photo.frames == 3
    assert any("animation of 3 frames" in line for line in photo.warnings)


def test_format_is_told_by_content_and_reasons_name_the_file() -> None:
    assert read(pillow_file(smooth(3), "PNG"), "scan.jpg").format == "PNG"
    assert PHOTO_SUFFIXES[".jpe"] == "JPEG"
    with pytest.raises(Exception, match=r"^not_an_image: 1924/на даче\.jpg: .*remove it or convert it$"):
        read(b"no picture at all", "1924/на даче.jpg")  # other folders may hold one of that name


def test_pixel_limit_counts_the_header() -> None:
    data = pillow_file(smooth(3), "PNG")
    assert code_of(data, max_pixels=48 * 64) == ""
    assert code_of(data, max_pixels=48 * 64 - 1) == "too_many_pixels"
    assert code_of(data, max_bytes=len(data)) == ""
    assert code_of(data, max_bytes=len(data) - 1) == "too_many_bytes"
