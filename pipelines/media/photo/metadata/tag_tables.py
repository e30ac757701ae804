"""Tag tables with their types and raw values: the tree of directories that EXIF is, read within limits and written anew."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from pipelines.errors import ItemError
from pipelines.media.photo.header import corrupt
from pipelines.media.photo.ifd import first_ifd

__all__ = [
    "EXIF",
    "GPS",
    "HEADS",
    "INTEROPERABILITY",
    "Entry",
    "Table",
    "read_plain",
    "read_tables",
    "turned",
    "write_tables",
]

EXIF, GPS, INTEROPERABILITY = 34665, 34853, 40965  # tags that point at tables
HEADS = {"<": b"II*\0\x08\0\0\0", ">": b"MM\0*\0\0\0\x08"}  # of classic structures whose first table lies behind it
_CHILDREN = {0: (EXIF, GPS), EXIF: (INTEROPERABILITY,)}
_USER_COMMENT, _UNICODE = 37510, b"UNICODE\0"
# Bytes of one number of each TIFF type, and the size of what its byte order turns round.
SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 129: 1}
_BIG_SIZES = {16: 8, 17: 8, 18: 8}
_TURNED = {3: 2, 4: 4, 5: 4, 8: 2, 9: 4, 10: 4, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
_MAX_ENTRIES = 1024  # of a table; cameras write some hundred
_MAX_VALUES = 32 * 2**20  # bytes of all values together: thousands of tags may claim the same megabytes


@dataclass(frozen=True)
class Entry:
    """One tag.

    Attributes:
        kind: TIFF's number of its type.
        data: the raw value in the byte order of its file.
        at: where the value lies.
    """

    kind: int
    data: bytes
    at: int = 0

    @property
    def count(self) -> int:
        """Numbers of its type."""
        return len(self.data) // (SIZES | _BIG_SIZES)[self.kind]

    def numbers(self, order: str) -> tuple[int, ...]:
        """Whole numbers; a fraction gives two."""
        code = {1: "B", 3: "H", 4: "I", 5: "I", 7: "B", 8: "h", 9: "i", 10: "i", 13: "I", 16: "Q"}.get(self.kind)
        if code is None or len(self.data) > 64:
            return ()
        return struct.unpack(f"{order}{len(self.data) // struct.calcsize(code)}{code}", self.data)


@dataclass
class Table:
    """One directory.

    Attributes:
        entries: by tag, without those that point at tables.
        children: tables by the tag that points at them.
        at: where it lies.
        size: entries that it has room for.
        following: where the next one lies; 0 for none.
    """

    entries: dict[int, Entry] = field(default_factory=dict)
    children: dict[int, Table] = field(default_factory=dict)
    at: int = 0
    size: int = 0
    following: int = 0

    def walk(self) -> Iterator[Table]:
        """This one and all below."""
        yield self
        for child in self.children.values():
            yield from child.walk()


@dataclass
class _Reading:
    """What a walk through tables knows on its way."""

    data: bytes
    big: bool
    order: str
    skipped: frozenset[int] = frozenset()
    seen: set[int] = field(default_factory=set)
    problems: list[str] = field(default_factory=list)
    left: int = _MAX_VALUES


def read_tables(data: bytes, skipped: frozenset[int] = frozenset()) -> tuple[Table, bool, str, list[str]]:
    """The first table of a TIFF structure with those below it: (table, is BigTIFF, byte order, what is broken).

    Single values that lie outside and tables that cannot be read are left out and named.

    Args:
        data: the whole structure.
        skipped: tags of the first table that are not looked at.

    Raises:
        ItemError: the structure or its first table is broken.
    """
    offset, big, order = first_ifd(data)
    reading = _Reading(data, big, order, skipped, {offset})
    return _read(reading, offset, 0), big, order, reading.problems


def read_plain(data: bytes, at: int, order: str) -> Table:
    """The one classic table at a place, such as that of a thumbnail, without those that it points at.

    Raises:
        ItemError: it cannot be read.
    """
    return _read(_Reading(data, False, order), at, -1)


def _read(reading: _Reading, at: int, kind: int) -> Table:
    """The table at a place; `kind` is the tag that points at it, 0 of the first."""
    data, order = reading.data, reading.order
    count_code, entry_code, pointer_code, inline = ("Q", "HHQ", "Q", 8) if reading.big else ("H", "HHI", "I", 4)
    width, entry_size = struct.calcsize(count_code), 4 + 2 * inline
    if at < 8 or at + width > len(data):
        raise corrupt("a tag table lies outside")
    (count,) = struct.unpack(order + count_code, data[at : at + width])  # slices: giant files are no buffers
    start = at + width
    end = start + count * entry_size
    if count > _MAX_ENTRIES or end > len(data):
        raise corrupt(f"a tag table has {count} tags")
    table = Table(at=at, size=count)
    if end + inline <= len(data):
        (table.following,) = struct.unpack(order + pointer_code, data[end : end + inline])
    entries = data[start:end]
    for place in range(start, end, entry_size):
        tag, type_number, number = struct.unpack_from(order + entry_code, entries, place - start)
        if tag in table.entries or tag in table.children or (kind == 0 and tag in reading.skipped):
            continue  # of two, readers take the first
        value = place + 4 + inline
        size = number * (SIZES | _BIG_SIZES if reading.big else SIZES).get(type_number, 0)
        if size > inline:
            (value,) = struct.unpack_from(order + pointer_code, entries, value - start)
        if not size or value + size > len(data) or value < 8 or size > reading.left:
            reading.problems.append(f"tag {tag}")
            continue
        reading.left -= size
        entry = Entry(type_number, data[value : value + size], value)
        if tag in _CHILDREN.get(kind, ()):
            _read_child(reading, table, tag, entry.numbers(order))
        else:
            table.entries[tag] = entry
    return table


def _read_child(reading: _Reading, parent: Table, tag: int, places: tuple[int, ...]) -> None:
    try:
        if len(places) != 1 or places[0] in reading.seen:
            raise corrupt("a table's place is no place, or a circle")
        reading.seen.add(places[0])
        parent.children[tag] = _read(reading, places[0], tag)
    except ItemError:
        reading.problems.append({EXIF: "the EXIF tags", GPS: "the GPS tags"}.get(tag, "the interoperability tags"))


def turned(tag: int, entry: Entry) -> Entry:
    """The same value in the other byte order."""
    if tag == _USER_COMMENT and entry.data.startswith(_UNICODE):
        body = entry.data[len(_UNICODE) :]
        return Entry(entry.kind, _UNICODE + _reversed(body, 2) + body[len(body) // 2 * 2 :])
    size = _TURNED.get(entry.kind)
    return Entry(entry.kind, _reversed(entry.data, size)) if size else entry


def _reversed(data: bytes, size: int) -> bytes:
    whole = len(data) // size * size
    parts = bytearray(whole)
    for place in range(size):
        parts[place::size] = data[size - 1 - place : whole : size]
    return bytes(parts)


def write_tables(
    table: Table, at: int, order: str, big: bool = False, fixed: Mapping[int, bytes] = MappingProxyType({})
) -> bytes:
    """A table, its values and the tables below, as bytes.

    Args:
        table: its values are in `order` already.
        at: where it is to lie, an even place.
        order: "<" or ">".
        big: the form of BigTIFF.
        fixed: whole entries by tag, whose values lie elsewhere already; the table's own come before them.
    """
    count_code, entry_code, pointer_code, inline = ("Q", "HHQ", "Q", 8) if big else ("H", "HHI", "I", 4)
    tags = sorted({*table.entries, *table.children, *fixed})
    head = struct.pack(order + count_code, len(tags))
    end = at + len(head) + len(tags) * (4 + 2 * inline) + inline
    behind = bytearray(-end % 2)
    for tag in tags:
        place = end + len(behind)
        if tag not in table.entries and tag not in table.children:
            head += fixed[tag]
            continue
        if tag in table.children:
            part = write_tables(table.children[tag], place, order, big)
            kind, count, value = 4, 1, struct.pack(order + "I", place).ljust(inline, b"\0")
            behind += part + bytes(len(part) % 2)
            if big:
                kind, value = 18, struct.pack(order + "Q", place)
        else:
            entry = table.entries[tag]
            kind, count = entry.kind, entry.count
            if len(entry.data) <= inline:
                value = entry.data.ljust(inline, b"\0")
            else:
                value = struct.pack(order + pointer_code, place)
                behind += entry.data + bytes(len(entry.data) % 2)
        head += struct.pack(order + entry_code, tag, kind, count) + value
    return head + struct.pack(order + pointer_code, table.following) + bytes(behind)
