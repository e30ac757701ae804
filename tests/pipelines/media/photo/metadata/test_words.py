"""Metadata in words: what people read of EXIF, IPTC, XMP and texts, and nothing that breaks on the way."""

from __future__ import annotations

import io

from PIL import Image
from PIL.PngImagePlugin import PngInfo
from PIL.TiffImagePlugin import IFDRational

from pipelines.media.photo.metadata.blocks import NOTHING, Metadata
from pipelines.media.photo.metadata.read import read_metadata
from pipelines.media.photo.metadata.words import in_words

XMP = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    b'<rdf:Description rdf:about="" xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:xmp="http://ns.adobe.com/xap/1.0/" '
    b'xmp:Rating="4"><dc:title><rdf:Alt><rdf:li xml:lang="x-default">On the steps</rdf:li></rdf:Alt></dc:title>'
    b"</rdf:Description></rdf:RDF></x:xmpmeta>"
)


def test_each_block_is_told_by_name() -> None:
    exif = Image.Exif()
    exif[271], exif[282] = "Leica", 300.0
    exif.get_ifd(0x8769)[37386] = IFDRational(50, 1)
    file = io.BytesIO()
    Image.new("RGB", (8, 8)).save(file, "JPEG", exif=exif, xmp=XMP, comment=b"box 7")
    found = in_words(read_metadata(file.getvalue(), "JPEG"))
    assert found["EXIF: Make"] == "Leica"
    assert found["EXIF: XResolution"] == "300"
    assert found["EXIF: FocalLength"] == "50"
    assert found["XMP: dc:title"] == "On the steps"
    assert found["XMP: xmp:Rating"] == "4"
    assert found["Text: Comment"] == "box 7"


def test_long_texts_are_cut_and_nothing_gives_nothing() -> None:
    info, file = PngInfo(), io.BytesIO()
    info.add_text("Author", "x" * 2000)
    Image.new("L", (4, 4)).save(file, "PNG", pnginfo=info)
    assert in_words(read_metadata(file.getvalue(), "PNG")) == {"Text: Author": "x" * 500 + "…"}
    assert in_words(NOTHING) == {}


def test_what_cannot_be_read_is_counted() -> None:
    found = in_words(Metadata(exif=b"II*\0 broken", xmp=b"<!DOCTYPE x>"))
    assert found == {"EXIF": "11 bytes that cannot be read", "XMP": "12 bytes that cannot be read"}
