"""A photograph's metadata in words, for people to read: a name and a line for each thing that is said."""

from __future__ import annotations

from xml.etree.ElementTree import Element

from PIL.ExifTags import GPSTAGS, TAGS

from pipelines.errors import ItemError
from pipelines.media.photo.metadata.blocks import Metadata
from pipelines.media.photo.metadata.from_jpeg import decode_text
from pipelines.media.photo.metadata.iptc import iptc_properties
from pipelines.media.photo.metadata.rdf import RDF, XmpError, read_rdf
from pipelines.media.photo.metadata.tag_tables import GPS, Entry, Table, read_tables

__all__ = ["in_words"]

_LONGEST = 500  # characters of a value
_MOST = 500  # things of a block
_TEXT, _FRACTION, _SIGNED_FRACTION = 2, 5, 10


def in_words(metadata: Metadata) -> dict[str, str]:
    """What a file says, `block: name` to a line. What cannot be put into words is left out or counted in bytes."""
    found: dict[str, str] = {}
    if metadata.exif:
        try:
            table, _, order, _ = read_tables(metadata.exif)
            _exif(table, order, found)
        except ItemError:
            found["EXIF"] = f"{len(metadata.exif)} bytes that cannot be read"
    if metadata.iptc:
        for name, value in list(iptc_properties(metadata.iptc).items())[:_MOST]:
            _set(found, f"IPTC: {name}", value if isinstance(value, str) else "; ".join(map(str, value[1])))
    if metadata.xmp:
        try:
            root, prefixes = read_rdf(metadata.xmp)
            _xmp(root, prefixes, found)
        except XmpError:
            found["XMP"] = f"{len(metadata.xmp)} bytes that cannot be read"
    for text in metadata.texts[:_MOST]:
        _set(found, f"Text: {text.keyword}", text.text)
    if metadata.photoshop:
        found["Photoshop"] = f"{len(metadata.photoshop)} bytes of image resources"
    return found


def _set(found: dict[str, str], name: str, value: str) -> None:
    text = " ".join(value.split())
    if text and len(found) < 4 * _MOST:
        found[name] = text[:_LONGEST] + ("…" if len(text) > _LONGEST else "")


def _exif(table: Table, order: str, found: dict[str, str], names: dict[int, str] = TAGS, block: str = "EXIF") -> None:
    for tag, entry in list(table.entries.items())[:_MOST]:
        _set(found, f"{block}: {names.get(tag, f'tag {tag}')}", _value(entry, order))
    for pointer, child in table.children.items():
        _exif(child, order, found, *((GPSTAGS, "GPS") if pointer == GPS else (TAGS, block)))


def _value(entry: Entry, order: str) -> str:
    if entry.kind == _TEXT:
        return decode_text(entry.data).strip("\0 ")
    numbers = entry.numbers(order)
    if entry.kind in (_FRACTION, _SIGNED_FRACTION) and numbers:
        pairs = zip(numbers[::2], numbers[1::2], strict=True)
        return ", ".join(f"{above / below:g}" if below else f"{above}/0" for above, below in pairs)
    if entry.kind == 7 or not numbers:
        return f"{len(entry.data)} bytes"
    return ", ".join(map(str, numbers))


def _xmp(root: Element, prefixes: dict[str, str], found: dict[str, str]) -> None:
    for description in root:
        for key, value in description.attrib.items():
            if not key.startswith(f"{{{RDF[1:].partition('}')[0]}}}"):
                _set(found, f"XMP: {_name(key, prefixes)}", value)
        for child in description:
            _set(found, f"XMP: {_name(child.tag, prefixes)}", "; ".join(filter(None, map(str.strip, _texts(child)))))


def _texts(element: Element) -> list[str]:
    return [text for node in element.iter() for text in (node.text or "", *_attributes(node))]


def _attributes(node: Element) -> list[str]:
    return [value for key, value in node.attrib.items() if not key.endswith(("}lang", "}parseType", "}about"))]


def _name(full: str, prefixes: dict[str, str]) -> str:
    space, _, local = full[1:].partition("}")
    return f"{prefixes.get(space, space)}:{local}"
