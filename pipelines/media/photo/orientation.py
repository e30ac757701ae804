"""Which way is up, where EXIF in its own place does not say it: in XMP, in ImageMagick's raw profiles and its text chunks."""

from __future__ import annotations

import re
import struct
from dataclasses import replace

from pipelines.errors import ItemError
from pipelines.media.photo.exif import orientation_of
from pipelines.media.photo.ifd import first_ifd, read_ifd
from pipelines.media.photo.metadata.blocks import Metadata

__all__ = ["orientation_beside"]

_TAG = 274
_IN_XMP = re.compile(rb"""tiff:Orientation(?:\s*=\s*["']|>)\s*([1-8])\s*["'<]""")
_KEYWORDS = ("exif:orientation", "tiff:orientation")  # of texts that ImageMagick writes


def orientation_beside(metadata: Metadata) -> tuple[int, str, Metadata]:
    """Orientation 1 to 8 that metadata states, where it stands, and the metadata without a text that will not be true.

    EXIF goes before XMP, and XMP before texts; 1 where none says anything, or what it says is broken.

    Args:
        metadata: of a file whose container states no other orientation than 1.
    """
    stated = _in_exif(metadata.exif)
    if stated:
        return stated, "EXIF", metadata
    found = _IN_XMP.search(metadata.xmp)
    if found:
        return int(found[1]), "XMP", metadata
    for text in metadata.texts:
        if text.keyword.lower() in _KEYWORDS and text.text.strip() in "12345678" and text.text.strip():
            kept = tuple(each for each in metadata.texts if each is not text)
            return int(text.text), f"text {text.keyword}", replace(metadata, texts=kept)
    return 1, "", metadata


def _in_exif(block: bytes) -> int:
    """0 where EXIF says nothing of it."""
    try:
        offset, big, order = first_ifd(block)
        ifd = read_ifd(block, offset, big, order)
    except (ItemError, struct.error):
        return 0
    return orientation_of(ifd) if _TAG in ifd.entries else 0
