"""The table of METADATA.md, each cell asked of an independent reader: source format x block x output format."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from metadata import exiftool, needs_exiftool
from metadata_files import EXIF, EXTENSIONS, IPTC, STALE, XMP, tagged_file
from photo_files import noise, read, tiff_file
from PIL import Image, ImageCms

from pipelines.media.photo.encode import encode
from pipelines.media.photo.metadata.embed import embed
from pipelines.media.photo.metadata.exif_block import Facts
from pipelines.media.photo.metadata.fit import Embedded, fit_metadata
from pipelines.media.xmp import Packet

pytestmark = needs_exiftool

SOURCES = ("JPEG", "PNG", "TIFF", "WEBP", "JPEG2000")
RESULTS = ("PNG", "TIFF", "JPEG", "WEBP", "JPEG2000")
STATEMENT: Packet = {
    "xmp:CreatorTool": "FaithArchive 1",
    "xmpMM:DocumentID": "urn:faitharchive:1",
    "xmpMM:DerivedFrom": {"stRef:documentID": "urn:sha256:2"},
    "xmpMM:History": [{"stEvt:action": "edited"}],
}
# IPTC-IIM as XMP says it, where a format has no room for it.
IN_XMP = {
    "IPTC:Caption-Abstract": "XMP-dc:Description",
    "IPTC:Keywords": "XMP-dc:Subject",
    "IPTC:By-line": "XMP-dc:Creator",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("metadata")


@cache
def source(folder: Path, format: str) -> tuple[bytes, dict[str, Any]]:
    """A file of a format with all blocks, and what exiftool finds in it."""
    path = folder / f"source.{EXTENSIONS[format]}"
    blocks = EXIF | XMP | (IPTC if format != "WEBP" else {})
    options = {"comment": b"from the first album"} if format == "JPEG" else {}
    data = tagged_file(path, format, [*blocks, *STALE], **options)
    return data, exiftool(path)


def restored(folder: Path, source_format: str, format: str) -> tuple[bytes, Embedded]:
    """The source as a result of twice its size in another format; JPEG 2000 as Pillow encodes it."""
    photo = read(source(folder, source_format)[0])
    pixels = photo.pixels.repeat(2, 0).repeat(2, 1)
    height, width = pixels.shape[:2]
    facts = Facts(width=width, height=height, dpi=(600, 600), scale=2, orientation=photo.orientation)
    blocks = fit_metadata(photo.metadata, format, facts, STATEMENT)
    if format == "JPEG2000":
        path = folder / "plain.jp2"
        Image.fromarray(pixels).save(path)
        return embed(path.read_bytes(), format, blocks), blocks
    return encode(pixels, format=format, dpi=(600, 600), metadata=blocks), blocks


@pytest.mark.parametrize("format", RESULTS)
@pytest.mark.parametrize("source_format", SOURCES)
def test_each_block_reaches_each_format(folder: Path, source_format: str, format: str) -> None:
    _, given = source(folder, source_format)
    data, blocks = restored(folder, source_format, format)
    path = folder / f"{source_format}.{EXTENSIONS[format]}"
    path.write_bytes(data)
    found = exiftool(path)
    for name in (*EXIF.values(), *filter(None, XMP.values())):
        assert found[name] == given[name], name
    for name in IPTC.values() if source_format != "WEBP" else ():
        held_as = IN_XMP.get(name, "") if format == "WEBP" else name
        if held_as:
            assert found[held_as] in (given[name], [given[name]]), name
    if source_format != "WEBP" and format == "WEBP":
        assert any("IPTC-IIM" in line and "XMP" in line for line in blocks.warnings)
        assert [note.block for note in blocks.aside] == ["IPTC-IIM"]
    if source_format == "JPEG":
        place = {"JPEG": "File:Comment", "PNG": "PNG:Comment"}.get(format, "XMP-exif:UserComment")
        assert found[place] == "from the first album"
    assert not [name for name in found if "Warning" in name or "Error" in name]
    assert restored(folder, source_format, format)[0] == data
    with Image.open(path) as image:
        image.load()


@pytest.mark.parametrize("format", RESULTS)
@pytest.mark.parametrize("source_format", SOURCES)
def test_nothing_is_stale(folder: Path, source_format: str, format: str) -> None:
    _, given = source(folder, source_format)
    data, _ = restored(folder, source_format, format)
    path = folder / f"fresh-{source_format}.{EXTENSIONS[format]}"
    path.write_bytes(data)
    found = exiftool(path)
    width, height = (128, 96) if source_format == "JPEG2000" else (96, 128)  # viewers of JPEG 2000 turn nothing
    assert given["IFD0:Orientation"] == "Rotate 90 CW"
    assert found.get("IFD0:Orientation", "Horizontal (normal)") == "Horizontal (normal)"
    assert found["XMP-tiff:Orientation"] == "Horizontal (normal)"
    assert (found["XMP-tiff:ImageWidth"], found["XMP-exif:ExifImageWidth"]) == (width, width)
    if format != "TIFF":
        assert (found["ExifIFD:ExifImageWidth"], found["ExifIFD:ExifImageHeight"]) == (width, height)
    assert (found["IFD0:XResolution"], found["IFD0:ResolutionUnit"]) == (600, "inches")
    assert "XMP-xmpMM:InstanceID" not in found
    assert found["XMP-xmpMM:OriginalDocumentID"] == "xmp.did:1"
    assert found["XMP-xmpMM:DocumentID"] == "urn:faitharchive:1"
    assert found["XMP-xmpMM:DerivedFrom"] == {"DocumentID": "urn:sha256:2"}
    assert [event["Action"] for event in found["XMP-xmpMM:History"]] == ["created", "edited"]


# Where an independent reader finds 600 pixels an inch; WebP keeps it in EXIF alone, JPEG 2000 nowhere.
RESOLUTION = {
    "PNG": ("PNG-pHYs:PixelsPerUnitX", 23622),  # a metre
    "TIFF": ("IFD0:XResolution", 600),
    "JPEG": ("JFIF:XResolution", 600),
}


@pytest.mark.parametrize("format", RESULTS)
def test_profile_and_resolution_lie_where_the_table_says(tmp_path: Path, format: str) -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    path = tmp_path / f"a.{EXTENSIONS[format]}"
    path.write_bytes(encode(noise(3), format=format, icc_profile=profile, dpi=(600, 600)))
    found = exiftool(path)
    assert found["ICC_Profile:ProfileDescription"] == "sRGB built-in"
    assert found["ICC-header:ColorSpaceData"].strip() == "RGB"
    if format in RESOLUTION:
        name, value = RESOLUTION[format]
        assert found[name] == value
    assert read(path.read_bytes()).icc_profile == profile


def test_thumbnails_are_dropped(folder: Path, tmp_path: Path) -> None:
    small = tmp_path / "thumbnail.jpg"
    Image.fromarray(noise(3)).save(small)
    path = tmp_path / "a.jpg"
    data = tagged_file(path, "JPEG", [*EXIF, f"-ThumbnailImage<={small}"])
    assert "IFD1:ThumbnailImage" in exiftool(path)
    photo = read(data)
    blocks = fit_metadata(photo.metadata, "JPEG", Facts(width=64, height=48, dpi=None), {})
    assert len(blocks.exif) < len(photo.metadata.exif) - small.stat().st_size + 10
    path.write_bytes(encode(photo.pixels, format="JPEG", metadata=blocks))
    found = exiftool(path)
    assert not [name for name in found if name.startswith("IFD1") or "Thumbnail" in name or "Warning" in name]
    assert found["ExifIFD:DateTimeOriginal"] == "1954:06:07 08:09:10"


def test_png_texts_go_where_they_fit(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    data = tagged_file(path, "PNG", ["-PNG:Title=Mühle", "-PNG:Author=Ærø", "-PNG:Disclaimer=none"])
    metadata = read(data).metadata
    assert {text.keyword for text in metadata.texts} == {"Title", "Author", "Disclaimer"}
    for format in ("PNG", "TIFF"):
        blocks = fit_metadata(metadata, format, Facts(width=34, height=21, dpi=None), {})
        result = tmp_path / f"b.{format.lower()}"
        result.write_bytes(encode(noise(3), format=format, metadata=blocks))
        found = exiftool(result)
        if format == "PNG":
            assert (found["PNG:Title"], found["PNG:Author"], found["PNG:Disclaimer"]) == ("Mühle", "Ærø", "none")
        else:
            assert (found["XMP-dc:Title"], found["XMP-dc:Creator"]) == ("Mühle", ["Ærø"])
            assert [note.block for note in blocks.aside] == ["the text 'Disclaimer'"]


def test_tags_of_big_and_little_tiff(tmp_path: Path) -> None:
    """BigTIFF, both byte orders: the tags become EXIF, and EXIF becomes tags."""
    for number, options in enumerate(({}, {"byteorder": ">"}, {"bigtiff": True}, {"bigtiff": True, "byteorder": ">"})):
        path = tmp_path / f"{number}.tif"
        path.write_bytes(tiff_file(noise(3, np.uint16), photometric="rgb", **options))
        tags = [
            (270, 2, 0, "Die Mühle", True),
            (315, 2, 0, "Ærø", True),
            (285, 2, 0, "page 7", True),
            (65000, 3, 1, 7, True),
        ]
        texts = [
            (tag, kind, count, value.encode() if isinstance(value, str) else value, once)
            for tag, kind, count, value, once in tags
        ]
        path.write_bytes(tiff_file(noise(3, np.uint16), photometric="rgb", extratags=texts, **options))
        photo = read(path.read_bytes())
        assert photo.metadata.names == ["EXIF"]
        assert [note.block for note in photo.metadata.aside] == ["TIFF tag 65000"]
        for format in ("TIFF", "PNG"):
            blocks = fit_metadata(photo.metadata, format, Facts(width=34, height=21, dpi=None), {})
            result = tmp_path / f"{number}-b.{EXTENSIONS[format]}"
            result.write_bytes(encode(photo.pixels, format=format, metadata=blocks))
            found = exiftool(result)
            assert [found[f"IFD0:{name}"] for name in ("ImageDescription", "Artist", "PageName")] == [
                "Die Mühle",
                "Ærø",
                "page 7",
            ]
            assert not [name for name in found if "Warning" in name]
            np.testing.assert_array_equal(read(result.read_bytes()).pixels, photo.pixels)
