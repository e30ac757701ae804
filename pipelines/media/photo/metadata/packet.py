"""XMP of the source and our statement as one packet: what the source says stays, but for what is no longer true."""

from __future__ import annotations

import hashlib
from fractions import Fraction
from xml.etree.ElementTree import Element, SubElement

from pipelines.media.photo.metadata.exif_block import Facts
from pipelines.media.photo.metadata.iptc import Properties
from pipelines.media.photo.metadata.rdf import ABOUT, DESCRIPTION, PARSE_TYPE, RDF, XML, name, read_rdf, write_rdf
from pipelines.media.xmp import BEGIN, END, Packet

__all__ = ["holds", "join_extension", "merge_packet", "split_packet"]

# Thumbnails, digests of blocks that are others now, the source file's own number, how its pixels were stored, places in pixels.
_STALE = (
    "xmp:Thumbnails", "xmpMM:InstanceID", "xmpNote:HasExtendedXMP", "tiff:NativeDigest", "exif:NativeDigest",
    "tiff:BitsPerSample", "tiff:SamplesPerPixel", "tiff:Compression", "tiff:PhotometricInterpretation",
    "tiff:PlanarConfiguration", "tiff:YCbCrSubSampling", "exif:CompressedBitsPerPixel", "exif:SubjectArea",
    "exif:SubjectLocation",
)  # fmt: skip
_REGIONS = ("mwg-rs:Regions", "MP:RegionInfo")  # faces, in fractions of the picture as it lay before it was turned
_HISTORY, _DOCUMENT, _ORIGINAL = "xmpMM:History", "xmpMM:DocumentID", "xmpMM:OriginalDocumentID"


def merge_packet(source: bytes, statement: Packet, facts: Facts, added: Properties) -> tuple[bytes, tuple[str, ...]]:
    """One packet, and a line for each thing that had to go; the same arguments give the same bytes.

    Args:
        source: the source's packet; none if empty.
        statement: our own properties, which are set, but for the history, which goes on.
        facts: what the packet must agree with.
        added: properties that are added where the source has none.

    Raises:
        XmpError: the source's packet cannot be read.
    """
    rdf, prefixes = read_rdf(source) if source else (Element(RDF), {})
    for qualified in _STALE:
        _take(rdf, qualified)
    warnings = _renew(rdf, facts)
    for qualified, value in added.items():
        if not _take(rdf, qualified, keep=True):
            _add(rdf, qualified, value)
    if statement:
        earlier = _take(rdf, _DOCUMENT)
        if earlier and earlier[0].text and not _take(rdf, _ORIGINAL, keep=True):
            _add(rdf, _ORIGINAL, earlier[0].text)
        for qualified, content in statement.items():
            before = _take(rdf, qualified)
            element = _add(rdf, qualified, content)
            if qualified == _HISTORY:
                events = [event for old in before for sequence in old for event in sequence]
                element[0][:] = [*events, *element[0]]
    return (BEGIN + write_rdf(rdf, prefixes) + END).encode(), warnings


def holds(packet: bytes, qualified: str) -> bool:
    """Whether a packet that can be read has a property."""
    return bool(packet) and bool(_take(read_rdf(packet)[0], qualified, keep=True))


def join_extension(main: bytes, extension: bytes) -> bytes:
    """A packet with what JPEG holds of it in further segments.

    Raises:
        XmpError: one of both cannot be read.
    """
    rdf, prefixes = read_rdf(main)
    further, others = read_rdf(extension)
    _take(rdf, "xmpNote:HasExtendedXMP")
    rdf.extend(list(further))
    return (BEGIN + write_rdf(rdf, others | prefixes) + END).encode()


def split_packet(packet: bytes, limit: int) -> tuple[bytes, bytes, str]:
    """A packet of at most `limit` bytes, the rest for JPEG's extension, and the rest's digest, by which the first names it.

    Raises:
        XmpError: the packet cannot be read.
    """
    rdf, prefixes = read_rdf(packet)
    for description in _descriptions(rdf):  # a property may be an attribute, and large
        for key in [key for key in description.attrib if key != ABOUT]:
            SubElement(description, key).text = description.attrib.pop(key)
    rest = Element(RDF)
    moved = SubElement(rest, DESCRIPTION, {ABOUT: _about(rdf)})
    sized = [
        (len(write_rdf(child, prefixes).encode()), description, child)
        for description in _descriptions(rdf)
        for child in description
    ]
    left = len(packet) + 200
    for size, description, child in sorted(sized, key=lambda item: -item[0]):
        if left <= limit:
            break
        description.remove(child)
        moved.append(child)
        left -= size - 300  # without the declarations that it was measured with
    extension = write_rdf(rest, prefixes).encode()
    digest = hashlib.md5(extension, usedforsecurity=False).hexdigest().upper()
    _add(rdf, "xmpNote:HasExtendedXMP", digest)
    return (BEGIN + write_rdf(rdf, prefixes) + END).encode(), extension, digest


def _renew(rdf: Element, facts: Facts) -> tuple[str, ...]:
    """Sizes, resolution and orientation, where the packet speaks of them."""
    values = {
        "tiff:Orientation": "1", "tiff:ImageWidth": str(facts.width), "tiff:ImageLength": str(facts.height),
        "exif:PixelXDimension": str(facts.width), "exif:PixelYDimension": str(facts.height),
    }  # fmt: skip
    if facts.dpi:
        across, down = (Fraction(value).limit_denominator(10_000) for value in facts.dpi)
        values |= {
            "tiff:XResolution": f"{across.numerator}/{across.denominator}",
            "tiff:YResolution": f"{down.numerator}/{down.denominator}",
            "tiff:ResolutionUnit": "2",
        }
    if facts.converted:
        _take(rdf, "photoshop:ICCProfile")
        values["exif:ColorSpace"] = "1"
    for qualified, value in values.items():
        if _take(rdf, qualified):
            _add(rdf, qualified, value)
    if facts.orientation != 1 and any([_take(rdf, qualified) for qualified in _REGIONS]):
        return ("metadata: regions of the picture in XMP were left out, as the picture was turned",)
    return ()


def _descriptions(rdf: Element) -> list[Element]:
    return [element for element in rdf if element.tag == DESCRIPTION]


def _about(rdf: Element) -> str:
    return next((found for element in _descriptions(rdf) if (found := element.get(ABOUT))), "")


def _take(rdf: Element, qualified: str, *, keep: bool = False) -> list[Element]:
    """All there is of a property, and with it gone unless it is to be kept."""
    full, found = name(qualified), []
    for description in _descriptions(rdf):
        if (text := description.get(full)) is not None:
            element = Element(full)
            element.text = text
            found.append(element)
            if not keep:
                del description.attrib[full]
        for child in description.findall(full):
            found.append(child)
            if not keep:
                description.remove(child)
    return found


def _add(
    rdf: Element, qualified: str, value: str | tuple[str, list[str]] | dict[str, str] | list[dict[str, str]]
) -> Element:
    """A property in the last description."""
    last = rdf[-1] if len(rdf) and rdf[-1].tag == DESCRIPTION else SubElement(rdf, DESCRIPTION, {ABOUT: _about(rdf)})
    element = SubElement(last, name(qualified))
    element.tail = "\n"
    if isinstance(value, str):
        element.text = value
    elif isinstance(value, dict):
        _fill(element, value)
    elif isinstance(value, tuple):
        kind, items = value
        container = SubElement(element, name(f"rdf:{kind.capitalize()}"))
        for item in items:
            line = SubElement(container, name("rdf:li"), {f"{{{XML}}}lang": "x-default"} if kind == "alt" else {})
            line.text = item
    else:
        container = SubElement(element, name("rdf:Seq"))
        for fields in value:
            _fill(SubElement(container, name("rdf:li")), fields)
    return element


def _fill(element: Element, fields: dict[str, str]) -> None:
    element.set(PARSE_TYPE, "Resource")
    for qualified, text in fields.items():
        SubElement(element, name(qualified)).text = text
