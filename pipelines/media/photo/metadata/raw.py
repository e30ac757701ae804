"""Blocks as a container's reader finds them, and what is made of them: checked, with the broken ones aside."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field, replace

from pipelines.errors import ItemError
from pipelines.media.photo.metadata.blocks import MAX_BLOCK, MAX_TEXTS, Metadata, Text
from pipelines.media.photo.metadata.exif_block import check_exif
from pipelines.media.photo.metadata.iptc import check_iptc
from pipelines.media.photo.metadata.packet import join_extension
from pipelines.media.photo.metadata.photoshop import split_resources
from pipelines.media.photo.metadata.rdf import XmpError, read_rdf

__all__ = ["RawBlocks", "checked"]


@dataclass
class RawBlocks:
    """What a file holds, unchecked.

    Attributes:
        xmp_extension: what JPEG holds of XMP in further segments.
        photoshop: image resources, which may hold IPTC.
        broken: name, reason and bytes of each block that a container's reader could not take out.
        notes: further warnings.
        others: as `Metadata` has them.
    """

    exif: bytes = b""
    iptc: bytes = b""
    xmp: bytes = b""
    xmp_extension: bytes = b""
    photoshop: bytes = b""
    texts: list[Text] = field(default_factory=list)
    xml: list[bytes] = field(default_factory=list)
    broken: list[tuple[str, str, bytes]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def checked(raw: RawBlocks) -> Metadata:
    """The blocks that are sound; what is not is aside, with a warning."""
    found = Metadata(warnings=tuple(raw.notes))
    for name, why, data in raw.broken:
        found = found.without(name, why, data)
    for step in (_exif, _photoshop, _iptc, _xmp, _texts):
        found = step(found, raw)
    return found


def _exif(found: Metadata, raw: RawBlocks) -> Metadata:
    block = raw.exif
    if not block:
        return found
    if len(block) > MAX_BLOCK:
        return found.without("EXIF", f"is larger than {MAX_BLOCK} bytes", block)
    try:
        sound, problems = check_exif(block)
    except (ItemError, struct.error, ValueError, IndexError) as error:
        return found.without("EXIF", f"is broken ({_reason(error)})", block)
    if problems:
        listed = ", ".join(problems[:10]) + (", ..." if len(problems) > 10 else "")
        note = f"metadata: parts of EXIF are broken and were left out: {listed}"
        return replace(found, exif=sound, warnings=(*found.warnings, note))
    return replace(found, exif=sound)


def _photoshop(found: Metadata, raw: RawBlocks) -> Metadata:
    if not raw.photoshop:
        return found
    iptc, others, whole = split_resources(raw.photoshop)
    raw.iptc = raw.iptc or iptc
    if not whole:
        found = found.without("Photoshop's image resources", "are broken from some place on", raw.photoshop)
    return replace(found, photoshop=others if len(others) <= MAX_BLOCK else b"")


def _iptc(found: Metadata, raw: RawBlocks) -> Metadata:
    if len(raw.iptc) > MAX_BLOCK:
        return found.without("IPTC-IIM", f"is larger than {MAX_BLOCK} bytes", raw.iptc)
    sound, rest = check_iptc(raw.iptc)
    if rest:
        found = found.without("IPTC-IIM" if not sound else "the rest of IPTC-IIM", "is broken", rest)
    return replace(found, iptc=sound)


def _xmp(found: Metadata, raw: RawBlocks) -> Metadata:
    if not raw.xmp:
        return found
    try:
        read_rdf(raw.xmp)
    except XmpError as error:
        return found.without("XMP", str(error), raw.xmp)
    if raw.xmp_extension:
        try:
            return replace(found, xmp=join_extension(raw.xmp, raw.xmp_extension))
        except XmpError as error:
            found = found.without("the extension of XMP", str(error), raw.xmp_extension)
    return replace(found, xmp=raw.xmp)


def _texts(found: Metadata, raw: RawBlocks) -> Metadata:
    texts, xml = raw.texts, [part for part in raw.xml if len(part) <= MAX_BLOCK]
    if len(texts) > MAX_TEXTS or sum(len(text.text) for text in texts) > MAX_BLOCK:
        kept: list[Text] = []
        for text in texts[:MAX_TEXTS]:
            if sum(len(other.text) for other in kept) + len(text.text) <= MAX_BLOCK:
                kept.append(text)
        note = f"metadata: {len(texts)} comments and text chunks are too many or too long: {len(kept)} were kept"
        found, texts = replace(found, warnings=(*found.warnings, note)), kept
    return replace(found, texts=tuple(texts), xml=tuple(xml[:MAX_TEXTS]))


def _reason(error: Exception) -> str:
    return error.reason.partition(";")[0] if isinstance(error, ItemError) else type(error).__name__
