"""Metadata of PNG: its EXIF chunk, its text chunks, and the blocks that ImageMagick and others put into text chunks."""

from __future__ import annotations

import binascii
import struct
import zlib
from collections.abc import Iterator

from pipelines.media.photo.metadata.blocks import MAX_BLOCK, MAX_TEXTS, Text
from pipelines.media.photo.metadata.from_jpeg import EXIF_MARK, XMP_MARK
from pipelines.media.photo.metadata.raw import RawBlocks
from pipelines.media.photo.png_chunks import SIGNATURE

__all__ = ["RAW_PROFILE", "read_png_metadata"]

XMP_KEYWORD = "XML:com.adobe.xmp"
RAW_PROFILE = "Raw profile type "  # ImageMagick's keyword of a block in hexadecimal digits, before its kind
_KINDS = (b"eXIf", b"tEXt", b"zTXt", b"iTXt")
_MAX_UNPACKED = 2 * MAX_BLOCK  # of all chunks together: a kilobyte can unpack to a megabyte


def read_png_metadata(data: bytes) -> RawBlocks:
    """What a PNG file, whose structure is sound, says beside its pixels."""
    raw, left = RawBlocks(), _MAX_UNPACKED
    for kind, body, intact in _chunks(data):
        name = f"chunk {kind.decode()}"
        if len(raw.texts) + len(raw.broken) >= MAX_TEXTS:
            raw.notes.append(f"metadata: of the text chunks {MAX_TEXTS} were read")
            break
        if not intact:
            raw.broken.append((name, "has a wrong check sum", body))
        elif kind == b"eXIf":
            raw.exif = raw.exif or body.removeprefix(EXIF_MARK)
        elif (found := _text(kind, body, min(left, MAX_BLOCK))) is None:
            left -= 0 if kind == b"tEXt" else min(left, MAX_BLOCK, 1032 * len(body))  # the most that deflate packs
            raw.broken.append((name, "cannot be read, or unpacks to too much", body))
        else:
            left -= 0 if kind == b"tEXt" else len(found.text)
            _sort(raw, found)
    return raw


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes, bool]]:
    at = len(SIGNATURE)
    while at + 12 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        if kind == b"IEND" or at + 12 + length > len(data):
            return
        if kind in _KINDS:
            body = data[at + 8 : at + 8 + length]
            (stated,) = struct.unpack_from(">I", data, at + 8 + length)
            yield kind, body, zlib.crc32(body, zlib.crc32(kind)) == stated
        at += 12 + length


def _text(kind: bytes, body: bytes, most: int) -> Text | None:
    """A text chunk; None where it is none."""
    keyword, zero, rest = body.partition(b"\0")
    if not zero or not 1 <= len(keyword) <= 79:
        return None
    packed, language, encoding = kind == b"zTXt", b"", "latin-1"
    if kind == b"iTXt":
        language, zero, rest_of = rest[2:].partition(b"\0")
        _translated, second, content = rest_of.partition(b"\0")
        if len(rest) < 2 or not zero or not second:
            return None
        packed, rest, encoding = rest[0] == 1, content, "utf-8"
    elif packed:
        rest = rest[1:]
    if packed:
        unpacker = zlib.decompressobj()
        try:
            rest = unpacker.decompress(rest, max(most, 1))
        except zlib.error:
            return None
        if unpacker.unconsumed_tail or not unpacker.eof:
            return None
    return Text(keyword.decode("latin-1"), rest.decode(encoding, "replace"), language.decode("ascii", "replace"))


def _sort(raw: RawBlocks, found: Text) -> None:
    """Put a text where it belongs: many are blocks in disguise, and some are thumbnails."""
    if found.keyword == XMP_KEYWORD:
        raw.xmp = raw.xmp or found.text.encode()
    elif found.keyword.startswith(RAW_PROFILE):
        _unfold(raw, found)
    elif not found.keyword.startswith("Thumb::"):  # of the freedesktop's thumbnails, which speak of another file
        raw.texts.append(found)


def _unfold(raw: RawBlocks, found: Text) -> None:
    """A raw profile: a line with its kind, one with its size, then hexadecimal digits."""
    kind = found.keyword.removeprefix(RAW_PROFILE).strip().lower()
    try:
        _, size, digits = found.text.strip().split("\n", 2)
        block = binascii.unhexlify("".join(digits.split()))
        if len(block) != int(size):
            raise ValueError("sizes differ")
    except ValueError:
        raw.broken.append((f"the profile {ascii(kind)[1:-1][:20]} in a text chunk", "is broken", found.text.encode()))
        return
    if kind in ("exif", "app1") and block.startswith(EXIF_MARK):
        raw.exif = raw.exif or block.removeprefix(EXIF_MARK)
    elif kind == "exif":
        raw.exif = raw.exif or block
    elif kind == "app1" and block.startswith(XMP_MARK):
        raw.xmp = raw.xmp or block.removeprefix(XMP_MARK)
    elif kind == "xmp":
        raw.xmp = raw.xmp or block
    elif kind in ("iptc", "8bim") and block.startswith(b"8BIM"):
        raw.photoshop = raw.photoshop or block
    elif kind == "iptc":
        raw.iptc = raw.iptc or block
    elif kind not in ("icc", "icm"):
        raw.broken.append((f"the profile {ascii(kind)[1:-1][:20]} in a text chunk", "is of an unknown kind", block))
