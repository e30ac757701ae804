"""Metadata of WebP and JPEG 2000: chunks and boxes of their own."""

from __future__ import annotations

import re
import struct

from pipelines.media.photo.exif import read_exif
from pipelines.media.photo.jp2_boxes import JP2_SIGNATURE, boxes
from pipelines.media.photo.metadata.blocks import MAX_TEXTS, Text
from pipelines.media.photo.metadata.from_jpeg import COMMENT, EXIF_MARK, decode_text
from pipelines.media.photo.metadata.raw import RawBlocks

__all__ = ["EXIF_UUID", "IPTC_UUID", "XMP_UUID", "read_jp2_metadata", "read_webp_metadata"]

EXIF_UUID = b"JpgTiffExif->JP2"
IPTC_UUID = bytes.fromhex("33c7a4d2b81d4723a0baf1a3e097ad38")
XMP_UUID = bytes.fromhex("be7acfcb97a942e89c71999491e3afac")
_START_OF_TILE, _COMMENT = 0xFF90, 0xFF64
# Programs name themselves in every code stream that they write: that is of the source's coding.
_ENCODER = re.compile(r"(Created by OpenJPEG|Kakadu|Creator: JasPer|Created by|LEADTOOLS)")


def read_webp_metadata(data: bytes) -> RawBlocks:
    """What a WebP file, whose structure is sound, says beside its pixels."""
    raw, at = RawBlocks(), 12
    end = min(8 + struct.unpack_from("<I", data, 4)[0], len(data))
    while at + 8 <= end:
        kind, length = struct.unpack_from("<4sI", data, at)
        body = data[at + 8 : min(at + 8 + length, end)] if kind in (b"EXIF", b"XMP ") else b""
        if kind == b"EXIF":
            raw.exif = raw.exif or body.removeprefix(EXIF_MARK)
        elif kind == b"XMP ":
            raw.xmp = raw.xmp or body
        at += 8 + length + length % 2
    return raw


def read_jp2_metadata(data: bytes) -> RawBlocks:
    """What a JPEG 2000 file, whose structure is sound, says beside its pixels."""
    raw = RawBlocks()
    if not data.startswith(JP2_SIGNATURE):
        _comments(data, 0, raw)
        return raw
    streams = 0
    for kind, start, end in boxes(data, 0, len(data)):
        if kind == b"uuid":
            mark, body = data[start : start + 16], data[start + 16 : end]
            if mark == EXIF_UUID and not raw.exif:
                raw.exif = body.removeprefix(EXIF_MARK)
                if (turned := read_exif(raw.exif)[0]) != 1:
                    raw.notes.append(
                        f"metadata: EXIF orientation {turned} was not applied: viewers of JPEG 2000 do not"
                    )
            elif mark == IPTC_UUID:
                raw.iptc = raw.iptc or body
            elif mark == XMP_UUID:
                raw.xmp = raw.xmp or body
        elif kind == b"xml ":
            if len(raw.xml) < MAX_TEXTS:
                raw.xml.append(data[start:end])
        elif kind == b"jp2c" and not streams:
            streams = 1
            _comments(data, start, raw)
    return raw


def _comments(data: bytes, at: int, raw: RawBlocks) -> None:
    """Comments in the main header of the code stream that begins at `at`."""
    at += 2
    while at + 6 <= len(data):
        marker, length, registration = struct.unpack_from(">HHH", data, at)
        if marker == _START_OF_TILE or length < 4:
            return
        text = decode_text(data[at + 6 : at + 2 + length].rstrip(b"\0")) if marker == _COMMENT else ""
        if registration == 1 and text.strip() and not _ENCODER.match(text) and len(raw.texts) < MAX_TEXTS:
            raw.texts.append(Text(COMMENT, text))
        at += 2 + length
