"""Metadata of TIFF: the first page's tags, of which those that are no structure become an EXIF block."""

from __future__ import annotations

from pipelines.media.photo.metadata.exif_block import MAKER_NOTE, STRUCTURE
from pipelines.media.photo.metadata.maker_notes import is_movable
from pipelines.media.photo.metadata.raw import RawBlocks
from pipelines.media.photo.metadata.tag_tables import EXIF, HEADS, Table, read_tables, write_tables

__all__ = ["DESCRIPTIVE", "read_tiff_metadata"]

_XMP, _IPTC, _PHOTOSHOP = 700, 33723, 34377
# Tags of the first table that say what a picture is: name, description, make, model, page, software, date, artist, host,
# ratings, copyright, Windows' texts; orientation and resolution, which are renewed.
DESCRIPTIVE = {269, 270, 271, 272, 285, 305, 306, 315, 316, 18246, 18249, 33432, *range(40091, 40096)}
_RENEWED = {274, 282, 283, 296}
_MAX_OTHERS = 20


def read_tiff_metadata(data: bytes) -> RawBlocks:
    """What the first page of a TIFF file, whose structure is sound, says beside its pixels."""
    raw = RawBlocks()
    skipped = frozenset(STRUCTURE - {_XMP, _IPTC, _PHOTOSHOP})
    root, _, order, problems = read_tables(data, skipped)
    if problems:
        listed = ", ".join(problems[:10]) + (", ..." if len(problems) > 10 else "")
        raw.notes.append(f"metadata: parts of the page's tags are broken and were left out: {listed}")
    found = {tag: root.entries.pop(tag).data for tag in (_XMP, _IPTC, _PHOTOSHOP) if tag in root.entries}
    raw.xmp, raw.iptc, raw.photoshop = (found.get(tag, b"") for tag in (_XMP, _IPTC, _PHOTOSHOP))
    others = [tag for tag in root.entries if tag not in DESCRIPTIVE | _RENEWED]
    for number, tag in enumerate(others):
        entry = root.entries.pop(tag)
        if number < _MAX_OTHERS:
            raw.broken.append((f"TIFF tag {tag}", "is of an unknown meaning", entry.data))
    if len(others) > _MAX_OTHERS:
        raw.notes.append(f"metadata: {len(others) - _MAX_OTHERS} further tags of unknown meaning were left out")
    _check_maker_note(root, raw)
    if root.children or DESCRIPTIVE & set(root.entries):
        root.following = 0
        raw.exif = HEADS[order] + write_tables(_classic(root, order), 8, order)
    return raw


def _check_maker_note(root: Table, raw: RawBlocks) -> None:
    """A note lies elsewhere in the block that is made here: it must not count from the file's beginning."""
    child = root.children.get(EXIF)
    if child is not None and MAKER_NOTE in child.entries and not is_movable(child.entries[MAKER_NOTE].data):
        note = child.entries.pop(MAKER_NOTE)
        if note.data:  # an empty one is no loss
            raw.broken.append(("the maker note", "counts from the beginning of its TIFF file", note.data))


def _classic(table: Table, order: str) -> Table:
    """The same without BigTIFF's types, which EXIF does not have."""
    entries = {tag: entry for tag, entry in table.entries.items() if entry.kind not in (16, 17, 18)}
    return Table(entries, {tag: _classic(child, order) for tag, child in table.children.items()})
