"""A picture is turned upright wherever its orientation stands, and its metadata says so no longer."""

from __future__ import annotations

import io

import numpy as np
import pytest
from photo_files import exif_block, pillow_file, png_chunk, read, smooth
from PIL import Image
from PIL.PngImagePlugin import PngInfo

PICTURE = smooth(3)
XMP = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description \
rdf:about="" xmlns:tiff="http://ns.adobe.com/tiff/1.0/" %s</rdf:Description></rdf:RDF></x:xmpmeta>'
)
ATTRIBUTE, ELEMENT = XMP % b'tiff:Orientation="6">', XMP % b"><tiff:Orientation>6</tiff:Orientation>"


def png(*texts: tuple[str, str], xmp: bytes = b"") -> bytes:
    info = PngInfo()
    for keyword, text in texts:
        info.add_text(keyword, text)
    if xmp:
        info.add_itxt("XML:com.adobe.xmp", xmp.decode())
    return pillow_file(PICTURE, "PNG", pnginfo=info)


def raw_profile() -> str:
    block = exif_block(6)
    block = block if block.startswith(b"Exif") else b"Exif\0\0" + block
    return f"\nexif\n{len(block):8d}\n{block.hex()}\n"


@pytest.mark.parametrize(
    ("data", "place"),
    [
        (pillow_file(PICTURE, "JPEG", quality=100, subsampling=0, xmp=ATTRIBUTE), "XMP"),
        (png(xmp=ATTRIBUTE), "XMP"),
        (png(xmp=ELEMENT), "XMP"),
        (png(("exif:Orientation", "6")), "text exif:Orientation"),
        (png(("Raw profile type exif", raw_profile())), "EXIF"),
    ],
)
def test_orientation_is_honoured_where_it_stands(data: bytes, place: str) -> None:
    photo = read(data)
    assert (photo.orientation, photo.pixels.shape) == (6, (64, 48, 3))
    with Image.open(io.BytesIO(data)) as image:
        expected = np.rot90(np.asarray(image.convert("RGB")), -1)
    np.testing.assert_allclose(photo.pixels.astype(int), expected.astype(int), atol=3)
    assert f"turned upright as its {place} says" in photo.warnings
    assert "exif:Orientation" not in [text.keyword for text in photo.metadata.texts]


@pytest.mark.parametrize(
    "data",
    [
        pillow_file(PICTURE, "JPEG", xmp=ATTRIBUTE, exif=exif_block(1)),  # EXIF says that it is upright
        png(("exif:Orientation", "nine"), ("Title", "6")),
        png(xmp=XMP % b'tiff:Orientation="9">'),
    ],
)
def test_what_is_upright_or_says_nothing_is_left(data: bytes) -> None:
    photo = read(data)
    assert (photo.orientation, photo.pixels.shape) == (1, (48, 64, 3))
    assert png_chunk(b"tEXt", b"") not in data
