"""Images written from bands of rows: the same files as from whole images."""

from __future__ import annotations

import io
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import tifffile
from photo_files import flat, icc_profile, noise, read
from PIL import Image

from pipelines.errors import ItemError
from pipelines.media.photo import encode as encode_module
from pipelines.media.photo import tiff_writer
from pipelines.media.photo.encode import encode, encode_bands, streams
from pipelines.media.photo.tiff_writer import strips_of

TYPES = pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
XMP = b'<?xpacket begin=""?><x:xmpmeta xmlns:x="adobe:ns:meta/"/><?xpacket end="w"?>'


def bands_of(pixels: np.ndarray, rows: int) -> Iterator[np.ndarray]:
    return (pixels[top : top + rows] for top in range(0, len(pixels), rows))


def in_bands(pixels: np.ndarray, rows: int, **options: object) -> bytes:
    file = io.BytesIO()
    encode_bands(file, bands_of(pixels, rows), pixels.shape, pixels.dtype, **options)
    return file.getvalue()


@TYPES
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("size", [(1, 1), (37, 5), (700, 901)])
def test_tiff_and_deep_png_are_the_same_bytes(channels: int, dtype: type, size: tuple[int, int]) -> None:
    pixels = noise(channels, dtype, size=size)
    profile = icc_profile(b"RGB " if channels >= 3 else b"GRAY", "Scanner")
    for format in ("TIFF", "PNG") if dtype == np.uint16 else ("TIFF",):
        assert streams(format, pixels.shape, pixels.dtype)
        for rows in (1, 33, 4000) if size[0] < 100 else (33, 4000):
            options = {"format": format, "dpi": (600, 300), "icc_profile": profile, "xmp": XMP}
            assert in_bands(pixels, rows, **options) == encode(pixels, **options)


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_png_too_large_for_pillow_has_the_same_pixels(channels: int, monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = noise(channels, size=(300, 200))
    assert not streams("PNG", pixels.shape, pixels.dtype)
    monkeypatch.setattr(encode_module, "_PILLOW_PNG_PIXELS", 59_999)
    assert streams("PNG", pixels.shape, pixels.dtype)
    photo = read(in_bands(pixels, 41, format="PNG", dpi=(300, 300), xmp=XMP))
    np.testing.assert_array_equal(photo.pixels, pixels)
    assert photo.dpi == pytest.approx((300, 300), abs=0.02)


def test_other_formats_do_not_stream() -> None:
    assert not any(streams(format, (9, 9, 3), np.dtype(np.uint8)) for format in ("JPEG", "WEBP", "PNG"))


def test_what_reaches_4_gib_gets_wide_offsets(monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = noise(3, size=(64, 64))
    monkeypatch.setattr(tiff_writer, "BIG_TIFF_BYTES", pixels.nbytes)
    data = in_bands(pixels, 10, format="TIFF")
    assert data[:4] == b"II+\0"
    assert data == encode(pixels, format="TIFF")
    np.testing.assert_array_equal(tifffile.imread(io.BytesIO(data)), flat(pixels))
    np.testing.assert_array_equal(read(data).pixels, pixels)


def test_bands_that_are_another_image_are_refused() -> None:
    pixels = noise(3, size=(50, 40))
    with pytest.raises(ValueError, match="bands of 49 rows"):
        list(strips_of([pixels[:49]], pixels.shape, 7))
    with pytest.raises(ValueError, match="a band of"):
        list(strips_of([pixels[:, :39]], pixels.shape, 7))
    with pytest.raises(ItemError) as error:
        in_bands(pixels[:, :, :2], 10, format="TIFF", icc_profile=icc_profile(b"RGB ", "Scanner"))
    assert error.value.code == "encode_error"


def test_what_makes_the_bands_may_fail(tmp_path: Path) -> None:
    def bands() -> Iterator[np.ndarray]:
        yield noise(3, size=(10, 40))
        raise ItemError("write_error", "a tile is missing")

    with (tmp_path / "a.tif").open("wb") as file, pytest.raises(ItemError, match="a tile is missing"):
        encode_bands(file, bands(), (50, 40, 3), np.dtype(np.uint8), format="TIFF")


@pytest.mark.parametrize("format", ["TIFF", "PNG"])
def test_what_makes_the_bands_comes_to_its_end(format: str) -> None:
    pixels, ended = noise(3, np.uint16, size=(50, 40)), []

    def bands() -> Iterator[np.ndarray]:
        yield from bands_of(pixels, 10)
        ended.append(True)

    encode_bands(io.BytesIO(), bands(), pixels.shape, pixels.dtype, format=format)
    assert ended == [True]


@pytest.mark.parametrize("format", ["TIFF", "PNG"])
def test_memory_is_that_of_a_few_bands(format: str, tmp_path: Path) -> None:
    band = np.full((64, 1000, 3), 500, np.uint16)
    peaks = []
    for count in (48, 96):
        tracemalloc.start()
        with (tmp_path / "a").open("w+b") as file:
            encode_bands(file, (band for _ in range(count)), (64 * count, 1000, 3), band.dtype, format=format)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < peaks[0] + 4 * 2**20, peaks  # of an image twice as high, by 18 MB


@TYPES
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize(("compression", "number"), [("none", 1), ("lzw", 5), ("deflate", 8), ("zstd", 50000)])
def test_each_compression_of_tiff_is_lossless_and_named(
    compression: str, number: int, channels: int, dtype: type
) -> None:
    pixels = noise(channels, dtype, size=(70, 91))
    options = {"format": "TIFF", "tiff_compression": compression, "dpi": (600, 300), "xmp": XMP}
    data = encode(pixels, **options)
    assert in_bands(pixels, 33, **options) == data
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        assert (file.pages[0].compression, file.pages[0].predictor) == (number, 1 if compression == "none" else 2)
        np.testing.assert_array_equal(file.asarray(), flat(pixels))


def test_without_a_choice_tiff_is_as_before() -> None:
    pixels = noise(3, size=(70, 91))
    assert encode(pixels, format="TIFF") == encode(pixels, format="TIFF", tiff_compression="deflate")


@pytest.mark.parametrize("format", ["PNG", "TIFF", "JPEG", "JPEG2000"])
@pytest.mark.parametrize("channels", [1, 2])
@TYPES
def test_grey_stays_grey(format: str, channels: int, dtype: type) -> None:
    """WebP alone has no grey; JPEG has no alpha."""
    data = encode(noise(channels, dtype, size=(20, 30)), format=format)
    modes = {"L", "I;16"} if channels == 1 or format == "JPEG" else {"LA", "I;16"}
    if (format, channels, dtype) == ("TIFF", 2, np.uint16):
        with tifffile.TiffFile(io.BytesIO(data)) as file:
            assert (file.pages[0].photometric.name, file.pages[0].samplesperpixel) == ("MINISBLACK", 2)
        return
    if format == "PNG":
        assert data[25] == {1: 0, 2: 4}[channels]  # colour types of grey, and of grey with alpha
        return
    with Image.open(io.BytesIO(data)) as image:
        assert image.mode in modes
