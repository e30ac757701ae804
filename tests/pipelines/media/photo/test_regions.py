"""Rectangles of giant TIFF photographs: the same pixels as of the photograph decoded whole, and little of the file read."""

from __future__ import annotations

import io
from itertools import product
from typing import Any, cast

import numpy as np
import pytest
import tifffile
from photo_files import icc_profile, noise

from pipelines.errors import ItemError
from pipelines.media.limits import DecodeLimits
from pipelines.media.photo import regions
from pipelines.media.photo.decode import decode, decode_page
from pipelines.media.photo.file_bytes import FileBytes, tiff_pixels
from pipelines.media.photo.regions import RegionPhoto, open_regions
from pipelines.media.photo.tiff_directories import list_pages

SIZE = (150, 211)
LAYOUTS: dict[str, dict[str, Any]] = {
    "one strip": {},
    "strips": {"rowsperstrip": 7},
    "high strips": {"rowsperstrip": 100},
    "tiles": {"tile": (32, 48)},
    "packed tiles": {"tile": (16, 16), "compression": "zlib", "predictor": 2},
    "packed strips": {"rowsperstrip": 10, "compression": "lzw"},
    "wide offsets": {"tile": (64, 64), "bigtiff": True, "byteorder": ">"},
}
BOXES = ((0, 150, 0, 211), (10, 60, 20, 100), (140, 150, 140, 150), (0, 1, 0, 1), (33, 34, 0, 150))


class Watched(io.BytesIO):
    """A file that counts the bytes read of it."""

    count = 0

    def read(self, size: int | None = -1) -> bytes:
        data = super().read(size)
        self.count += len(data)
        return data


def tiff(pixels: np.ndarray, *, planar: bool = False, orientation: int = 1, **options: Any) -> bytes:
    channels = pixels.shape[2]
    stored = pixels[..., 0] if channels == 1 else np.moveaxis(pixels, 2, 0) if planar else pixels
    file = io.BytesIO()
    values: dict[str, Any] = {
        "photometric": "rgb" if channels >= 3 else "minisblack",
        "planarconfig": None if channels == 1 else "separate" if planar else "contig",
        "extrasamples": ["unassalpha"] if channels in (2, 4) else None,
        "extratags": [(274, 3, 1, orientation, True)],
        "metadata": None,
        "resolution": (600, 300),
    }
    tifffile.imwrite(file, stored, **(values | options))
    return file.getvalue()


def regions_of(file: io.BytesIO, name: str, limits: DecodeLimits) -> RegionPhoto | str:
    data = FileBytes(file)
    return open_regions(data, list_pages(cast(bytes, data)), name, limits)


def opened(data: bytes) -> RegionPhoto:
    found = regions_of(io.BytesIO(data), "a.tif", DecodeLimits())
    assert isinstance(found, RegionPhoto), found
    return found


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(("channels", "dtype"), list(product((1, 2, 3, 4), (np.uint8, np.uint16))))
def test_rectangles_are_those_of_the_whole(channels: int, dtype: type, layout: str) -> None:
    pixels = noise(channels, dtype, size=SIZE)
    profile = icc_profile(b"RGB " if channels >= 3 else b"GRAY", "Scanner")
    for planar, orientation in ((False, 1), (channels > 1, 1), (False, 6)):
        data = tiff(pixels, planar=planar, orientation=orientation, iccprofile=profile, **LAYOUTS[layout])
        whole, photo = decode(data, "a.tif", DecodeLimits()), opened(data)
        assert (photo.shape, photo.dtype) == (whole.pixels.shape, whole.pixels.dtype)
        for top, bottom, left, right in BOXES:
            np.testing.assert_array_equal(photo[top:bottom, left:right], whole.pixels[top:bottom, left:right])
        known = {name: value for name, value in vars(whole).items() if name != "pixels"}
        assert {name: getattr(photo.facts, name) for name in known} == known


@pytest.mark.parametrize("orientation", range(1, 9))
def test_rectangles_are_upright(orientation: int) -> None:
    data = tiff(noise(3, size=SIZE), orientation=orientation, tile=(32, 16))
    whole, photo = decode(data, "a.tif", DecodeLimits()).pixels, opened(data)
    for top, bottom, left, right in BOXES[1:]:
        np.testing.assert_array_equal(photo[top:bottom, left:right], whole[top:bottom, left:right])


def test_only_what_is_asked_for_is_read_and_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = noise(3, size=(1024, 1024))
    file = Watched(tiff(pixels, tile=(64, 64)))
    photo = regions_of(file, "a.tif", DecodeLimits())
    assert isinstance(photo, RegionPhoto)
    before = file.count
    assert before < 100_000
    np.testing.assert_array_equal(photo[100:110, 500:600], pixels[100:110, 500:600])
    assert file.count - before == 3 * 64 * 64 * 3
    before = file.count
    photo[64:128, 448:640]
    assert file.count == before  # still in memory
    monkeypatch.setattr(regions, "_CACHE_BYTES", 5 * 64 * 64 * 3)
    np.testing.assert_array_equal(photo[:, :], pixels)
    assert sum(block.nbytes for block in photo._kept.values()) <= 5 * 64 * 64 * 3
    np.testing.assert_array_equal(photo[:, :], pixels)


REASONS: dict[str, tuple[np.ndarray, dict[str, Any], str]] = {
    "float": (np.ones((64, 64, 3), np.float32), {}, "colours"),
    "wide": (np.ones((64, 64, 1), np.uint32), {}, "32 bits"),
    "inks": (np.ones((64, 64, 4), np.uint8), {"photometric": "separated", "extrasamples": None}, "colours"),
    "channels": (np.ones((64, 64, 5), np.uint8), {"extrasamples": [0, 0]}, "beyond colour"),
}


@pytest.mark.parametrize("name", REASONS)
def test_what_depends_on_the_whole_is_not_read_by_region(name: str) -> None:
    pixels, options, reason = REASONS[name]
    found = regions_of(io.BytesIO(tiff(pixels, **options)), "a.tif", DecodeLimits())
    assert isinstance(found, str)
    assert reason in found


def test_a_large_packed_strip_is_not_read_by_region(monkeypatch: pytest.MonkeyPatch) -> None:
    data = tiff(noise(3, size=SIZE), compression="zlib", rowsperstrip=100)
    monkeypatch.setattr(regions, "_CHUNK_BYTES", 100 * 211 * 3 - 1)
    assert "too large" in str(regions_of(io.BytesIO(data), "a.tif", DecodeLimits()))
    assert isinstance(
        regions_of(io.BytesIO(tiff(noise(3, size=SIZE))), "a.tif", DecodeLimits()), RegionPhoto
    )  # not packed


def test_what_packs_better_than_any_scan_is_not_read_by_region() -> None:
    data = tiff(np.zeros((3000, 3000, 3), np.uint8), compression="zlib", tile=(512, 512))
    assert "as no scan does" in str(regions_of(io.BytesIO(data), "a.tif", DecodeLimits()))


def test_the_first_page_is_read_behind_a_preview() -> None:
    pixels, file = noise(3, size=SIZE), io.BytesIO()
    with tifffile.TiffWriter(file) as writer:
        writer.write(noise(3, size=(20, 30)), photometric="rgb", subfiletype=1, metadata=None)
        writer.write(pixels, photometric="rgb", tile=(32, 32), metadata=None)
        writer.write(noise(3, size=(75, 100)), photometric="rgb", subfiletype=1, metadata=None)
    data = file.getvalue()
    photo = opened(data)
    whole = decode_page(data, "a.tif", DecodeLimits(), list_pages(data), 0)
    np.testing.assert_array_equal(photo[:, :], pixels)
    assert {**vars(photo.facts), "pixels": 0} == {**vars(whole), "pixels": 0}
    assert len(photo.pages.pages) == 1


def refusal(data: Any, **limits: int) -> ItemError:
    with pytest.raises(ItemError) as error:
        regions_of(io.BytesIO(data), "folder/a.tif", DecodeLimits(**limits))
    assert error.value.reason.startswith("folder/a.tif: ")
    return error.value


def test_limits_hold() -> None:
    data = tiff(noise(3, size=SIZE))
    assert refusal(data, max_pixels=150 * 211 - 1).code == "too_many_pixels"
    error = refusal(data, max_bytes=len(data) - 1)
    assert (error.code, "--max-giant-pixels" in error.reason) == ("too_many_bytes", True)


def test_a_small_file_does_not_stand_for_a_giant_one() -> None:
    data = bytearray(tiff(noise(1, size=(64, 64)), tile=(16, 16), compression="zlib"))
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        tag = file.pages[0].tags["TileOffsets"]
        first = tag.value[0]
    for number in range(1, 16):
        data[tag.valueoffset + 4 * number : tag.valueoffset + 4 * number + 4] = first.to_bytes(4, "little")
    error = refusal(bytes(data))
    assert (error.code, "overlap" in error.reason) == ("corrupt", True)


def test_a_file_that_ends_early_is_refused_and_one_that_shrinks_too() -> None:
    data = tiff(noise(3, size=SIZE), tile=(32, 32))
    assert refusal(data[:-5]).code == "truncated"
    file = io.BytesIO(data)
    photo = regions_of(file, "a.tif", DecodeLimits())
    assert isinstance(photo, RegionPhoto)
    file.truncate(len(data) - 500)
    with pytest.raises(ItemError) as error:
        photo[100:, :]
    assert error.value.code in ("corrupt", "truncated")


def test_a_store_that_fails_is_no_damaged_photograph() -> None:
    class Failing(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            raise OSError(5, "Input/output error")

    with pytest.raises(ItemError) as error:
        regions_of(Failing(b"II*\0" + bytes(100)), "a.tif", DecodeLimits())
    assert error.value.code == "unreadable"
    assert "cannot be read (Input/output error); check access" in error.value.reason


def test_the_size_of_any_file_can_be_asked_for() -> None:
    data = tiff(noise(3, size=SIZE))
    assert tiff_pixels(data) == 150 * 211
    assert [tiff_pixels(other) for other in (b"", b"\x89PNG\r\n", b"II*\0", data[:20])] == [0, 0, 0, 0]
