"""IPTC, Photoshop's resources, text chunks: sound ones are carried byte for byte, broken ones named, bombs bounded."""

from __future__ import annotations

import hashlib
import struct
import time
import zlib

import numpy as np
import pytest
from metadata_files import jpeg_segment, jpeg_with, rdf
from photo_files import noise, pillow_file, png_chunk, png_file, read, smooth

from pipelines.media.photo.encode import encode, encode_bands, streams
from pipelines.media.photo.metadata.blocks import MAX_TEXTS, NOTHING, Aside, Metadata, Text
from pipelines.media.photo.metadata.exif_block import Facts
from pipelines.media.photo.metadata.fit import fit_metadata
from pipelines.media.photo.metadata.iptc import check_iptc, iptc_properties
from pipelines.media.photo.metadata.photoshop import join_resources, split_resources, with_iptc

PHOTOSHOP = b"Photoshop 3.0\0"


def data_set(number: int, data: bytes, record: int = 2) -> bytes:
    return struct.pack(">BBBH", 0x1C, record, number, len(data)) + data


def resource(number: int, data: bytes, name: bytes = b"\0\0") -> bytes:
    return b"8BIM" + struct.pack(">H", number) + name + struct.pack(">I", len(data)) + data + bytes(len(data) % 2)


def png_of(*chunks: bytes) -> bytes:
    return png_file(noise(3), 2, 8, before=b"".join(chunks))


IIM = data_set(120, "Mühle".encode()) + data_set(25, b"mill") + data_set(25, b"brook") + data_set(55, b"19540600")


def test_data_sets_say_the_same_in_xmp() -> None:
    found = iptc_properties(IIM + data_set(55, b"19540607") + data_set(60, b"080910+0100") + data_set(200, b"unknown"))
    assert found == {
        "dc:description": ("alt", ["Mühle"]),
        "dc:subject": ("bag", ["mill", "brook"]),
        "photoshop:DateCreated": "1954-06",
    }
    whole = data_set(55, b"19540607") + data_set(60, b"080910+0100")
    assert iptc_properties(whole) == {"photoshop:DateCreated": "1954-06-07T08:09:10+01:00"}
    assert iptc_properties(data_set(90, b"K\xf6ln")) == {"photoshop:City": "Köln"}
    assert iptc_properties(data_set(90, b"\x1b%G", 1) + data_set(90, b"K\xf6ln")) == {"photoshop:City": "K\ufffdln"}


@pytest.mark.parametrize(
    "rest",
    [
        b"\x1c\x02",
        data_set(80, b"x" * 40)[:-3],
        b"\x1c\x02\x05\xff\xff",
        b"garbage",
        b"\x1c\x02\x05\x80\x04\xff\xff\xff\xff",
    ],
)
def test_a_broken_end_is_taken_off(rest: bytes) -> None:
    assert check_iptc(IIM + rest) == (IIM, rest)
    assert check_iptc(IIM + bytes(9)) == (IIM, b"")
    photo = read(jpeg_with(jpeg_segment(0xED, PHOTOSHOP + resource(1028, IIM + rest))))
    assert photo.metadata.iptc == IIM
    assert [note.block for note in photo.metadata.aside] == ["the rest of IPTC-IIM"]
    assert any("the rest of IPTC-IIM" in line for line in photo.warnings)


def test_resources_that_stay_true_are_kept() -> None:
    digest = hashlib.md5(IIM).digest()
    path = resource(2000, b"outline", b"\4path\0")
    stale = resource(1036, b"thumbnail") + resource(1005, bytes(16)) + resource(1032, b"grid")
    iptc, others, whole = split_resources(
        resource(1028, IIM) + stale + path + resource(1034, b"\1") + resource(1061, digest)
    )
    assert (iptc, whole) == (IIM, True)
    assert others == path + resource(1034, b"\1") + resource(1061, digest)
    assert join_resources(iptc, others) == with_iptc(IIM) + others
    assert resource(1061, digest) not in join_resources(IIM + data_set(25, b"new"), others)
    assert join_resources(b"", b"") == b""
    assert split_resources(resource(1034, b"\1") + b"8BIM\4\4\0\0\xff\xff\xff\xff")[2] is False


def test_blocks_of_several_segments_are_joined() -> None:
    many = b"".join(data_set(25, b"word %05d" % number) for number in range(6000))
    blocks = fit_metadata(Metadata(iptc=many), "JPEG", Facts(width=64, height=48, dpi=None), {})
    photo = read(encode(smooth(3), format="JPEG", metadata=blocks))
    assert photo.metadata.iptc == many
    assert photo.warnings == ()


def test_text_chunks_unpack_within_limits() -> None:
    bomb = zlib.compress(bytes(2**26), 9)
    chunks = [png_chunk(b"zTXt", b"Comment\0\0" + bomb), png_chunk(b"iTXt", b"Title\0\1\0\0\0" + bomb)] * 20
    texts = [
        png_chunk(b"tEXt", b"Author\0a"),
        png_chunk(b"tEXt", b"no keyword"),
        png_chunk(b"iTXt", b"Title\0\1\0\0\0broken"),
    ]
    started = time.process_time()
    metadata = read(png_of(*chunks, *texts)).metadata
    assert time.process_time() - started < 5
    assert metadata.texts == (Text("Author", "a"),)
    assert len(metadata.aside) == 42
    assert all("unpacks to too much" in line for line in metadata.warnings)
    crowd = read(png_of(*[png_chunk(b"tEXt", b"Author\0a")] * (MAX_TEXTS + 500)))
    assert len(crowd.metadata.texts) == MAX_TEXTS
    assert any("1000 were read" in line for line in crowd.warnings)


def test_chunks_of_a_wrong_sum_and_false_profiles_are_named() -> None:
    wrong = bytearray(png_chunk(b"tEXt", b"Author\0a"))
    wrong[-1] ^= 1
    profiles = [b"Raw profile type exif\0\nexif\n 9\nzz\n", b"Raw profile type <b>\0\nx\n 2\n0000\n"]
    metadata = read(png_of(bytes(wrong), *(png_chunk(b"tEXt", text) for text in profiles))).metadata
    assert [note.block for note in metadata.aside] == [
        "chunk tEXt", "the profile exif in a text chunk", "the profile <b> in a text chunk",
    ]  # fmt: skip


def test_blocks_in_disguise_are_known() -> None:
    exif = b"Exif\0\0II*\0\x08\0\0\0\1\0\x0f\1\2\0\4\0\0\0ABC\0\0\0\0\0"
    for kind, block in ((b"exif", exif), (b"APP1", exif), (b"iptc", resource(1028, IIM)), (b"xmp", rdf(""))):
        text = b"\n%s\n %d\n%s\n" % (kind, len(block), block.hex().encode())
        metadata = read(png_of(png_chunk(b"zTXt", b"Raw profile type %s\0\0" % kind + zlib.compress(text)))).metadata
        assert metadata.names == [{b"iptc": "IPTC-IIM", b"xmp": "XMP"}.get(kind, "EXIF")]
        assert metadata.warnings == ()


def test_a_row_carries_all_of_it() -> None:
    whole = Metadata(
        exif=b"\0\1", iptc=IIM, xmp=b"<x/>", photoshop=b"8BIM", texts=(Text("a", "ß\0", "de"),), xml=(b"\xff",),
        aside=(Aside.of("XMP", "is broken", b"\x80"),),
    )  # fmt: skip
    assert Metadata.from_bytes(whole.to_bytes()) == whole
    assert NOTHING.to_bytes() == b""
    assert Metadata.from_bytes(None) == NOTHING
    assert whole.aside[0].content == "gA=="
    assert Aside.of("XMP", "is broken", bytes(5000)).content == ""


@pytest.mark.parametrize(("format", "dtype"), [("TIFF", np.uint8), ("TIFF", np.uint16), ("PNG", np.uint16)])
def test_bands_give_the_same_bytes(format: str, dtype: type, tmp_path: object) -> None:
    source = Metadata(
        exif=b"MM\0*\0\0\0\x08\0\1\1\x3b\0\2\0\0\0\4ABC\0\0\0\0\0", iptc=IIM, xmp=rdf("<a:b xmlns:a='urn:a'>c</a:b>"),
        photoshop=resource(1034, b"\1"), texts=(Text("Comment", "ß Ω"),),
    )  # fmt: skip
    pixels = noise(3, dtype)
    blocks = fit_metadata(source, format, Facts(width=34, height=21, dpi=None), {"xmp:CreatorTool": "F"})
    assert streams(format, pixels.shape, pixels.dtype)
    path = tmp_path / "result"  # type: ignore[operator]
    with path.open("w+b") as file:
        encode_bands(file, [pixels[:7], pixels[7:]], pixels.shape, pixels.dtype, format=format, metadata=blocks)
    assert path.read_bytes() == encode(pixels, format=format, metadata=blocks)
    again = read(path.read_bytes())
    assert again.metadata.names == [name for name in source.names if name != "texts" or format == "PNG"]
    assert again.metadata.iptc == IIM
    np.testing.assert_array_equal(again.pixels, pixels)


def test_comments_without_a_place() -> None:
    data = pillow_file(smooth(3), "JPEG", comment="two\nlines ß".encode("latin-1"))
    metadata = read(data).metadata
    assert metadata.texts == (Text("Comment", "two\nlines ß"),)
    fitted = fit_metadata(metadata, "WEBP", Facts(width=64, height=48, dpi=None), {})
    assert "two\nlines ß".encode() in fitted.xmp
    assert "went into XMP as exif:UserComment" in fitted.warnings[0]
