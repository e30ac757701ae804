"""XMP of strangers beside our statement: theirs stays, ours is set, and nothing unsafe is read."""

from __future__ import annotations

import time

import pytest
from metadata_files import jpeg_segment, jpeg_with, rdf
from photo_files import read, smooth

from pipelines.media.photo.encode import encode
from pipelines.media.photo.metadata.exif_block import Facts
from pipelines.media.photo.metadata.fit import fit_metadata
from pipelines.media.photo.metadata.packet import holds, join_extension, merge_packet, split_packet
from pipelines.media.photo.metadata.rdf import XmpError, read_rdf, write_rdf
from pipelines.media.xmp import Packet

FACTS = Facts(width=200, height=100, dpi=(300, 300))
OURS: Packet = {"xmp:CreatorTool": "FaithArchive 1", "xmpMM:History": [{"stEvt:action": "edited"}]}
SCHEMA = 'xmlns:mill="http://example.org/mill/" xmlns:xmp="http://ns.adobe.com/xap/1.0/"'
MARK = b"http://ns.adobe.com/xap/1.0/\0"


def test_unknown_schemas_keep_their_words_and_prefix() -> None:
    source = rdf(
        '<mill:wheel rdf:parseType="Resource"><mill:Ø>12 &amp; a &lt;half&gt;</mill:Ø></mill:wheel>'
        '<mill:note xml:lang="de">\r\n Bach </mill:note>',
        f'{SCHEMA} mill:owner="J. &quot;Ærø&quot;" xmp:CreatorTool="Scanner"',
    )
    packet, _ = merge_packet(source, OURS, FACTS, {})
    text = packet.decode()
    assert 'mill:owner="J. &quot;Ærø&quot;"' in text
    assert '<mill:wheel rdf:parseType="Resource"><mill:Ø>12 &amp; a &lt;half&gt;</mill:Ø></mill:wheel>' in text
    assert '<mill:note xml:lang="de">\n Bach </mill:note>' in text
    assert "Scanner" not in text
    assert text.count("CreatorTool") == 2  # a start and an end: once
    assert merge_packet(source, OURS, FACTS, {})[0] == packet
    again, _ = merge_packet(packet, {}, FACTS, {})
    assert again == packet


def test_properties_are_added_only_where_there_are_none() -> None:
    source = rdf(
        "<dc:title><rdf:Alt><rdf:li>theirs</rdf:li></rdf:Alt></dc:title>", 'xmlns:dc="http://purl.org/dc/elements/1.1/"'
    )
    packet, _ = merge_packet(source, {}, FACTS, {"dc:title": ("alt", ["IPTC's"]), "dc:subject": ("bag", ["a", "b"])})
    text = packet.decode()
    assert "theirs" in text
    assert "IPTC's" not in text
    assert "<dc:subject><rdf:Bag><rdf:li>a</rdf:li><rdf:li>b</rdf:li></rdf:Bag></dc:subject>" in text
    assert holds(packet, "dc:title")
    assert not holds(packet, "dc:rights")


def test_two_namespaces_of_one_prefix() -> None:
    source = rdf('<a:x xmlns:a="urn:one"/><a:x xmlns:a="urn:two"/>')
    text = write_rdf(*read_rdf(source))
    assert 'xmlns:a="urn:one" xmlns:a2="urn:two"' in text
    assert "<a:x/><a2:x/>" in text
    assert read_rdf(text.encode())[0][0][1].tag == "{urn:two}x"


def test_regions_of_a_turned_picture_go() -> None:
    source = rdf("<r:Regions/>", 'xmlns:r="http://www.metadataworkinggroup.com/schemas/regions/"')
    assert b"Regions" in merge_packet(source, {}, FACTS, {})[0]
    packet, warnings = merge_packet(source, {}, Facts(width=1, height=1, dpi=None, orientation=6), {})
    assert b"Regions" not in packet
    assert "regions" in warnings[0]


_LAUGHS = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 9))
HOSTILE = {
    "entities": f'<!DOCTYPE x [<!ENTITY l0 "ha">{_LAUGHS}]>'.encode() + rdf("&l8;"),
    "external": b'<!DOCTYPE x [<!ENTITY f SYSTEM "file:///etc/passwd">]>' + rdf("&f;"),
    "type": b'<!DOCTYPE x SYSTEM "http://127.0.0.1:9/x.dtd">' + rdf(""),
    "deep": rdf("<rdf:li>" * 5000 + "</rdf:li>" * 5000),
    "wide": rdf("<rdf:li/>" * 200_001),
    "namespaces": rdf("".join(f'<n:a xmlns:n="urn:{n}"/>' for n in range(600))),
    "cut": rdf("<rdf:li>")[:-40],
    "no rdf": b"<x/>",
    "zeros": bytes(400),
    "utf-16": b"\xff\xfe" + b"\xd8" * 41,
    "unknown entity": rdf("&nbsp;"),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_what_is_unsafe_is_refused(kind: str) -> None:
    started = time.process_time()
    with pytest.raises(XmpError):
        read_rdf(HOSTILE[kind])
    assert time.process_time() - started < 8  # 1 on a quiet machine


def test_a_photograph_does_not_fail_by_it() -> None:
    for kind, packet in HOSTILE.items():
        if len(packet) < 60_000:
            photo = read(jpeg_with(jpeg_segment(0xE1, MARK + packet)))
            assert photo.pixels.shape == (48, 64, 3)
            assert [note.block for note in photo.metadata.aside] == (["XMP"]), kind
            assert any(line.startswith("metadata: XMP of") for line in photo.warnings), kind


def test_utf_16_and_padding_are_read() -> None:
    packet = rdf("<a:x xmlns:a='urn:a'>Ærø</a:x>")
    for data in (packet.decode().encode("utf-16"), b"\xef\xbb\xbf" + packet, packet + b" \n" * 2000 + bytes(30)):
        assert read_rdf(data)[0][0][0].text == "Ærø"


def test_jpeg_holds_large_packets_in_an_extension() -> None:
    large = "".join(f"<m:p{n}>{str(n) * 9000}</m:p{n}>" for n in range(30))
    source = rdf(large, f'xmlns:m="urn:m" m:attribute="{"z" * 70_000}"')
    main, extension, digest = split_packet(source, 65_502)
    assert len(main) <= 65_502
    assert digest.encode() in main
    joined, _ = read_rdf(join_extension(main, extension))
    found = {child.tag: child.text for description in joined for child in description}
    assert found == {**{f"{{urn:m}}p{n}": str(n) * 9000 for n in range(30)}, "{urn:m}attribute": "z" * 70_000}

    photo = read(jpeg_with(jpeg_segment(0xE1, MARK + main), *_parts(extension, digest)))
    assert photo.metadata.warnings == ()
    blocks = fit_metadata(photo.metadata, "JPEG", FACTS, OURS)
    again = read(encode(smooth(3), format="JPEG", metadata=blocks)).metadata
    texts = {child.tag: child.text for description in read_rdf(again.xmp)[0] for child in description}
    assert texts["{urn:m}p29"] == "29" * 9000
    assert texts["{http://ns.adobe.com/xap/1.0/}CreatorTool"] == "FaithArchive 1"


def test_an_extension_with_a_gap_is_kept_aside() -> None:
    main, extension, digest = split_packet(rdf(f"<m:p>{'x' * 200_000}</m:p>", 'xmlns:m="urn:m"'), 65_502)
    segments = _parts(extension, digest)
    photo = read(jpeg_with(jpeg_segment(0xE1, MARK + main), segments[0], *segments[2:]))
    assert [note.block for note in photo.metadata.aside] == ["the extension of XMP"]
    assert photo.metadata.xmp == main


def _parts(extension: bytes, digest: str) -> list[bytes]:
    head = b"http://ns.adobe.com/xmp/extension/\0" + digest.encode() + len(extension).to_bytes(4, "big")
    return [
        jpeg_segment(0xE1, head + start.to_bytes(4, "big") + extension[start : start + 60_000])
        for start in range(0, len(extension), 60_000)
    ]
