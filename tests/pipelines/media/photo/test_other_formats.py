"""AVIF, BMP, GIF and TGA are read exactly, behind limits; what is not read says so by name."""

from __future__ import annotations

import io
import struct

import imagecodecs
import numpy as np
import pytest
from photo_files import cmyk_profile, code_of, flat, icc_profile, noise, pillow_file, read, smooth
from PIL import Image, ImageCms

from pipelines.errors import ItemError
from pipelines.media.kinds import PHOTO_SUFFIXES


@pytest.mark.parametrize("format", ["BMP", "GIF", "TGA"])
@pytest.mark.parametrize("kind", ["1", "L", "P", "RGB", "RGBA"])
def test_old_formats_are_exact(format: str, kind: str) -> None:
    if (format, kind) == ("TGA", "1"):
        kind = "L"  # TGA knows no single bits
    image = Image.fromarray(flat(noise({"RGB": 3, "RGBA": 4}.get(kind, 1))))
    if kind == "P":
        image.putpalette(noise(3, size=(16, 16)).tobytes())
    image = image.convert(kind)
    if format == "GIF" and kind in ("RGB", "RGBA"):
        image = image.convert("RGB").quantize(200)
    data = pillow_file(image, format)
    theirs = Image.open(io.BytesIO(data))
    theirs = theirs.convert({"1": "L", "L": "L", "RGBA": "RGBA"}.get(theirs.mode, "RGB"))
    photo = read(data)
    assert photo.format == format
    np.testing.assert_array_equal(flat(photo.pixels), np.asarray(theirs))
    if format != "GIF":
        np.testing.assert_array_equal(flat(photo.pixels), np.asarray(image.convert(theirs.mode)))


@pytest.mark.parametrize("options", [{"compression": "tga_rle"}, {"orientation": 1}, {"orientation": -1}])
def test_tga_in_run_lengths_and_from_below(options: dict[str, object]) -> None:
    pixels = smooth(3) // 64
    data = pillow_file(pixels, "TGA", **options) + (
        b"" if "orientation" in options else bytes(8) + b"TRUEVISION-XFILE.\0"
    )
    np.testing.assert_array_equal(read(data).pixels, pixels)


def test_gif_with_transparency_and_frames() -> None:
    image = Image.fromarray(smooth(3)).quantize(16)
    frames = [image, image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)]
    data = pillow_file(frames[0], "GIF", save_all=True, append_images=frames[1:], transparency=3)
    photo = read(data)
    assert photo.frames == 2
    assert "animation of 2 frames: only the first is read" in photo.warnings
    np.testing.assert_array_equal(photo.pixels, np.asarray(Image.open(io.BytesIO(data)).convert("RGBA")))
    assert code_of(data, max_frames=1) == "too_many_frames"


@pytest.mark.parametrize("bits", [8, 10, 12])
@pytest.mark.parametrize("channels", [3, 4])
def test_avif_keeps_its_depth(channels: int, bits: int) -> None:
    levels = noise(channels, np.uint16, size=(40, 50)) >> (16 - bits)
    levels = levels.astype(np.uint8) if bits == 8 else levels
    data = imagecodecs.avif_encode(levels, level=100, bitspersample=bits)
    photo = read(data)
    top = 255 if bits == 8 else 65535
    np.testing.assert_array_equal(photo.pixels, np.floor(levels.astype(float) * top / (2**bits - 1) + 0.5))
    assert (photo.format, photo.bit_depth) == ("AVIF", 8 if bits == 8 else 16)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_avif_is_turned_as_it_says(orientation: int) -> None:
    """Pillow writes turn and mirror, and undoes them as it reads."""
    exif = Image.Exif()
    exif[274] = orientation
    data = pillow_file(smooth(3), "AVIF", exif=exif, quality=95)
    photo = read(data)
    image = Image.open(io.BytesIO(data))
    image.load()
    from PIL import ImageOps

    theirs = np.asarray(ImageOps.exif_transpose(image))
    assert photo.orientation == orientation
    assert photo.pixels.shape == theirs.shape
    assert abs(photo.pixels.astype(int) - theirs).max() <= 2


def test_avif_keeps_its_profile_and_its_limits() -> None:
    profile = icc_profile(b"RGB ")
    data = pillow_file(smooth(3), "AVIF", icc_profile=profile)
    assert read(data).icc_profile == profile
    assert code_of(data, max_pixels=48 * 64 - 1) == "too_many_pixels"
    size = data.index(b"ispe") + 8
    bomb = data[:size] + struct.pack(">II", 60_000, 60_000) + data[size + 8 :]
    assert code_of(bomb) == "too_many_pixels"
    assert code_of(data[: len(data) - 40]) == "truncated"
    data = pillow_file(smooth(3), "AVIF")
    curves = data.index(b"nclx") + 6
    bright = data[:curves] + struct.pack(">H", 16) + data[curves + 2 :]
    assert code_of(bright) == "unsupported"


@pytest.mark.parametrize("format", ["BMP", "GIF", "TGA"])
def test_cut_files_and_bombs(format: str) -> None:
    data = pillow_file(noise(1), format)
    assert code_of(data[: len(data) // 2]) in ("truncated", "not_an_image" if format == "TGA" else "")
    assert code_of(data, max_pixels=100) == "too_many_pixels"
    at = {"BMP": 18, "GIF": 6, "TGA": 12}[format]
    sides = struct.pack("<ii", 60_000, 60_000) if format == "BMP" else struct.pack("<HH", 60_000, 60_000)
    assert code_of(data[:at] + sides + data[at + len(sides) :]) in ("truncated", "too_many_pixels", "not_an_image")


@pytest.mark.parametrize(
    ("head", "says", "advice"),
    [
        (b"8BPS\0\1", "Photoshop", "flattened TIFF"),
        (b"%PDF-1.7\n", "PDF", "export its pages"),
        (b"\x80\x2a\x5f\xd7", "Cineon", "DPX"),
        (b"\0\0\0\x18ftypheic", "HEIC", "convert it to TIFF"),
        (b"\0\0\0\x18ftypcrx ", "camera raw", "develop it"),
        (b"FUJIFILMCCD-RAW ", "camera raw", "develop it"),
        (b"\xff\x0a", "JPEG XL", "convert it to TIFF"),
    ],
)
def test_what_is_not_read_is_named(head: bytes, says: str, advice: str) -> None:
    with pytest.raises(ItemError, match=f"{says}.*{advice}") as caught:
        read(head + bytes(60))
    assert caught.value.code == "unsupported"


def test_content_beats_the_name() -> None:
    pair = pillow_file(Image.fromarray(smooth(3)), "JPEG") * 2
    assert read(pair, "stereo.jps").format == read(pair, "stereo.mpo").format == "JPEG"
    assert read(pillow_file(smooth(3), "PNG"), "moving.apng").format == "PNG"
    assert {PHOTO_SUFFIXES[name] for name in (".jps", ".mpo", ".jfif")} == {"JPEG"}
    assert PHOTO_SUFFIXES[".apng"] == "PNG"


def test_damaged_profiles_are_left_out_with_a_warning() -> None:
    whole = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    assert read(pillow_file(smooth(3), "PNG", icc_profile=whole)).icc_profile == whole
    for damaged in (whole[:200] + b"\xff" * 100 + whole[300:], whole[:128] + b"\xff" * 4 + whole[132:], b"junk"):
        photo = read(pillow_file(smooth(3), "PNG", icc_profile=damaged))
        assert photo.icc_profile is None
        assert photo.warnings == (
            "the colour profile is damaged: it was left out, and the pixels are taken as sRGB (assumed)",
        )
        np.testing.assert_array_equal(photo.pixels, smooth(3))
    other = read(pillow_file(smooth(3), "PNG", icc_profile=cmyk_profile()))
    assert "is for CMYK, which the pixels are not" in other.warnings[0]


def test_packed_tga_without_a_footer_is_told_by_its_packets() -> None:
    # So games and old scanners write it: nothing but the packets says that it is TGA.
    data = pillow_file(smooth(3), "TGA", compression="tga_rle")
    bare = data[: data.rfind(b"TRUEVISION-XFILE") - 8]
    assert read(bare).format == "TGA"
    np.testing.assert_array_equal(read(bare).pixels, smooth(3))
    assert code_of(bare[:-9]) == "not_an_image"
    assert code_of(bare + bytes(5000)) == "not_an_image"


def test_a_bitmap_without_its_file_header_is_named() -> None:
    assert code_of(pillow_file(smooth(3), "BMP")[14:]) == "unsupported"


def test_an_avif_animation_never_reaches_the_decoder_that_dies_of_it() -> None:
    # imagecodecs 2026.3.6 ends the process on Pillow's star.avifs; whatever the name, its boxes tell.
    still = imagecodecs.avif_encode(smooth(3), level=90)
    assert code_of(still) == ""
    assert code_of(still + struct.pack(">I4s", 8, b"moov")) == "unsupported"
