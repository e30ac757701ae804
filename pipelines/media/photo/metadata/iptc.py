"""IPTC-IIM: data sets as agencies have written them since 1991, checked, and as the XMP properties that mean the same.

The mapping is that of the IPTC Photo Metadata Standard 2025.1 (its table of IIM data sets).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

__all__ = ["check_iptc", "iptc_properties"]

_MARK = 0x1C
_UTF8 = b"\x1b%G"  # in data set 1:90
_MAX_SETS = 20_000
# Data sets of record 2: XMP property, and how XMP holds it.
_PROPERTIES = {
    4: ("Iptc4xmpCore:IntellectualGenre", "text"), 5: ("dc:title", "alt"), 10: ("photoshop:Urgency", "text"),
    12: ("Iptc4xmpCore:SubjectCode", "bag"), 15: ("photoshop:Category", "text"),
    20: ("photoshop:SupplementalCategories", "bag"), 25: ("dc:subject", "bag"), 40: ("photoshop:Instructions", "text"),
    80: ("dc:creator", "seq"), 85: ("photoshop:AuthorsPosition", "text"), 90: ("photoshop:City", "text"),
    92: ("Iptc4xmpCore:Location", "text"), 95: ("photoshop:State", "text"), 100: ("Iptc4xmpCore:CountryCode", "text"),
    101: ("photoshop:Country", "text"), 103: ("photoshop:TransmissionReference", "text"),
    105: ("photoshop:Headline", "text"), 110: ("photoshop:Credit", "text"), 115: ("photoshop:Source", "text"),
    116: ("dc:rights", "alt"), 120: ("dc:description", "alt"), 122: ("photoshop:CaptionWriter", "text"),
}  # fmt: skip
_DATE_CREATED, _TIME_CREATED = 55, 60

# Property to its text, or to its kind of list ("alt", "bag", "seq") and items.
Properties = dict[str, "str | tuple[str, list[str]]"]


def check_iptc(block: bytes) -> tuple[bytes, bytes]:
    """The data sets that can be read, byte for byte, and the rest, which is broken; padding is neither."""
    end = max((data_set[3] for data_set in _data_sets(block)), default=0)
    rest = block[end:]
    return block[:end], rest if rest.strip(b"\0") else b""


def iptc_properties(block: bytes) -> Properties:
    """What checked data sets say, as XMP properties."""
    sets = list(_data_sets(block))
    utf8 = any((record, number) == (1, 90) and data == _UTF8 for record, number, data, _ in sets)
    found: dict[int, list[str]] = {}
    for record, number, data, _ in sets:
        if record == 2 and (text := _text(data, utf8).strip("\0 ")):
            found.setdefault(number, []).append(text)
    properties: Properties = {}
    for number, (name, kind) in _PROPERTIES.items():
        if number in found:
            properties[name] = found[number][0] if kind == "text" else (kind, found[number])
            if kind == "alt":
                properties[name] = (kind, found[number][:1])
    if date := _date(found.get(_DATE_CREATED, [""])[0], found.get(_TIME_CREATED, [""])[0]):
        properties["photoshop:DateCreated"] = date
    return properties


def _data_sets(block: bytes) -> Iterator[tuple[int, int, bytes, int]]:
    """Record, number, data and end of each."""
    at = 0
    for _ in range(_MAX_SETS):
        if at + 5 > len(block) or block[at] != _MARK:
            return
        record, number, size = struct.unpack_from(">BBH", block, at + 1)
        start = at + 5
        if size & 0x8000:  # an extended size, in so many bytes
            width = size & 0x7FFF
            if not 1 <= width <= 4 or start + width > len(block):
                return
            size = int.from_bytes(block[start : start + width], "big")
            start += width
        at = start + size
        if at > len(block):
            return
        yield record, number, block[start:at], at


def _text(data: bytes, utf8: bool) -> str:
    """Many programs write UTF-8 without saying so; the others write the code page of Western Europe."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("utf-8", "replace") if utf8 else data.decode("cp1252", "replace")


def _date(date: str, time: str) -> str:
    """ISO 8601 of IIM's CCYYMMDD and HHMMSS±HHMM; parts that are not known, zeros in IIM, are left out."""
    if len(date) != 8 or not date.isdigit() or date[:4] == "0000":
        return ""
    parts = [date[:4], *([date[4:6]] if date[4:6] != "00" else [])]
    if len(parts) == 2 and date[6:] != "00":
        parts.append(date[6:])
    text = "-".join(parts)
    if len(parts) < 3 or len(time) < 6 or not time[:6].isdigit():
        return text
    zone = time[6:]
    zone = f"{zone[:3]}:{zone[3:]}" if len(zone) == 5 and zone[0] in "+-" and zone[1:].isdigit() else ""
    return f"{text}T{time[:2]}:{time[2:4]}:{time[4:6]}{zone}"
