"""Image file directories: the tag tables of TIFF files and of EXIF blocks."""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np

from pipelines.errors import ItemError
from pipelines.media.photo.header import corrupt, need

__all__ = ["Ifd", "first_ifd", "list_ifds", "read_ifd"]

# TIFF 6.0 field types, and BigTIFF's three: numpy code without byte order.
_TYPES = {
    1: "u1",  # BYTE
    2: "u1",  # ASCII
    3: "u2",  # SHORT
    4: "u4",  # LONG
    5: "u4",  # RATIONAL: two of them
    6: "i1",
    7: "u1",  # UNDEFINED
    8: "i2",
    9: "i4",
    10: "i4",  # SRATIONAL: two of them
    11: "f4",
    12: "f8",
    13: "u4",  # IFD
    16: "u8",  # LONG8
    17: "i8",
    18: "u8",  # IFD8
}
_RATIONALS = (5, 10)
_MAX_TAGS = 2**16  # a tag is a number of 16 bits; BigTIFF could count far more
# The walk over a page list stops here: a crafted chain of millions of pages must not hold up a night's run.
MAX_PAGES = 1_000_000


@dataclass(frozen=True)
class Ifd:
    """One directory.

    Attributes:
        data: the bytes that offsets count from.
        order: "<" or ">".
        entries: tag -> (numpy type, number of elements, offset of the first element).
    """

    data: bytes
    order: str
    entries: dict[int, tuple[str, int, int]]

    def array(self, tag: int) -> np.ndarray | None:
        """All elements of a tag (N,), a fraction as two elements; None when the tag is absent or has an unknown type.

        Raises:
            ItemError: "truncated" when they lie beyond the end of the file.
        """
        if tag not in self.entries:
            return None
        code, count, offset = self.entries[tag]
        size = count * int(code[1:])
        return np.frombuffer(need(self.data, offset, size, f"tag {tag}"), dtype=self.order + code)

    def number(self, tag: int, default: int) -> int:
        """The first element of a whole-number tag."""
        values = self.array(tag)
        if values is None or not len(values) or values.dtype.kind not in "iu":
            return default
        return int(values[0])

    def fraction(self, tag: int) -> float:
        """The first element of a fraction tag; 0.0 when absent or without a value."""
        values = self.array(tag)
        if values is None or len(values) < 2 or values[1] == 0:
            return 0.0
        return float(values[0]) / float(values[1])


def first_ifd(data: bytes) -> tuple[int, bool, str]:
    """The start of a TIFF structure: (offset of the first directory, is BigTIFF, byte order).

    Raises:
        ItemError: "truncated" or "corrupt".
    """
    head = need(data, 0, 8, "the header")
    order = {b"II": "<", b"MM": ">"}.get(head[:2])
    magic = struct.unpack(f"{order}H", head[2:4])[0] if order else 0
    if order is None or magic not in (42, 43):
        raise corrupt("the header is not that of a TIFF structure")
    if magic == 43:  # BigTIFF: 2 bytes offset size, 2 bytes zero, then the offset
        return struct.unpack(f"{order}Q", need(data, 8, 8, "the header"))[0], True, order
    return struct.unpack(f"{order}I", head[4:])[0], False, order


def read_ifd(data: bytes, offset: int, big: bool, order: str) -> Ifd:
    """The directory at `offset`.

    Raises:
        ItemError: "truncated" when it lies beyond the end, "corrupt" when it is too long.
    """
    count_code, entry_code, entry_size, inline = ("Q", "HHQ", 20, 8) if big else ("H", "HHI", 12, 4)
    width = struct.calcsize(count_code)
    (count,) = struct.unpack(order + count_code, need(data, offset, width, "the tag table"))
    if count > _MAX_TAGS:
        raise corrupt(f"the tag table has {count} tags, of {_MAX_TAGS} at most")
    start = offset + width
    table = need(data, start, count * entry_size, "the tag table")
    entries: dict[int, tuple[str, int, int]] = {}
    for position in range(0, count * entry_size, entry_size):
        tag, kind, number = struct.unpack_from(order + entry_code, table, position)
        if kind not in _TYPES:
            continue
        code = _TYPES[kind]
        number *= 2 if kind in _RATIONALS else 1
        at = start + position + entry_size - inline
        if number * int(code[1:]) > inline:
            (at,) = struct.unpack_from(order + ("Q" if big else "I"), table, at - start)
        entries.setdefault(tag, (code, number, at))
    return Ifd(data, order, entries)


def list_ifds(data: bytes, offset: int, big: bool, order: str) -> tuple[dict[int, int], str | None]:
    """The directories in the chain that starts at `offset`: where each begins, in order, with the place of its pointer to the
    next one; and what is wrong with the chain, or None."""
    found: dict[int, int] = {}
    while True:
        try:
            following, pointer = _next_ifd(data, offset, big, order)
        except ItemError:
            return found, f"the list of pages is broken after page {len(found)}"
        found[offset] = pointer
        if not following:
            return found, None
        if following in found:
            return found, "the list of pages runs in a circle"
        if len(found) >= MAX_PAGES:
            return found, f"more than {MAX_PAGES} pages: the rest is not counted"
        offset = following


def _next_ifd(data: bytes, offset: int, big: bool, order: str) -> tuple[int, int]:
    """Where the directory after the one at `offset` is, 0 for none; and where that is written.

    The tags between are not looked at: directories may overlap, and thousands may claim the same 65,535 tags.
    """
    count_code, entry_size, pointer_code = ("Q", 20, "Q") if big else ("H", 12, "I")
    width = struct.calcsize(count_code)
    (count,) = struct.unpack(order + count_code, need(data, offset, width, "the tag table"))
    end = offset + width + count * entry_size
    if end > len(data):
        raise corrupt("the tag table ends beyond the file")
    # Some writers leave the last pointer out at the end of the file: that is the end of the list.
    tail = data[end : end + struct.calcsize(pointer_code)]
    if len(tail) < struct.calcsize(pointer_code):
        return 0, end
    return int(struct.unpack(order + pointer_code, tail)[0]), end
