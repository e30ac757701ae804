"""TIFF layouts: every sample type, arrangement and compression comes out exactly, or says what was changed."""

from __future__ import annotations

import io
import struct

import numpy as np
import pytest
from photo_files import HEIGHT, WIDTH, code_of, flat, noise, pillow_file, read, tiff_file, with_tag
from PIL import Image, TiffImagePlugin

from pipelines.media.photo.tiff_pages import read_tiff

RESOLUTION = {"resolution": (300, 200), "resolutionunit": "INCH"}


def separate(pixels: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(pixels.transpose(2, 0, 1))


def photometric(channels: int) -> dict[str, object]:
    alpha = {"extrasamples": ["unassalpha"]} if channels in (2, 4) else {}
    return {"photometric": "rgb" if channels >= 3 else "minisblack", **alpha}


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("compression", [None, "deflate", "lzma"])
def test_strips(compression: str | None, channels: int, dtype: type, order: str) -> None:
    pixels = noise(channels, dtype)
    options = {"compression": compression, "byteorder": order, "rowsperstrip": 8, "planarconfig": "contig"}
    photo = read(tiff_file(flat(pixels), **options, **photometric(channels), **RESOLUTION))
    np.testing.assert_array_equal(photo.pixels, pixels)
    assert photo.pixels.dtype == dtype
    assert photo.pixels.dtype.isnative
    assert (photo.format, photo.dpi, photo.warnings) == ("TIFF", (300.0, 200.0), ())


@pytest.mark.parametrize("layout", ["tiles", "planes", "tiles of planes", "predictor", "BigTIFF"])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_layouts(dtype: type, channels: int, layout: str) -> None:
    pixels = noise(channels, dtype, size=(70, 45))
    samples, options = flat(pixels), {"compression": "deflate", "planarconfig": "contig"}
    if "planes" in layout and channels > 1:
        samples, options["planarconfig"] = separate(pixels), "separate"
    if "tiles" in layout:
        options["tile"] = (16, 32)
    options |= {"predictor": True} if layout == "predictor" else {}
    options |= {"bigtiff": True} if layout == "BigTIFF" else {}
    photo = read(tiff_file(samples, **options, **photometric(channels)))
    np.testing.assert_array_equal(photo.pixels, pixels)
    assert photo.warnings == ()


@pytest.mark.parametrize(("compression", "predictor"), [("tiff_lzw", 1), ("tiff_lzw", 2), ("packbits", 1), ("zstd", 2)])
def test_compressions_of_16_bits(compression: str, predictor: int) -> None:
    grey = noise(1, np.uint16, size=(70, 45))
    grey[10:40] = 1000  # runs, so that the table of codes is used too
    data = pillow_file(Image.fromarray(grey[..., 0]), "TIFF", compression=compression, tiffinfo={317: predictor})
    photo = read(data)
    np.testing.assert_array_equal(photo.pixels, grey)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_lzw_of_three_channels(dtype: type) -> None:
    import cv2

    pixels = noise(3, dtype)
    done, data = cv2.imencode(".tiff", pixels[..., ::-1], [cv2.IMWRITE_TIFF_COMPRESSION, 5])
    assert done
    np.testing.assert_array_equal(read(data.tobytes()).pixels, pixels)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("order", ["<", ">"])
def test_white_is_zero(order: str, dtype: type) -> None:
    pixels = noise(1, dtype)
    photo = read(tiff_file(flat(pixels), photometric="miniswhite", byteorder=order))
    np.testing.assert_array_equal(photo.pixels, np.iinfo(dtype).max - pixels)


@pytest.mark.parametrize("kind", ["grey", "RGB", "RGB of 16 bits", "palette", "1 bit", "deflate"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_applied_once(orientation: int, kind: str) -> None:
    pixels = noise(3 if "RGB" in kind else 1, np.uint16 if "16" in kind else np.uint8)
    options: dict[str, object] = {"photometric": "rgb" if "RGB" in kind else "minisblack"}
    expected = pixels
    if kind == "palette":
        ramp = np.arange(256, dtype=np.uint16)
        options = {"photometric": "palette", "colormap": np.stack([ramp * 257, (255 - ramp) * 257, ramp * 0])}
        expected = np.concatenate([pixels, 255 - pixels, pixels * 0], axis=2)
    if kind == "1 bit":
        expected = np.where(pixels > 127, 255, 0).astype(np.uint8)
        data = pillow_file(Image.fromarray(expected[..., 0]).convert("1"), "TIFF", tiffinfo={274: orientation})
    else:
        compression = "deflate" if kind == "deflate" else None
        extra = [(274, "H", 1, orientation, True)]
        data = tiff_file(flat(pixels), extratags=extra, compression=compression, **options)
    turned = {
        1: expected,
        2: expected[:, ::-1],
        3: expected[::-1, ::-1],
        4: expected[::-1],
        5: expected.transpose(1, 0, 2),
        6: np.rot90(expected, -1),
        7: expected[::-1, ::-1].transpose(1, 0, 2),
        8: np.rot90(expected, 1),
    }[orientation]
    photo = read(data)
    assert photo.orientation == orientation
    np.testing.assert_array_equal(photo.pixels, turned)


def test_one_bit_fax_page() -> None:
    page = noise(1) > 127
    data = pillow_file(Image.fromarray(page[..., 0]), "TIFF", compression="group4")
    np.testing.assert_array_equal(read(data).pixels, page * np.uint8(255))


def test_premultiplied_alpha_becomes_straight() -> None:
    pixels = noise(4, np.uint16)
    pixels[..., 3] |= 0x8000  # at least half visible: a darker product could not be undone exactly
    pixels[0, 0, 3] = 0
    share = pixels[..., 3:].astype(float) / 65535
    product = np.concatenate([np.rint(pixels[..., :3] * share), pixels[..., 3:]], axis=2).astype(np.uint16)
    photo = read(tiff_file(product, photometric="rgb", extrasamples=["assocalpha"]))
    visible = pixels[..., 3] > 0
    assert abs(photo.pixels[visible].astype(int) - pixels[visible]).max() <= 1
    assert photo.pixels[0, 0].tolist() == [0, 0, 0, 0]


@pytest.mark.parametrize("orientation", [1, 6])
@pytest.mark.parametrize(("extrasamples", "alpha"), [([0, 0], 0), (["unassalpha", 0], 1)])
def test_extra_channels_are_kept_beside_the_pixels(extrasamples: list[object], alpha: int, orientation: int) -> None:
    pixels = noise(5, np.uint16)
    turned = [(274, "H", 1, orientation, True)]
    photo = read(tiff_file(pixels, photometric="rgb", extrasamples=extrasamples, extratags=turned))
    expected = pixels if orientation == 1 else np.rot90(pixels, -1)
    assert photo.extra is not None
    np.testing.assert_array_equal(photo.pixels, expected[..., : 3 + alpha])
    np.testing.assert_array_equal(photo.extra, expected[..., 3 + alpha :])
    assert photo.warnings == ()


@pytest.mark.parametrize(("software", "channels", "extra"), [("VueScan 9 x64", 3, 1), ("GIMP", 4, 0)])
def test_a_fourth_channel_without_a_kind_is_infrared_of_a_film_scanner_and_alpha_of_others(
    software: str, channels: int, extra: int
) -> None:
    data = tiff_file(noise(4, np.uint16), photometric="rgb", extrasamples=[0], software=software)
    place = data.index(struct.pack("<HHI", 338, 3, 1))
    data = data[:place] + struct.pack("<H", 337) + data[place + 2 :]  # another tag, which says nothing of channels
    photo = read(data)
    assert photo.pixels.shape[2] == channels
    assert (0 if photo.extra is None else photo.extra.shape[2]) == extra


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_floating_point_between_0_and_1(dtype: type, channels: int) -> None:
    pixels = (noise(channels, np.uint16) / 65535).astype(dtype)
    photo = read(tiff_file(flat(pixels), **photometric(channels)))
    np.testing.assert_array_equal(photo.pixels, np.rint(pixels.astype(float) * 65535).astype(np.uint16))
    assert any("scaled from 0..1 to 16 bits" in line for line in photo.warnings)


def test_other_ranges_are_stretched_with_a_warning() -> None:
    wide = noise(1, np.uint32).astype(np.uint32)
    wide[0, 0], wide[0, 1] = 0, 2**32 - 1
    photo = read(tiff_file(flat(wide)))
    assert abs(photo.pixels - wide / (2**32 - 1) * 65535).max() <= 0.5
    assert any("scaled from 0..4.29497e+09 to 16 bits" in line for line in photo.warnings)
    signed = noise(1, np.uint16).astype(np.int16)
    assert read(tiff_file(flat(signed))).pixels.max() == 65535
    small = noise(1, np.uint16).astype(np.uint32)
    np.testing.assert_array_equal(read(tiff_file(flat(small))).pixels, small)
    holes = np.full((8, 8), 0.25, np.float32)
    holes[0, 0] = np.nan
    assert read(tiff_file(holes)).pixels[0, 0, 0] == 0


def test_twelve_bits_fill_the_range_of_16() -> None:
    levels = noise(1, np.uint16, size=(HEIGHT, 32))[..., 0] >> 4
    pairs = levels.reshape(HEIGHT, -1, 2).astype(np.uint32)
    packed = (
        (pairs[..., 0] << 12 | pairs[..., 1]).astype(">u4").view(np.uint8).reshape(HEIGHT, -1, 4)[..., 1:].tobytes()
    )
    tags = {
        256: 32,
        257: HEIGHT,
        258: 12,
        259: 1,
        262: 1,
        273: 8 + 2 + 9 * 12 + 4,
        277: 1,
        278: HEIGHT,
        279: len(packed),
    }
    table = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    photo = read(b"II*\0" + struct.pack("<IH", 8, len(tags)) + table + bytes(4) + packed)
    np.testing.assert_array_equal(photo.pixels[..., 0], np.rint(levels / 4095 * 65535).astype(np.uint16))


def test_lab_and_ycbcr_become_rgb() -> None:
    lab = np.zeros((8, 8, 3), np.uint8)
    lab[..., 0] = 255
    lab[:, 4:, 0] = 0  # a and b are signed: 0 is neutral
    photo = read(pillow_file(Image.frombytes("LAB", (8, 8), lab.tobytes()), "TIFF"))
    assert photo.pixels[0, 0].min() >= 253
    assert photo.pixels[0, 7].max() <= 2
    assert "Lab was converted to sRGB" in photo.warnings
    colours = np.full((16, 16, 3), (200, 100, 50), np.uint8)
    for compression in (None, "jpeg"):
        data = pillow_file(Image.fromarray(colours).convert("YCbCr"), "TIFF", compression=compression)
        assert abs(read(data).pixels.astype(int) - colours).max() <= 4


def test_first_of_several_pages() -> None:
    pages = [noise(3, np.uint16, seed=seed) for seed in range(3)]
    file = io.BytesIO()
    import tifffile

    with tifffile.TiffWriter(file) as writer:
        for page in pages:
            writer.write(page, photometric="rgb", metadata=None)
    photo = read(file.getvalue())
    np.testing.assert_array_equal(photo.pixels, pages[0])
    assert photo.frames == 3
    assert photo.warnings == ("3 pages: only the first is read",)


def test_a_circle_of_pages_ends() -> None:
    data = bytearray(tiff_file(flat(noise(1)), rowsperstrip=HEIGHT))
    start = struct.unpack_from("<I", data, 4)[0]
    count = struct.unpack_from("<H", data, start)[0]
    struct.pack_into("<I", data, start + 2 + 12 * count, start)
    photo = read(bytes(data))
    assert photo.frames == 1
    assert photo.warnings == ("the list of pages runs in a circle",)


@pytest.mark.parametrize(
    ("tag", "value", "says"),
    [(50706, b"\1\4\0\0", "DNG"), (254, 1, "preview"), (262, 32803, "colour filter array")],
)
def test_camera_raw_is_refused(tag: int, value: object, says: str) -> None:
    info = TiffImagePlugin.ImageFileDirectory_v2()
    info[tag] = value
    data = pillow_file(noise(3), "TIFF", tiffinfo=info)
    if tag == 262:  # Pillow writes its own: change it in the file
        place = data.index(struct.pack("<HHI", 262, 3, 1))
        data = data[: place + 8] + struct.pack("<H", 32803) + data[place + 10 :]
    assert code_of(data) == "unsupported"
    with pytest.raises(Exception, match=says):
        read(data)


def test_strips_that_were_never_written() -> None:
    data = tiff_file(flat(noise(1)), compression="deflate", rowsperstrip=HEIGHT)
    assert code_of(with_tag(data, 273, 0)) == "truncated"
    assert WIDTH


@pytest.mark.parametrize("compression", ["deflate", "lzw", "packbits"])
def test_a_strip_whose_length_was_left_at_0(compression: str) -> None:
    pixels = noise(1)
    data = tiff_file(flat(pixels), compression=compression, rowsperstrip=HEIGHT)
    np.testing.assert_array_equal(read(with_tag(data, 279, 0)).pixels, pixels)


def test_a_fax_page_whose_length_was_left_at_0() -> None:
    page = noise(1) > 127
    data = pillow_file(Image.fromarray(page[..., 0]), "TIFF", compression="group4")
    np.testing.assert_array_equal(read(with_tag(data, 279, 0)).pixels, page * np.uint8(255))


def test_tiles_that_lie_where_strips_are_named_are_read_as_tiles() -> None:
    # So libtiff's test picture quad-tile.tif has them: tile sizes beside StripOffsets.
    pixels = noise(3, size=(40, 50))
    data = bytearray(tiff_file(pixels, photometric="rgb", tile=(16, 16), compression="lzw"))
    for tag, older, kind in ((324, 273, 4), (325, 279, 3)):
        at = data.index(struct.pack("<HH", tag, kind))
        struct.pack_into("<H", data, at, older)
    assert read_tiff(bytes(data)).tiled
    np.testing.assert_array_equal(read(bytes(data)).pixels, pixels)
