"""EXIF blocks made true of a restored file. They are edited in place: what is not touched keeps its bytes and its distance
from the block's beginning, so that maker notes, which count from there, stay whole."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from fractions import Fraction

from pipelines.errors import ItemError
from pipelines.media.photo.header import corrupt
from pipelines.media.photo.metadata.tag_tables import EXIF, HEADS, Entry, Table, read_plain, read_tables, write_tables

__all__ = ["MAKER_NOTE", "Facts", "check_exif", "maker_note", "renew_exif", "without_maker_note"]

MAKER_NOTE = 37500
_ORIENTATION, _X_RESOLUTION, _Y_RESOLUTION, _UNIT = 274, 282, 283, 296
_WIDTH, _HEIGHT, _COLOUR_SPACE = 40962, 40963, 40961
_FOCAL_X, _FOCAL_Y = 41486, 41487  # pixels a unit of the sensor
_RELATED_WIDTH, _RELATED_HEIGHT = 0x1001, 0x1002
# Of the pixels as the source stored them, or where: sizes, compression, strips, tiles, sub-images; and blocks of their own.
STRUCTURE = {*range(254, 260), 262, 263, 266, 273, 277, 278, 279, 284, 288, 289, 290, 291, 292, 293, 297, 301, 317, 318, 319,
             *range(320, 332), 338, 339, 340, 341, 347, *range(512, 521), 530, 700, 33723, 34377, 34675, 37724}  # fmt: skip
_PLACES_IN_PIXELS = (37396, 41492, 37122)  # subject area and location; compressed bits a pixel
_THUMBNAIL = ((513, 514), (273, 279))  # tags of the place and size of its bytes: JPEG, strips


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What of a restored file its metadata must agree with.

    Attributes:
        width, height: pixels.
        dpi: pixels an inch (horizontal, vertical); None where nobody knows.
        scale: pixels of the result to one of the source.
        orientation: EXIF value of the source, which its pixels no longer need.
        converted: the pixels are sRGB, and the source's were not.
    """

    width: int
    height: int
    dpi: tuple[float, float] | None
    scale: int = 1
    orientation: int = 1
    converted: bool = False


def check_exif(block: bytes) -> tuple[bytes, list[str]]:
    """A block that every reader can follow, and the names of what was broken and is no longer in it.

    Raises:
        ItemError: nothing of it can be read.
    """
    root, big, order, problems = read_tables(block)
    if big:
        raise corrupt("an EXIF block is no BigTIFF")
    child = root.children.get(EXIF)
    if child is not None and (note := child.entries.get(MAKER_NOTE)):
        tables = [(table.at, table.at + 6 + 12 * table.size) for table in root.walk()]
        if any(note.at < end and start < note.at + len(note.data) for start, end in tables if len(note.data) > 4):
            problems.append("the maker note")  # tables are written to, and notes never
            del child.entries[MAKER_NOTE]
    if not problems:
        return block, []
    edited = bytearray(block)
    for table in root.walk():
        _write(edited, table, _records(block, table), order)
    if root.following:  # the thumbnail's table
        struct.pack_into(order + "I", edited, root.at + 2 + 12 * _count(root), root.following)
    return bytes(edited), problems


def renew_exif(block: bytes, facts: Facts, *, with_dpi: bool = False) -> bytes:
    """A checked block that is true of a result: upright, of its size and resolution, without thumbnail.

    Args:
        block: of `check_exif`.
        facts: of the result.
        with_dpi: the resolution is added where the block has none, for formats with no other place for it.
    """
    root, _, order, _ = read_tables(block)
    edited = bytearray(block)
    _drop_thumbnail(edited, root, order)
    for table in root.walk():
        records = _records(block, table)
        if table is root:
            for tag in STRUCTURE & set(records):
                del records[tag]
            if _ORIENTATION in records:
                records[_ORIENTATION] = _short(order, _ORIENTATION, 1)
            if facts.dpi and (with_dpi or _X_RESOLUTION in records):
                records[_X_RESOLUTION] = _fraction(edited, order, _X_RESOLUTION, Fraction(facts.dpi[0]))
                records[_Y_RESOLUTION] = _fraction(edited, order, _Y_RESOLUTION, Fraction(facts.dpi[1]))
                records[_UNIT] = _short(order, _UNIT, 2)
        for wide, high in ((_WIDTH, _HEIGHT), (_RELATED_WIDTH, _RELATED_HEIGHT)):
            for tag, value in ((wide, facts.width), (high, facts.height)):
                if tag in records and table is not root:
                    records[tag] = struct.pack(order + "HHII", tag, 4, 1, value)
        for tag in _PLACES_IN_PIXELS:
            records.pop(tag, None)
        if facts.converted and _COLOUR_SPACE in records:
            records[_COLOUR_SPACE] = _short(order, _COLOUR_SPACE, 1)
        _scale_focal_plane(edited, table, records, facts, order)
        _write(edited, table, records, order)
    return bytes(edited)


def maker_note(block: bytes) -> bytes:
    """The maker note of a checked block; empty where there is none."""
    child = read_tables(block)[0].children.get(EXIF)
    return child.entries[MAKER_NOTE].data if child is not None and MAKER_NOTE in child.entries else b""


def without_maker_note(block: bytes) -> bytes:
    """A renewed block without its maker note: written anew, as nothing counts from its beginning any more."""
    root, _, order, _ = read_tables(block)
    del root.children[EXIF].entries[MAKER_NOTE]
    return HEADS[order] + write_tables(root, 8, order)


def _records(block: bytes, table: Table) -> dict[int, bytes]:
    """The sound entries of a table as they stand, 12 bytes each."""
    records: dict[int, bytes] = {}
    for place in range(table.at + 2, table.at + 2 + 12 * table.size, 12):
        record = block[place : place + 12]
        (tag,) = struct.unpack_from("<H" if block[:2] == b"II" else ">H", record)
        if tag in table.entries or tag in table.children:
            records.setdefault(tag, record)
    return records


def _count(table: Table) -> int:
    return len(table.entries) + len(table.children)


def _write(edited: bytearray, table: Table, records: dict[int, bytes], order: str) -> None:
    """Put a table's records back, in its own place, or at the end where they have become more."""
    packed = struct.pack(order + "H", len(records)) + b"".join(records[tag] for tag in sorted(records)) + bytes(4)
    room = 2 + 12 * table.size + 4
    if len(packed) <= room:
        edited[table.at : table.at + room] = packed.ljust(room, b"\0")[: max(len(edited) - table.at, len(packed))]
        return
    edited += bytes(len(edited) % 2)
    struct.pack_into(order + "I", edited, 4, len(edited))  # the first table alone is ever added to
    edited += packed


def _short(order: str, tag: int, value: int) -> bytes:
    return struct.pack(order + "HHIHxx", tag, 3, 1, value)


def _fraction(edited: bytearray, order: str, tag: int, value: Fraction) -> bytes:
    """A record whose value comes to lie at the block's end."""
    fine = value.limit_denominator(10_000)
    if fine.numerator >= 2**32:
        fine = Fraction(min(round(value), 2**32 - 1))
    edited += bytes(len(edited) % 2)
    place = len(edited)
    edited += struct.pack(order + "II", fine.numerator, fine.denominator)
    return struct.pack(order + "HHII", tag, 5, 1, place)


def _scale_focal_plane(edited: bytearray, table: Table, records: dict[int, bytes], facts: Facts, order: str) -> None:
    found = {tag: _value(table.entries[tag], order) for tag in (_FOCAL_X, _FOCAL_Y) if tag in records}
    for tag, value in found.items():
        turned = {_FOCAL_X: _FOCAL_Y, _FOCAL_Y: _FOCAL_X}[tag] if facts.orientation >= 5 else tag
        if (wanted := found.get(turned, value)) > 0:
            records[tag] = _fraction(edited, order, tag, wanted * facts.scale)


def _value(entry: Entry, order: str) -> Fraction:
    numbers = entry.numbers(order)
    return Fraction(numbers[0], numbers[1]) if entry.kind == 5 and len(numbers) == 2 and numbers[1] else Fraction(0)


def _drop_thumbnail(edited: bytearray, root: Table, order: str) -> None:
    """Clear the second table and what it points at, and cut the block's end off where nothing else lies there."""
    if not root.following:
        return
    try:
        table = read_plain(bytes(edited), root.following, order)
    except ItemError:
        return
    regions = _regions(table)
    for place_tag, size_tag in _THUMBNAIL:
        places, sizes = (
            table.entries[tag].numbers(order) if tag in table.entries else () for tag in (place_tag, size_tag)
        )
        regions += [(place, place + size) for place, size in zip(places, sizes, strict=False)]
    _clear(edited, regions, _regions(root))


def _regions(root: Table) -> list[tuple[int, int]]:
    """Where tables and values of more than four bytes lie."""
    found = []
    for table in root.walk():
        found.append((table.at, table.at + 6 + 12 * table.size))
        found += [(entry.at, entry.at + len(entry.data)) for entry in table.entries.values() if len(entry.data) > 4]
    return found


def _clear(edited: bytearray, regions: list[tuple[int, int]], used: list[tuple[int, int]]) -> None:
    """Zeros in what nothing else uses, and none of them at the block's end."""
    for start, end in regions:
        if not any(start < other_end and other < end for other, other_end in used):
            edited[start:end] = bytes(max(min(end, len(edited)) - start, 0))
    shortest = max((end for _, end in used), default=8)
    del edited[max(shortest, len(bytes(edited).rstrip(b"\0"))) :]
