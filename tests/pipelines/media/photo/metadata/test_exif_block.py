"""EXIF blocks: edited in place, so that maker notes stay whole; what is broken goes, and nothing else."""

from __future__ import annotations

import struct

import pytest
from metadata_files import tiff_structure

from pipelines.errors import ItemError
from pipelines.media.photo.metadata.blocks import Metadata
from pipelines.media.photo.metadata.exif_block import (
    MAKER_NOTE,
    Facts,
    check_exif,
    maker_note,
    renew_exif,
    without_maker_note,
)
from pipelines.media.photo.metadata.fit import MAX_JPEG_EXIF, fit_metadata
from pipelines.media.photo.metadata.tag_tables import EXIF, GPS, INTEROPERABILITY, read_tables

NOTE = b"a note of Canon's kind, whose numbers count from the block's beginning" * 3
FACTS = Facts(width=200, height=100, dpi=(600, 600), scale=2, orientation=6)


def number(order: str, value: int) -> bytes:
    return struct.pack(order + "I", value)


def block(
    order: str = "<", note: bytes = NOTE, thumbnail: bytes = b"\xff\xd8thumbnail\xff\xd9" * 9, **places: int
) -> bytes:
    """A block with a table below the first, a maker note in it, and a thumbnail at the end, put together by hand."""
    short = struct.pack(order + "H", 6)
    exif = [
        (36867, 2, 20, b"1954:06:07 08:09:10\0"),
        (MAKER_NOTE, 7, len(note), note),
        (40962, 3, 1, struct.pack(order + "H", 50)),
        (40963, 3, 1, struct.pack(order + "H", 100)),
        (41492, 3, 2, struct.pack(order + "HH", 3, 4)),
        (41486, 5, 1, struct.pack(order + "II", 3000, 7)),
        (41487, 5, 1, struct.pack(order + "II", 1000, 7)),
    ]
    first = [(271, 2, 6, b"Canon\0"), (274, 3, 1, short), (EXIF, 4, 1, b""),
             (282, 5, 1, struct.pack(order + "II", 300, 1)), (283, 5, 1, struct.pack(order + "II", 300, 1)),
             (257, 4, 1, number(order, 100)), (33432, 2, 9, b"Archive \0")]  # fmt: skip
    data = bytearray(
        tiff_structure(first, exif, [(513, 4, 1, b""), (514, 4, 1, number(order, len(thumbnail)))], order=order)
    )
    tables = [struct.unpack_from(order + "I", data, 4)[0]]
    for _ in range(2):
        (count,) = struct.unpack_from(order + "H", data, tables[-1])
        tables.append(struct.unpack_from(order + "I", data, tables[-1] + 2 + 12 * count)[0])
    for at, tag, value in ((tables[0], EXIF, tables[1]), (tables[2], 513, len(data))):
        for place in range(at + 2, at + 2 + 12 * struct.unpack_from(order + "H", data, at)[0], 12):
            if struct.unpack_from(order + "H", data, place)[0] == tag:
                struct.pack_into(order + "I", data, place + 8, places.get(str(tag), value))
    for at, following in ((tables[0], tables[2]), (tables[1], 0)):
        (count,) = struct.unpack_from(order + "H", data, at)
        struct.pack_into(order + "I", data, at + 2 + 12 * count, following)
    return bytes(data) + thumbnail


@pytest.mark.parametrize("order", ["<", ">"])
def test_a_block_becomes_true_of_the_result(order: str) -> None:
    sound, problems = check_exif(block(order))
    assert (sound, problems) == (block(order), [])
    renewed = renew_exif(sound, FACTS)
    root, _, _, problems = read_tables(renewed)
    exif = root.children[EXIF]
    assert problems == []
    assert root.entries[274].numbers(order) == (1,)
    assert root.entries[282].numbers(order) == (600, 1)
    assert root.entries[33432].data == b"Archive \0"
    assert 257 not in root.entries
    assert (exif.entries[40962].numbers(order), exif.entries[40963].numbers(order)) == ((200,), (100,))
    assert 41492 not in exif.entries
    assert exif.entries[41486].numbers(order) == (2000, 7)  # the sides have changed places, and are twice as long
    assert exif.entries[36867].data == b"1954:06:07 08:09:10\0"
    assert root.following == 0
    assert b"thumbnail" not in renewed
    assert renew_exif(sound, FACTS) == renewed


@pytest.mark.parametrize("order", ["<", ">"])
def test_a_maker_note_keeps_its_place(order: str) -> None:
    before = read_tables(block(order))[0].children[EXIF].entries[MAKER_NOTE]
    renewed = renew_exif(block(order), FACTS, with_dpi=True)
    after = read_tables(renewed)[0].children[EXIF].entries[MAKER_NOTE]
    assert (after.at, after.data) == (before.at, NOTE)


def test_a_maker_note_goes_whole() -> None:
    bare = without_maker_note(renew_exif(block(), FACTS))
    assert maker_note(bare) == b""
    assert NOTE[:20] not in bare
    assert check_exif(bare) == (bare, [])
    assert read_tables(bare)[0].children[EXIF].entries[36867].data == b"1954:06:07 08:09:10\0"


@pytest.mark.parametrize(("note", "kept"), [(NOTE, False), (b"Nikon\0\x02\x10" + NOTE, True)])
def test_tiff_keeps_notes_that_may_lie_elsewhere(note: bytes, kept: bool) -> None:
    fitted = fit_metadata(Metadata(exif=block(note=note)), "TIFF", FACTS, {})
    assert (maker_note(fitted.exif) == note) is kept
    assert [aside.block for aside in fitted.aside] == ([] if kept else ["the maker note"])
    assert any("the maker note" in line for line in fitted.warnings) is not kept


def test_what_is_too_large_for_jpeg() -> None:
    note = bytes(range(256)) * 256
    fitted = fit_metadata(Metadata(exif=block(note=note)), "JPEG", FACTS, {})
    assert 0 < len(fitted.exif) <= MAX_JPEG_EXIF
    assert [aside.block for aside in fitted.aside] == ["the maker note"]
    huge = tiff_structure([(315, 2, 3, b"JA\0"), (270, 2, 70_000, b"x" * 69_999 + b"\0")])
    fitted = fit_metadata(Metadata(exif=huge), "JPEG", FACTS, {})
    assert fitted.exif == b""
    assert [aside.block for aside in fitted.aside] == ["EXIF"]
    assert b"<rdf:li>JA</rdf:li>" in fitted.xmp


def test_broken_values_go_and_the_others_stay() -> None:
    outside = block(**{str(EXIF): 10**6})
    sound, problems = check_exif(outside)
    assert problems == ["the EXIF tags"]
    assert set(read_tables(sound)[0].entries) == {257, 271, 274, 282, 283, 33432}
    assert read_tables(sound)[3] == []
    far = bytearray(block())
    place = far.index(struct.pack("<HHI", 33432, 2, 9))
    struct.pack_into("<I", far, place + 8, 10**8)
    sound, problems = check_exif(bytes(far))
    assert problems == ["tag 33432"]
    assert maker_note(sound) == NOTE
    assert read_tables(sound)[0].following


def test_a_note_under_a_table_is_left_out() -> None:
    """Tables are written to: a note that a crafted block lays over one would change."""
    data = bytearray(block())
    place = data.index(struct.pack("<HH", MAKER_NOTE, 7))
    struct.pack_into("<I", data, place + 8, 10)
    sound, problems = check_exif(bytes(data))
    assert problems == ["the maker note"]
    assert maker_note(sound) == b""


def test_circles_and_crowds_end() -> None:
    circle = tiff_structure(
        [(271, 2, 2, b"A\0"), (EXIF, 4, 1, struct.pack("<I", 8)), (GPS, 4, 1, struct.pack("<I", 8))]
    )
    sound, problems = check_exif(circle)
    assert sorted(problems) == ["the EXIF tags", "the GPS tags"]
    assert set(read_tables(sound)[0].entries) == {271}
    with pytest.raises(ItemError):
        check_exif(tiff_structure([(tag, 3, 1, b"\1\0") for tag in range(1, 1100)]))
    # A thousand tags that claim the same megabyte, and so a gigabyte of memory.
    shared = tiff_structure([(tag, 7, 4, b"abcd") for tag in range(20_000, 21_000)])
    data = bytearray(shared)
    for entry in range(1000):
        struct.pack_into("<II", data, 10 + 12 * entry + 4, 2**20, 8)
    _, problems = check_exif(bytes(data) + bytes(2**20))
    assert len(problems) == 1000 - 32


@pytest.mark.parametrize(
    "data", [b"II*\0", b"MM\0*\xff\xff\xff\xff", b"II+\0\x08\0\0\0" + bytes(40), b"no block", bytes(20)]
)
def test_what_is_no_block_is_refused(data: bytes) -> None:
    with pytest.raises(ItemError):
        check_exif(data)


def test_interoperability_lies_below_exif() -> None:
    inner = tiff_structure([(1, 2, 4, b"R98\0")])
    outer = bytearray(tiff_structure([(EXIF, 4, 1, bytes(4))]))
    at = len(outer)
    outer += struct.pack("<HHHIIIHHHI4sI", 1, INTEROPERABILITY, 4, 1, at + 18, 0, 1, 1, 2, 4, b"R98\0", 0)
    struct.pack_into("<I", outer, 18, at)
    root = read_tables(bytes(outer))[0]
    assert root.children[EXIF].children[INTEROPERABILITY].entries[1].data == b"R98\0"
    assert read_tables(inner)[0].entries[1].data == b"R98\0"
