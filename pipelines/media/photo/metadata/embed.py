"""Blocks put into an encoded file, where each format's readers look for them; pixels and structure stay as they are."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable, Iterator
from typing import BinaryIO

from pipelines.media.photo.ifd import first_ifd
from pipelines.media.photo.jp2_boxes import boxes
from pipelines.media.photo.metadata.blocks import Text
from pipelines.media.photo.metadata.fit import Embedded
from pipelines.media.photo.metadata.from_boxes import EXIF_UUID, IPTC_UUID, XMP_UUID
from pipelines.media.photo.metadata.from_jpeg import EXIF_MARK, EXTENSION_MARK, PHOTOSHOP_MARK, XMP_MARK
from pipelines.media.photo.metadata.from_png import RAW_PROFILE
from pipelines.media.photo.metadata.from_tiff import DESCRIPTIVE
from pipelines.media.photo.metadata.packet import split_packet
from pipelines.media.photo.metadata.photoshop import join_resources
from pipelines.media.photo.metadata.tag_tables import EXIF, Entry, Table, read_tables, turned, write_tables

__all__ = ["MAX_JPEG_XMP", "add_tiff_blocks", "embed", "png_chunks"]

MAX_JPEG_XMP = 65_502  # bytes of a packet in one segment of JPEG
_SEGMENT = 65_533  # bytes of a segment's body
_EXTENSION_PART = 65_400
_IPTC, _PHOTOSHOP = 33723, 34377  # TIFF tags
_NOT_IN_TIFF = (37121, 40962, 40963)  # order of components, sizes: the EXIF standard has them for compressed pictures
_WEBP_EXIF, _WEBP_XMP, _WEBP_ALPHA = 0x08, 0x04, 0x10  # flags of VP8X


def embed(file: bytes, format: str, blocks: Embedded) -> bytes:
    """The file with the blocks in it, but for XMP, which encoders write; JPEG's is written here where it is too large for one
    segment, and JPEG 2000's always.

    Args:
        file: whole, as an encoder wrote it.
        format: "PNG", "TIFF", "JPEG", "WEBP" or "JPEG2000".
        blocks: of `fit_metadata`.
    """
    return _WRITERS[format](file, blocks)


def _jpeg(file: bytes, blocks: Embedded) -> bytes:
    at = 2
    if file[2:4] == b"\xff\xe0":  # JFIF comes first
        at += 2 + int.from_bytes(file[4:6], "big")
    parts = []
    if blocks.exif:
        parts.append(_segment(0xE1, EXIF_MARK + blocks.exif))
    if len(blocks.xmp) > MAX_JPEG_XMP:
        main, extension, digest = split_packet(blocks.xmp, MAX_JPEG_XMP)
        parts.append(_segment(0xE1, XMP_MARK + main))
        for start in range(0, len(extension), _EXTENSION_PART):
            head = EXTENSION_MARK + digest.encode() + struct.pack(">II", len(extension), start)
            parts.append(_segment(0xE1, head + extension[start : start + _EXTENSION_PART]))
    resources = join_resources(blocks.iptc, blocks.photoshop)
    room = _SEGMENT - len(PHOTOSHOP_MARK)
    parts += [
        _segment(0xED, PHOTOSHOP_MARK + resources[start : start + room]) for start in range(0, len(resources), room)
    ]
    parts += [_segment(0xFE, text.text.encode()) for text in blocks.texts]
    return file[:at] + b"".join(parts) + file[at:]


def _segment(marker: int, body: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body


def _png(file: bytes, blocks: Embedded) -> bytes:
    at = next(start for kind, start in _png_parts(file) if kind == b"IDAT")
    return file[:at] + png_chunks(blocks) + file[at:]


def png_chunks(blocks: Embedded) -> bytes:
    """PNG's chunks of what is not XMP, to stand before the pixels."""
    parts = [_chunk(b"eXIf", blocks.exif)] if blocks.exif else []
    if resources := join_resources(blocks.iptc, blocks.photoshop):
        digits = resources.hex()
        lines = "\n".join(digits[start : start + 72] for start in range(0, len(digits), 72))
        text = f"\niptc\n{len(resources):8d}\n{lines}\n"
        parts.append(_chunk(b"zTXt", f"{RAW_PROFILE}iptc".encode() + b"\0\0" + zlib.compress(text.encode(), 6)))
    parts += [_png_text(text) for text in blocks.texts]
    return b"".join(parts)


def _png_parts(file: bytes) -> Iterator[tuple[bytes, int]]:
    at = 8
    while at < len(file):
        length, kind = struct.unpack_from(">I4s", file, at)
        yield kind, at
        at += 12 + length


def _png_text(text: Text) -> bytes:
    keyword = text.keyword.encode("latin-1")
    if not text.language:
        try:
            return _chunk(b"tEXt", keyword + b"\0" + text.text.replace("\0", " ").encode("latin-1"))
        except UnicodeEncodeError:
            pass
    language = text.language.encode("ascii", "replace").replace(b"\0", b"")
    return _chunk(b"iTXt", keyword + b"\0\0\0" + language + b"\0\0" + text.text.encode())


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(body, zlib.crc32(kind)))


def _webp(file: bytes, blocks: Embedded) -> bytes:
    if not blocks.exif:
        return file
    chunks = [(kind, body) for kind, body in _riff(file) if kind != b"EXIF"]
    if chunks[0][0] != b"VP8X":
        chunks.insert(0, (b"VP8X", _canvas(*chunks[0])))
    flags = bytes([chunks[0][1][0] | _WEBP_EXIF])
    chunks[0] = (b"VP8X", flags + chunks[0][1][1:])
    place = next((place for place, (kind, _) in enumerate(chunks) if kind == b"XMP "), len(chunks))
    chunks.insert(place, (b"EXIF", blocks.exif))
    body = b"".join(
        kind + struct.pack("<I", len(content)) + content + bytes(len(content) % 2) for kind, content in chunks
    )
    return b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body


def _riff(file: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = 12
    while at + 8 <= len(file):
        kind, length = struct.unpack_from("<4sI", file, at)
        yield kind, file[at + 8 : at + 8 + length]
        at += 8 + length + length % 2


def _canvas(kind: bytes, body: bytes) -> bytes:
    """VP8X, which metadata needs, of lossless image data."""
    if kind != b"VP8L":
        raise ValueError(f"WebP with {kind!r} alone is not what is written here")
    bits = int.from_bytes(body[1:5], "little")
    flags = _WEBP_ALPHA if bits >> 28 & 1 else 0
    return (
        struct.pack("<I", flags) + (bits & 0x3FFF).to_bytes(3, "little") + (bits >> 14 & 0x3FFF).to_bytes(3, "little")
    )


def _tiff(file: bytes, blocks: Embedded) -> bytes:
    whole = io.BytesIO(file)
    add_tiff_blocks(whole, blocks)
    return whole.getvalue()


def add_tiff_blocks(file: BinaryIO, blocks: Embedded, page: int = 0) -> None:
    """Add what is not XMP to a whole TIFF or BigTIFF: a page's table is written anew, at the end.

    Args:
        file: must seek, read and write.
        blocks: of `fit_metadata`.
        page: its number, from 0.
    """
    file.seek(0)
    at, big, order = first_ifd(file.read(16))
    table = _tiff_table(blocks, order)
    if not table.entries and not table.children:
        return
    count_code, pointer_code, size = ("Q", "Q", 20) if big else ("H", "I", 12)
    pointer = 8 if big else 4
    for _ in range(page):
        file.seek(at)
        (count,) = struct.unpack(order + count_code, file.read(struct.calcsize(count_code)))
        pointer = file.seek(count * size, io.SEEK_CUR)
        (at,) = struct.unpack(order + pointer_code, file.read(struct.calcsize(pointer_code)))
    file.seek(at)
    (count,) = struct.unpack(order + count_code, file.read(struct.calcsize(count_code)))
    records = [file.read(size) for _ in range(count)]
    fixed = {struct.unpack_from(order + "H", record)[0]: record for record in records}
    (following,) = struct.unpack(order + pointer_code, file.read(struct.calcsize(pointer_code)))
    end = file.seek(0, io.SEEK_END)
    file.write(bytes(-end % 8))
    end += -end % 8
    added = Table(table.entries, table.children, following=following)
    file.write(write_tables(added, end, order, big, fixed))
    file.seek(pointer)
    file.write(struct.pack(order + pointer_code, end))


def _tiff_table(blocks: Embedded, order: str) -> Table:
    """The tags of a first page that hold the blocks."""
    table = Table()
    if blocks.exif:
        root, _, written_in, _ = read_tables(blocks.exif)
        table = Table({tag: entry for tag, entry in root.entries.items() if tag in DESCRIPTIVE}, root.children)
        for tag in _NOT_IN_TIFF if EXIF in table.children else ():
            table.children[EXIF].entries.pop(tag, None)
        if written_in != order:
            table = _turned(table)
    if blocks.iptc:
        table.entries[_IPTC] = Entry(4, blocks.iptc + bytes(-len(blocks.iptc) % 4))  # as Adobe has it, in no byte order
    if others := join_resources(b"", blocks.photoshop):
        table.entries[_PHOTOSHOP] = Entry(1, others)
    return table


def _turned(table: Table) -> Table:
    return Table(
        {tag: turned(tag, entry) for tag, entry in table.entries.items()},
        {tag: _turned(child) for tag, child in table.children.items()},
    )


def _jp2(file: bytes, blocks: Embedded) -> bytes:
    marked = ((EXIF_UUID, blocks.exif), (IPTC_UUID, blocks.iptc), (XMP_UUID, blocks.xmp))
    parts = [_box(b"uuid", mark + block) for mark, block in marked if block]
    parts += [_box(b"xml ", part) for part in blocks.xml]
    at = next(start for kind, start, _ in boxes(file, 0, len(file)) if kind == b"jp2c")
    at -= 16 if file[at - 16 : at - 8] == b"\0\0\0\x01jp2c" else 8
    return file[:at] + b"".join(parts) + file[at:]


def _box(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body) + 8) + kind + body


_WRITERS: dict[str, Callable[[bytes, Embedded], bytes]] = {
    "PNG": _png,
    "TIFF": _tiff,
    "JPEG": _jpeg,
    "WEBP": _webp,
    "JPEG2000": _jp2,
}
