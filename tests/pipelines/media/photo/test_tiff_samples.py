"""TIFF samples of unusual width, predictor and colour space: read as tifffile and colour science read them, never as 8 bits."""

from __future__ import annotations

import io
import struct
import time
import zlib

import imagecodecs
import numpy as np
import pytest
import tifffile
from photo_files import cmyk_profile, code_of, flat, noise, read, smooth, tiff_file, with_tag
from PIL import Image

from pipelines.errors import ItemError

D50 = np.array([0.9642, 1.0, 0.8249])
# XYZ of D50 to linear sRGB, adapted by Bradford.
XYZ_TO_SRGB = np.array(
    [[3.1338561, -1.6168667, -0.4906146], [-0.9787684, 1.9161415, 0.0334540], [0.0719453, -0.2289914, 1.4052427]]
)


def packed_tiff(levels: np.ndarray, bits: int, *, planar: bool = False, reversed_bits: bool = False) -> bytes:
    """An uncompressed TIFF of HWC levels below 2**bits, whose samples cross the borders of bytes."""
    height, width, channels = levels.shape
    parts = [levels[..., plane : plane + 1] for plane in range(channels)] if planar else [levels]
    stored = [_pack(part.reshape(height, -1), bits) for part in parts]
    if reversed_bits:
        stored = [
            np.packbits(np.unpackbits(np.frombuffer(part, np.uint8)), bitorder="little").tobytes() for part in stored
        ]
    tags = {
        256: [width],
        257: [height],
        258: [bits] * channels,
        259: [1],
        262: [2 if channels == 3 else 1],
        266: [2 if reversed_bits else 1],
        273: [0] * len(parts),
        277: [channels],
        278: [height],
        279: [len(part) for part in stored],
        284: [2 if planar else 1],
    }
    extra = 8 + 2 + 12 * len(tags) + 4
    start = extra + 4 * sum(len(values) for values in tags.values() if len(values) > 1)
    tags[273] = [start + sum(len(part) for part in stored[:index]) for index in range(len(stored))]
    table, beyond = b"", b""
    for tag, values in tags.items():
        place = values[0] if len(values) == 1 else extra + len(beyond)
        beyond += struct.pack(f"<{len(values)}I", *values) if len(values) > 1 else b""
        table += struct.pack("<HHII", tag, 4, len(values), place)
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + table + bytes(4) + beyond + b"".join(stored)


def _pack(rows: np.ndarray, bits: int) -> bytes:
    columns = (rows[..., None] >> np.arange(bits - 1, -1, -1)) & 1
    return np.packbits(columns.reshape(len(rows), -1).astype(np.uint8), axis=1).tobytes()


@pytest.mark.parametrize("layout", ["", "planar", "reversed_bits"])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("bits", [1, 2, 3, 4, 6, 7, 9, 10, 12, 14, 15])
def test_samples_that_cross_bytes(bits: int, channels: int, layout: str) -> None:
    levels = noise(channels, np.uint16).astype(np.int64) >> (16 - bits)
    data = packed_tiff(levels, bits, **({layout: True} if layout else {}))
    if layout != "reversed_bits":  # which tifffile undoes for packed samples alone
        theirs = tifffile.imread(io.BytesIO(data))
        theirs = theirs.transpose(1, 2, 0) if layout == "planar" and channels == 3 else theirs
        np.testing.assert_array_equal(theirs.reshape(levels.shape), levels)
    photo = read(data)
    top = 255 if bits <= 8 else 65535
    np.testing.assert_array_equal(photo.pixels, np.floor(levels * top / (2**bits - 1) + 0.5))
    assert photo.bit_depth == (8 if bits <= 8 else 16)
    assert photo.warnings == ()


def test_24_bits_use_their_whole_range() -> None:
    levels = np.array([[[0], [2**23], [2**24 - 1]]])
    assert read(packed_tiff(levels, 24)).pixels.ravel().tolist() == [0, 32768, 65535]


@pytest.mark.parametrize("layout", ["strips", "tiles", "planes"])
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("compression", ["lzw", "deflate", "zstd", "lzma"])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_floating_point_predictor(dtype: type, compression: str, order: str, layout: str) -> None:
    pixels = (noise(3, np.uint16, size=(40, 50)) / 65535).astype(dtype)
    options: dict[str, object] = {"compression": compression, "predictor": 3, "byteorder": order, "photometric": "rgb"}
    options |= {"tile": (16, 32)} if layout == "tiles" else {"rowsperstrip": 7}
    samples = pixels
    if layout == "planes":
        samples, options["planarconfig"] = np.ascontiguousarray(pixels.transpose(2, 0, 1)), "separate"
    data = tiff_file(samples, **options)
    np.testing.assert_array_equal(tifffile.imread(io.BytesIO(data)), samples)
    np.testing.assert_array_equal(read(data).pixels, np.rint(pixels.astype(float) * 65535))


@pytest.mark.parametrize("predictor", [1, 2])
@pytest.mark.parametrize("compression", ["lzw", "deflate", "zstd", "lzma", "packbits"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_compressions(dtype: type, compression: str, predictor: int) -> None:
    pixels = noise(3, dtype, size=(40, 50))
    pixels[10:20] = 7
    if compression == "packbits" and predictor == 2:
        pytest.skip("no writer here does both")
    data = tiff_file(pixels, photometric="rgb", compression=compression, predictor=predictor, rowsperstrip=9)
    np.testing.assert_array_equal(read(data).pixels, pixels)


@pytest.mark.parametrize("layout", ["contig", "separate"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_cmyk_keeps_its_depth_through_its_profile(dtype: type, layout: str) -> None:
    """The profile's every colour is grey, as light as there is no black."""
    ink = noise(4, dtype)
    samples = np.ascontiguousarray(ink.transpose(2, 0, 1)) if layout == "separate" else ink
    data = tiff_file(samples, photometric="separated", planarconfig=layout, iccprofile=cmyk_profile())
    photo = read(data)
    assert photo.pixels.dtype == dtype
    top = np.iinfo(dtype).max
    lightness = (1 - ink[..., 3] / top) * 100
    y = np.where(lightness > 8, ((lightness + 16) / 116) ** 3, lightness / 903.3)
    grey = np.where(y > 0.0031308, 1.055 * y ** (1 / 2.4) - 0.055, 12.92 * y)
    assert abs(photo.pixels / top - grey[..., None]).max() < 0.01
    if dtype == np.uint16:  # nearly every pixel has a level of its own: 8 bits know 256
        assert len(np.unique(photo.pixels[..., 0])) > 600
    assert photo.icc_profile is None
    assert photo.warnings == ("CMYK was converted to sRGB through its profile (Test ink)",)


def test_cmyk_without_a_profile_is_converted_as_pillow_does() -> None:
    ink = noise(4)
    theirs = np.asarray(Image.fromarray(ink, "CMYK").convert("RGB"))
    np.testing.assert_array_equal(read(tiff_file(ink, photometric="separated")).pixels, theirs)
    deep = read(tiff_file(ink.astype(np.uint16) * 257, photometric="separated")).pixels
    assert abs(deep / 257 - theirs).max() <= 0.51


def lab_samples(lab: np.ndarray, kind: str) -> np.ndarray:
    """L 0..100, a and b -128..127 as TIFF keeps them."""
    light, colour = lab[..., :1], lab[..., 1:]
    if kind == "CIELab 8":
        return np.concatenate([light * 2.55, np.rint(colour) % 256], 2).round().astype(np.uint8)
    if kind == "ICCLab 8":
        return np.concatenate([light * 2.55, colour + 128], 2).round().astype(np.uint8)
    if kind == "CIELab 16":
        return np.concatenate([light * 655.35, np.rint(colour * 256) % 65536], 2).round().astype(np.uint16)
    return np.concatenate([light * 652.8, colour * 256 + 32768], 2).round().astype(np.uint16)


def srgb_of(lab: np.ndarray) -> np.ndarray:
    """sRGB 0..1 of L*a*b*, by the formulas of CIE 15 and IEC 61966-2-1."""
    y = (lab[..., 0] + 16) / 116
    f = np.stack([y + lab[..., 1] / 500, y, y - lab[..., 2] / 200], 2)
    xyz = np.where(f > 6 / 29, f**3, 3 * (6 / 29) ** 2 * (f - 4 / 29)) * D50
    linear = (xyz @ XYZ_TO_SRGB.T).clip(0, 1)
    return np.where(linear > 0.0031308, 1.055 * linear ** (1 / 2.4) - 0.055, 12.92 * linear)


@pytest.mark.parametrize("alpha", [False, True])
@pytest.mark.parametrize("kind", ["CIELab 8", "ICCLab 8", "CIELab 16", "ICCLab 16"])
def test_lab(kind: str, alpha: bool) -> None:
    rows, columns = np.mgrid[0:40, 0:50]
    lab = np.stack([20 + rows * 1.7, columns * 0.8 - 20, 30 - rows], 2).astype(float)
    expected = srgb_of(lab)
    inside = (expected > 0.02).all(axis=2) & (expected < 0.98).all(axis=2)
    assert inside.mean() > 0.5
    samples = lab_samples(lab, kind)
    top = np.iinfo(samples.dtype).max
    cover = (noise(1, samples.dtype, size=(40, 50)),) if alpha else ()
    photometric = "cielab" if kind.startswith("CIE") else "icclab"
    options = {"extrasamples": ["unassalpha"]} if alpha else {}
    photo = read(tiff_file(np.concatenate([samples, *cover], 2), photometric=photometric, **options))
    assert photo.pixels.dtype == samples.dtype
    error = abs(photo.pixels[..., :3] / top - expected)[inside]
    assert error.max() < (0.02 if top == 255 else 0.004)
    assert photo.warnings == ("Lab was converted to sRGB",)
    if alpha:
        np.testing.assert_array_equal(photo.pixels[..., 3:], cover[0])
    if top > 255:
        assert len(np.unique(photo.pixels[..., 1])) > 700


@pytest.mark.parametrize("tile", [None, (32, 32)])
@pytest.mark.parametrize("channels", [1, 3])
def test_jpeg_of_12_bits_inside_tiff(channels: int, tile: tuple[int, int] | None) -> None:
    pixels = smooth(channels, (64, 64)).astype(np.uint16) * 16
    options: dict[str, object] = {"photometric": "rgb" if channels == 3 else "minisblack", "bitspersample": 12}
    options |= {"tile": tile} if tile else {"rowsperstrip": 64}
    data = tiff_file(flat(pixels), compression="jpeg", compressionargs={"level": 98}, **options)
    theirs = tifffile.imread(io.BytesIO(data)).reshape(pixels.shape)
    np.testing.assert_array_equal(read(data).pixels, np.floor(theirs.astype(float) * 65535 / 4095 + 0.5))
    assert abs(theirs.astype(int) - pixels).max() < 60


def test_a_jpeg_tile_of_another_size_than_its_tile() -> None:
    """Its own header could ask for any memory."""
    small = tiff_file(
        flat(smooth(1, (64, 64)).astype(np.uint16)), compression="jpeg", bitspersample=12, rowsperstrip=64
    )
    frame = small.index(b"\xff\xc1")
    data = small[: frame + 5] + struct.pack(">HH", 60_000, 60_000) + small[frame + 9 :]
    with pytest.raises(ItemError, match="a strip or tile holds a JPEG of 60000 x 60000 pixels"):
        read(data)


@pytest.mark.parametrize(
    ("compression", "name"),
    [(50001, "WebP"), (32809, "ThunderScan"), (34887, "LERC"), (34712, "JPEG 2000"), (777, "777")],
)
def test_packings_that_are_not_read_are_named(compression: int, name: str) -> None:
    data = with_tag(tiff_file(noise(3), photometric="rgb"), 259, compression)
    with pytest.raises(ItemError, match=f"packed as .*{name}.*export it") as caught:
        read(data)
    assert caught.value.code == "unsupported"
    assert "copy it again" not in caught.value.reason


def test_channels_without_a_meaning_are_guessed_only_where_one_guess_is_left() -> None:
    grey, rgb, four = (
        tiff_file(flat(noise(channels)), photometric="minisblack", planarconfig="contig") for channels in (1, 3, 4)
    )
    assert read(_without_photometric(grey)).pixels.shape[2] == 1
    np.testing.assert_array_equal(read(_without_photometric(rgb)).pixels, noise(3))
    assert code_of(_without_photometric(four)) == "unsupported"


def _without_photometric(data: bytes) -> bytes:
    place = data.index(struct.pack("<HH", 262, 3))
    return data[:place] + struct.pack("<H", 263) + data[place + 2 :]


def test_strips_that_overlap_are_refused_at_once() -> None:
    """2,000 strips that all claim the same 16 MB: tifffile unpacks each of them."""
    blob = zlib.compress(bytes(2**24), 0)
    strips = 2_000
    data = tiff_file(np.zeros((strips, 16), np.uint8), compression="deflate", rowsperstrip=1)
    table = len(data)
    tables = struct.pack(f"<{strips}I", *[table + 8 * strips] * strips) + struct.pack(
        f"<{strips}I", *[len(blob)] * strips
    )
    data = with_tag(with_tag(data, 273, table, count=strips), 279, table + 4 * strips, count=strips) + tables + blob
    started = time.perf_counter()
    with pytest.raises(ItemError, match="overlap") as caught:
        read(data)
    assert caught.value.code == "corrupt"
    assert time.perf_counter() - started < 0.5


def test_more_strips_than_pixels_are_worth() -> None:
    rows = 300_000
    data = tiff_file(np.zeros((rows, 1), np.uint8), rowsperstrip=1)
    with pytest.raises(ItemError, match="300000 strips or tiles") as caught:
        read(data)
    assert caught.value.code == "unsupported"


def test_what_imagecodecs_refuses_libtiff_may_read() -> None:
    """Bytes behind the end of a PackBits strip, and a strip that unpacks to more than its rows."""
    pixels = np.repeat(noise(1)[..., 0] // 64, 8, axis=1)
    trailing = imagecodecs.packbits_encode(pixels.tobytes()) + b"\x05\x05\x05\x05\x05\x05"
    more = imagecodecs.zlib_encode(pixels.tobytes() + bytes(500))
    for compression, packed in ((32773, trailing), (8, more)):
        data = tiff_file(pixels, rowsperstrip=pixels.shape[0])
        data = with_tag(with_tag(with_tag(data, 259, compression), 273, len(data)), 279, len(packed)) + packed
        np.testing.assert_array_equal(read(data).pixels[..., 0], pixels)
