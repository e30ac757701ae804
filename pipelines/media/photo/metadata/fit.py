"""What of a source's metadata a restored file holds: each block where the format keeps it, else in XMP or the sidecar."""

from __future__ import annotations

import struct
from dataclasses import dataclass, replace

from pipelines.errors import ItemError
from pipelines.media.photo.metadata.blocks import Aside, Metadata, Text
from pipelines.media.photo.metadata.exif_block import Facts, maker_note, renew_exif, without_maker_note
from pipelines.media.photo.metadata.exif_text import exif_properties
from pipelines.media.photo.metadata.from_jpeg import COMMENT
from pipelines.media.photo.metadata.iptc import Properties, iptc_properties
from pipelines.media.photo.metadata.maker_notes import is_movable
from pipelines.media.photo.metadata.packet import holds, merge_packet
from pipelines.media.photo.metadata.rdf import XmpError
from pipelines.media.xmp import Packet, xmp_packet

__all__ = ["MAX_JPEG_EXIF", "Embedded", "fit_metadata"]

MAX_JPEG_EXIF = 65_527  # bytes of a block in one segment of JPEG
# XMP properties that say what PNG's keywords say, and how XMP holds them.
_KEYWORDS = {
    "Title": ("dc:title", "alt"), "Author": ("dc:creator", "seq"), "Description": ("dc:description", "alt"),
    "Copyright": ("dc:rights", "alt"), "Source": ("dc:source", "text"), COMMENT: ("exif:UserComment", "alt"),
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Embedded:
    """Blocks as a restored file of one format holds them.

    Attributes:
        exif, iptc, photoshop, texts, xml: as `Metadata` has them.
        xmp: one packet of the source's and our own statement; none if empty.
        names: the source's blocks that are in the file, as the manifest lists them.
        aside: the source's blocks that are not.
        warnings: a line for each thing that was left out or put elsewhere.
    """

    exif: bytes = b""
    iptc: bytes = b""
    photoshop: bytes = b""
    xmp: bytes = b""
    texts: tuple[Text, ...] = ()
    xml: tuple[bytes, ...] = ()
    names: tuple[str, ...] = ()
    aside: tuple[Aside, ...] = ()
    warnings: tuple[str, ...] = ()


def fit_metadata(source: Metadata, format: str, facts: Facts, statement: Packet) -> Embedded:
    """The blocks for a restored file; the same arguments give the same.

    Args:
        source: checked blocks.
        format: of the restored file: "PNG", "TIFF", "JPEG", "WEBP" or "JPEG2000".
        facts: what the blocks must agree with.
        statement: our own XMP properties.
    """
    added: Properties = {}
    kept = replace(source, warnings=())
    kept = _fit_exif(kept, format, facts, added)
    kept, elsewhere = _fit_iptc(kept, format, added)
    kept = _fit_texts(kept, format, added)
    if format != "JPEG2000":
        for part in kept.xml:
            kept = kept.without("an XML box", f"has no place in {format}", part)
        kept = replace(kept, xml=())
    xmp, notes = b"", tuple[str, ...]()
    if kept.xmp or added:
        try:
            xmp, notes = merge_packet(kept.xmp, statement, facts, added)
        except XmpError as error:  # it could be read before: nothing that is known comes here
            kept = kept.without("XMP", str(error), kept.xmp, xmp=b"")
    return Embedded(
        exif=kept.exif,
        iptc=kept.iptc,
        photoshop=kept.photoshop,
        xmp=xmp or (xmp_packet(statement) if statement else b""),
        texts=kept.texts,
        xml=kept.xml,
        names=tuple([*kept.names, *elsewhere]),
        aside=kept.aside,
        warnings=(*kept.warnings, *notes),
    )


def _fit_exif(kept: Metadata, format: str, facts: Facts, added: Properties) -> Metadata:
    if not kept.exif:
        return kept
    try:
        block = renew_exif(kept.exif, facts, with_dpi=format == "WEBP")
        note = maker_note(block)
        if note and format == "TIFF" and not is_movable(note):
            block = without_maker_note(block)
            kept = kept.without("the maker note", "would break, as it counts from the beginning of EXIF", note)
        elif note and format == "JPEG" and len(block) > MAX_JPEG_EXIF:
            block = without_maker_note(block)
            kept = kept.without("the maker note", "is too large for JPEG", note)
        if format == "JPEG" and len(block) > MAX_JPEG_EXIF:
            added.update(exif_properties(block))
            return kept.without("EXIF", "is too large for JPEG; its texts went into XMP", block, exif=b"")
    except (ItemError, struct.error, ValueError, IndexError):  # tables that lie one in another
        return kept.without("EXIF", "is broken", kept.exif, exif=b"")
    return replace(kept, exif=block)


def _fit_iptc(kept: Metadata, format: str, added: Properties) -> tuple[Metadata, list[str]]:
    """IPTC where the format holds it; else its properties for XMP."""
    elsewhere: list[str] = []
    if format == "WEBP" and kept.iptc:
        found = iptc_properties(kept.iptc)
        added.update(found)
        why = f"has no place in {format}: {len(found)} fields went into XMP"
        kept = kept.without("IPTC-IIM", why, kept.iptc, iptc=b"")
        elsewhere = ["IPTC-IIM in XMP"]
    if format in ("WEBP", "JPEG2000") and kept.photoshop:
        kept = kept.without("Photoshop's image resources", f"have no place in {format}", kept.photoshop, photoshop=b"")
    return kept, elsewhere


def _fit_texts(kept: Metadata, format: str, added: Properties) -> Metadata:
    """Texts where the format holds them; else as XMP properties, or aside. JPEG holds comments alone."""
    if format == "PNG":
        return kept
    staying: list[Text] = []
    for text in kept.texts:
        if format == "JPEG" and text.keyword == COMMENT and len(text.text.encode()) <= 65_533:
            staying.append(text)
            continue
        name, kind = _KEYWORDS.get(text.keyword, ("", ""))
        if name and name not in added and not holds(kept.xmp, name):
            added[name] = text.text if kind == "text" else (kind, [text.text])
            note = f"metadata: the text {label(text.keyword)} has no place in {format} and went into XMP as {name}"
            kept = replace(kept, warnings=(*kept.warnings, note))
        else:
            kept = kept.without(f"the text {label(text.keyword)}", f"has no place in {format}", text.text.encode())
    return replace(kept, texts=tuple(staying))


def label(keyword: str) -> str:
    """A file's own word, fit for a warning."""
    return ascii(keyword[:40])
