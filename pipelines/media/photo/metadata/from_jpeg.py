"""Metadata of JPEG: application segments and comments before the first scan."""

from __future__ import annotations

import struct

from pipelines.media.photo.jpeg_markers import header_segments
from pipelines.media.photo.metadata.blocks import MAX_BLOCK, MAX_TEXTS, Text
from pipelines.media.photo.metadata.raw import RawBlocks

__all__ = ["COMMENT", "EXIF_MARK", "EXTENSION_MARK", "PHOTOSHOP_MARK", "XMP_MARK", "decode_text", "read_jpeg_metadata"]

EXIF_MARK, XMP_MARK = b"Exif\0\0", b"http://ns.adobe.com/xap/1.0/\0"
EXTENSION_MARK, PHOTOSHOP_MARK = b"http://ns.adobe.com/xmp/extension/\0", b"Photoshop 3.0\0"
COMMENT = "Comment"  # the keyword that PNG has for it
_APP1, _APP13, _COM = 0xE1, 0xED, 0xFE
_GUID = 32  # characters of an MD5 digest


def read_jpeg_metadata(data: bytes) -> RawBlocks:
    """What a JPEG file, whose structure is sound, says beside its pixels."""
    raw = RawBlocks()
    exif, photoshop = bytearray(), bytearray()
    extensions: dict[bytes, dict[int, bytes]] = {}
    for marker, _, body in header_segments(data):
        if marker == _APP1 and body.startswith(EXIF_MARK) and len(exif) <= MAX_BLOCK:
            exif += body[len(EXIF_MARK) :]  # a block of more than 64 KiB goes on in the next segment
        elif marker == _APP1 and body.startswith(XMP_MARK):
            raw.xmp = raw.xmp or body[len(XMP_MARK) :]
        elif marker == _APP1 and body.startswith(EXTENSION_MARK) and len(body) > len(EXTENSION_MARK) + _GUID + 8:
            rest = body[len(EXTENSION_MARK) :]
            (place,) = struct.unpack_from(">I", rest, _GUID + 4)
            if len(extensions) < 8:
                extensions.setdefault(rest[:_GUID], {})[place] = rest[_GUID + 8 :]
        elif marker == _APP13 and body.startswith(PHOTOSHOP_MARK) and len(photoshop) <= MAX_BLOCK:
            photoshop += body[len(PHOTOSHOP_MARK) :]
        elif marker == _COM and body.strip(b"\0 ") and len(raw.texts) < MAX_TEXTS:
            raw.texts.append(Text(COMMENT, decode_text(body.rstrip(b"\0"))))
    raw.exif, raw.photoshop = bytes(exif), bytes(photoshop)
    _extend(raw, extensions)
    return raw


def _extend(raw: RawBlocks, extensions: dict[bytes, dict[int, bytes]]) -> None:
    """Take the one extension that the packet names, if all of its parts are there."""
    for guid, parts in extensions.items():
        whole = b"".join(parts[place] for place in sorted(parts))
        expected = 0
        for place in sorted(parts):
            if place != expected:
                expected = -1
                break
            expected += len(parts[place])
        if guid not in raw.xmp:
            raw.broken.append(("an extension of XMP", "is named by no packet", whole))
        elif expected < 0 or len(whole) > MAX_BLOCK:
            raw.broken.append(("the extension of XMP", "has gaps, or is too large", whole))
        else:
            raw.xmp_extension = whole


def decode_text(data: bytes) -> str:
    """Text whose encoding nobody states: UTF-8 where it is that, else Latin-1, which every byte is."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("latin-1")
