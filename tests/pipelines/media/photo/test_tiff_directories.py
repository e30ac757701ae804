"""What a TIFF file holds: pages, and what is none; each page by itself, whatever its neighbours are."""

from __future__ import annotations

import io
import struct
from typing import Any

import numpy as np
import pytest
import tifffile
from photo_files import flat, noise, tiff_file
from tiff_pages import tiff_pages

from pipelines.errors import ItemError
from pipelines.media.limits import DecodeLimits
from pipelines.media.photo.decode import decode, decode_page
from pipelines.media.photo.tiff_directories import isolate, list_pages

LIMITS = DecodeLimits()
GREY, COLOUR, DEEP = noise(1, size=(30, 20)), noise(3, size=(24, 40)), noise(4, np.uint16, size=(17, 33))


@pytest.mark.parametrize("options", [{}, {"bigtiff": True}, {"byteorder": ">"}, {"byteorder": ">", "bigtiff": True}])
def test_each_page_is_decoded_by_itself(options: dict[str, Any]) -> None:
    pages = [GREY, COLOUR, DEEP]
    lossy = {} if options.get("bigtiff") else {"compression": "jpeg"}  # Pillow reads no big-endian BigTIFF
    data = tiff_pages([(GREY, {}), (COLOUR, lossy), (DEEP, {"tile": (16, 16)})], **options)
    found = list_pages(data)
    assert [(page.width, page.height) for page in found.pages] == [(p.shape[1], p.shape[0]) for p in pages]
    assert (found.infrared, found.notes, found.fault) == ({}, (), None)
    for number in (0, 2):
        photo = decode_page(data, "album.tif", LIMITS, found, number)
        np.testing.assert_array_equal(photo.pixels, pages[number])
        assert (photo.frames, photo.warnings) == (3, ())
    middle = decode_page(data, "album.tif", LIMITS, found, 1)
    assert np.abs(middle.pixels.astype(int) - tifffile.imread(io.BytesIO(data), key=1)).max() <= 2
    assert decode(data, "album.tif", LIMITS).warnings == ("3 pages: only the first is read",)


def test_a_page_is_a_file_for_other_readers_too() -> None:
    data = tiff_pages([(GREY, {}), (COLOUR, {}), (DEEP, {})])
    for place, pixels in zip(list_pages(data).pages, (GREY, COLOUR, DEEP), strict=True):
        with tifffile.TiffFile(io.BytesIO(isolate(data, place))) as file:
            assert len(file.pages) == 1
            np.testing.assert_array_equal(file.pages[0].asarray(), flat(pixels))
    single = tiff_pages([(GREY, {})])
    assert isolate(single, list_pages(single).pages[0]) is single


def test_what_is_no_page_is_named() -> None:
    small = np.ascontiguousarray(COLOUR[::2, ::2])
    data = tiff_pages(
        [
            (COLOUR, {"subifds": 2}),
            (small, {"subfiletype": 1}),
            (small, {"subfiletype": 1}),
            (small, {"subfiletype": 1}),
            (GREY, {}),
            (noise(1, size=(30, 20)) > 128, {"subfiletype": 4}),
        ]
    )
    found = list_pages(data)
    assert [(page.width, page.height) for page in found.pages] == [(40, 24), (20, 30)]
    assert found.notes == (
        "1 image in the file marked as a smaller copy of a page: no page, and left out",
        "1 image in the file marked as a mask of a page: no page, and left out",
        "2 images in the file below a page (SubIFDs, as pyramids and previews have): no page, and left out",
    )
    np.testing.assert_array_equal(decode_page(data, "a.tif", LIMITS, found, 1).pixels, GREY)


def test_a_preview_before_the_page_is_passed_over() -> None:
    data = tiff_pages([(np.ascontiguousarray(COLOUR[::2, ::2]), {"subfiletype": 1}), (COLOUR, {})])
    found = list_pages(data)
    assert len(found.pages) == 1
    np.testing.assert_array_equal(decode_page(data, "a.tif", LIMITS, found, 0).pixels, COLOUR)


SILVERFAST = {"software": "SilverFast 9.2.1"}


@pytest.mark.parametrize(
    "says",
    [
        ({}, {"subfiletype": 2}),  # made that of a mask below
        (SILVERFAST, {}),
        ({}, {"description": "Infrared"}),
        ({}, {"extratags": [(285, "s", 0, "IR", True)]}),
    ],
)
def test_an_infrared_image_belongs_to_its_page(says: tuple[dict[str, Any], dict[str, Any]]) -> None:
    pixels, infrared = noise(3, np.uint16), noise(1, np.uint16, seed=1)
    data = tiff_pages([(pixels, says[0]), (infrared, says[1]), (GREY, {})])
    data = data.replace(struct.pack("<HHII", 254, 4, 1, 2), struct.pack("<HHII", 254, 4, 1, 4))
    found = list_pages(data)
    assert (len(found.pages), list(found.infrared)) == (2, [0])
    photo = decode_page(data, "a.tif", LIMITS, found, 0)
    assert photo.extra is not None
    np.testing.assert_array_equal(photo.pixels, pixels)
    np.testing.assert_array_equal(photo.extra, infrared)
    assert decode_page(data, "a.tif", LIMITS, found, 1).extra is None


def test_a_grey_page_of_a_document_is_no_infrared_channel() -> None:
    found = list_pages(tiff_pages([(COLOUR, {}), (noise(1, size=(24, 40)), {})]))
    assert (len(found.pages), found.infrared) == (2, {})


def test_infrared_of_another_depth_is_brought_to_that_of_its_page() -> None:
    pixels, infrared = noise(3), noise(1, np.uint16, seed=1)
    data = tiff_pages([(pixels, SILVERFAST), (infrared, {})])
    photo = decode_page(data, "a.tif", LIMITS, list_pages(data), 0)
    np.testing.assert_array_equal(photo.extra, infrared >> 8)
    assert photo.warnings == ("the infrared channel was changed to the 8 bits of its page",)


def test_a_broken_page_is_named() -> None:
    data = bytearray(tiff_pages([(GREY, {}), (COLOUR, {"compression": "deflate"}), (DEEP, {})]))
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        start, count = file.pages[1].dataoffsets[0], file.pages[1].databytecounts[0]
    data[start : start + count] = bytes(count)
    found = list_pages(bytes(data))
    with pytest.raises(ItemError, match=r"^corrupt: scans/album\.tif, page 2 of 3: "):
        decode_page(bytes(data), "scans/album.tif", LIMITS, found, 1)
    np.testing.assert_array_equal(decode_page(bytes(data), "album.tif", LIMITS, found, 2).pixels, DEEP)


def test_a_list_of_pages_that_breaks_off_is_told() -> None:
    data = bytearray(tiff_pages([(GREY, {}), (COLOUR, {}), (DEEP, {})]))
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        last = file.pages[1].offset
    pointer = last + 2 + 12 * struct.unpack_from("<H", data, last)[0]
    struct.pack_into("<I", data, pointer, len(data) + 1000)
    found = list_pages(bytes(data))
    assert (len(found.pages), found.fault) == (2, "the list of pages is broken after page 2")


def test_too_many_pages_are_refused() -> None:
    data = tiff_pages([(GREY, {})] * 4)
    with pytest.raises(ItemError, match="4 pages or frames are more than the limit of 3") as refused:
        decode_page(data, "a.tif", DecodeLimits(max_frames=3), list_pages(data), 0)
    assert refused.value.code == "too_many_frames"


def test_directories_with_tables_that_overlap_are_listed_in_time() -> None:
    page = bytearray(tiff_file(GREY[..., 0]))
    start = struct.unpack_from("<I", page, 4)[0]
    pointer = start + 2 + 12 * struct.unpack_from("<H", page, start)[0]
    struct.pack_into("<I", page, pointer, len(page))
    pages = np.zeros(100_000, dtype=[("tags", "<u2"), ("next", "<u4")])
    pages["next"] = len(page) + 6 * np.arange(1, len(pages) + 1)
    pages["next"][-1] = 0
    assert len(list_pages(bytes(page) + pages.tobytes()).pages) == 100_001
