"""What EXIF says in words, as XMP properties: for files whose EXIF is too large for their format."""

from __future__ import annotations

from pipelines.media.photo.metadata.from_jpeg import decode_text
from pipelines.media.photo.metadata.iptc import Properties
from pipelines.media.photo.metadata.tag_tables import EXIF, read_tables

__all__ = ["exif_properties"]

# As the XMP specification, part 2, maps them.
_FIRST = {270: ("dc:description", "alt"), 271: ("tiff:Make", ""), 272: ("tiff:Model", ""), 315: ("dc:creator", "seq"),
          33432: ("dc:rights", "alt")}  # fmt: skip
_DATES = {36867: "exif:DateTimeOriginal", 36868: "xmp:CreateDate"}


def exif_properties(block: bytes) -> Properties:
    """The texts of a checked block."""
    root = read_tables(block)[0]
    found: Properties = {}
    for tag, (name, kind) in _FIRST.items():
        if tag in root.entries and (text := decode_text(root.entries[tag].data).strip("\0 ")):
            found[name] = (kind, [text]) if kind else text
    child = root.children.get(EXIF)
    for tag, name in _DATES.items():
        text = decode_text(child.entries[tag].data).strip("\0 ") if child is not None and tag in child.entries else ""
        date, _, time = text.partition(" ")
        if len(date) == 10 and len(time) == 8:
            found[name] = f"{date.replace(':', '-')}T{time}"
    return found
