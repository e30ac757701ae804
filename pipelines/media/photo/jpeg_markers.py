"""JPEG structure: every marker segment is walked, and only those that pixels need reach a decoder."""

from __future__ import annotations

import io
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass

from pipelines.errors import ItemError
from pipelines.media.photo.exif import read_exif
from pipelines.media.photo.header import Header, check_sides, corrupt, need, usable_dpi

__all__ = ["Frame", "JpegHeader", "Scan", "header_segments", "read_frame", "read_jpeg", "scans_of"]

SIGNATURE = b"\xff\xd8\xff"
_START_OF_SCAN, _END_OF_IMAGE = 0xDA, 0xD9
# Frames that libjpeg decodes: the Huffman and arithmetic DCT kinds, sequential and progressive, and lossless Huffman.
_LOSSLESS = 0xC3
_PROGRESSIVE = {0xC2, 0xCA}
_FRAMES = {0xC0, 0xC1, 0xC2, _LOSSLESS, 0xC9, 0xCA}
_OTHER_FRAMES = {
    0xC5,
    0xC6,
    0xC7,
    0xCB,
    0xCD,
    0xCE,
    0xCF,
    0xF7,
}  # hierarchical, lossless with arithmetic codes; JPEG-LS
_BARE_MARKERS = {0x01, *range(0xD0, 0xD9)}  # markers without a segment
# What decoders get of the headers: frame, Huffman, arithmetic and quantisation tables, restart interval, JFIF, Adobe's colour
# transform. Metadata is theirs to collect at leisure otherwise, in time that grows with the square of its size.
_PIXEL_SEGMENTS = {*_FRAMES, 0xC4, 0xCC, 0xDB, 0xDD, 0xE0, 0xEE}
# Each scan goes over all coefficients, however few bytes it takes itself: thousands keep a decoder busy for hours. Progressive
# files have 10 scans, the most that optimisers make is about 100.
MAX_SCANS = 500
_MAX_EXIF = 2**24
_NEXT_MARKER = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")  # in coded data 0xFF is followed by 0 or is a restart marker


@dataclass(frozen=True)
class Frame:
    """What a JPEG's frame header says: bits of a sample, rows, columns, channels, and whether it is lossless."""

    bits: int
    height: int
    width: int
    samples: int
    lossless: bool


@dataclass(frozen=True, kw_only=True)
class JpegHeader(Header):
    """Header of a JPEG.

    Attributes:
        stream: a JPEG file of only the segments that pixels need.
        lossless: its pixels are predicted from their neighbours, not transformed.
    """

    stream: bytes
    lossless: bool


@dataclass(frozen=True)
class Scan:
    """One pass over the picture, as its header has it.

    Attributes:
        progressive: whether it is one of several that refine each other.
        components_of_frame: numbers of all the picture's channels.
        components: numbers of those that it holds.
        first, last: coefficients that it holds, 0 to 63.
        low: bits of these that later scans bring; 0 where it brings the last.
    """

    progressive: bool
    components_of_frame: tuple[int, ...]
    components: tuple[int, ...]
    first: int
    last: int
    low: int


def read_jpeg(data: bytes) -> JpegHeader:
    """Header of a JPEG file.

    Raises:
        ItemError: "zero_size", "truncated", "corrupt" or "unsupported" (hierarchical, arithmetic lossless, CMYK of
            more than 8 bits, too many scans).
    """
    frame: Frame | None = None
    exif, jfif_dpi, profile = bytearray(), None, dict[int, bytes]()
    view, stream = memoryview(data), io.BytesIO()
    stream.write(data[:2])
    start = end = 0
    for marker, start, body in header_segments(data):
        end = start + 4 + len(body)
        if marker in _PIXEL_SEGMENTS and not _is_stump(marker, body):
            stream.write(view[start:end])
        if marker in _FRAMES | _OTHER_FRAMES and frame is None:
            frame = _frame(marker, body)
        elif marker == 0xE0 and body.startswith(b"JFIF\0") and len(body) >= 12:
            jfif_dpi = _jfif_dpi(body)
        elif marker == 0xE1 and body.startswith(b"Exif\0\0") and len(exif) < _MAX_EXIF:
            exif += body[6:]  # a block of more than 64 KiB goes on in the next segment
        elif marker == 0xE2 and body.startswith(b"ICC_PROFILE\0") and len(body) > 14:
            profile[body[12]] = body[14:]  # numbered from 1; a large profile takes several
    if frame is None:
        raise corrupt("there is no frame header")
    _check_scans(data, end)
    stream.write(view[start:])
    orientation, exif_dpi, warnings = read_exif(bytes(exif))
    complete = data.rfind(b"\xff\xd9", end) >= 0
    if not complete:
        warnings = (*warnings, "the end marker is missing")
    return JpegHeader(
        format="JPEG",
        width=frame.width,
        height=frame.height,
        bits=frame.bits,
        samples=frame.samples,
        icc_profile=b"".join(profile[number] for number in sorted(profile)) or None,
        orientation=orientation,
        dpi=jfif_dpi or exif_dpi,
        complete=complete,
        warnings=warnings,
        stream=stream.getvalue(),
        lossless=frame.lossless,
    )


def read_frame(data: bytes) -> Frame:
    """The frame of a JPEG that lies inside another file, whose scans are few enough to decode.

    Raises:
        ItemError: as `read_jpeg`.
    """
    if not data.startswith(SIGNATURE[:2]):
        raise corrupt("there is no JPEG where one belongs")
    frame: Frame | None = None
    end = 0
    for marker, start, body in header_segments(data):
        end = start + 4 + len(body)
        if marker in _FRAMES | _OTHER_FRAMES and frame is None:
            frame = _frame(marker, body)
    if frame is None:
        raise corrupt("there is no frame header")
    _check_scans(data, end)
    return frame


def _is_stump(marker: int, body: bytes) -> bool:
    """Whether it is a JFIF or Adobe segment without what belongs into it, on which decoders stumble."""
    least = {0xE0: (b"JFIF\0", 14), 0xEE: (b"Adobe", 12)}.get(marker)
    return least is not None and not (body.startswith(least[0]) and len(body) >= least[1])


def header_segments(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Marker, place and body of each segment of the headers; the last is the start of the first scan."""
    at = 2
    while True:
        # Stray bytes between segments are skipped, as every decoder does.
        at = data.find(b"\xff", at)
        if at < 0:
            at = len(data)
        marker = need(data, at, 2, "the headers before the picture")[1]
        if marker in (0x00, 0xFF):
            at += 1
            continue
        if marker in _BARE_MARKERS:
            at += 2
            continue
        if marker == _END_OF_IMAGE:
            raise corrupt("the image ends before its first scan")
        (length,) = struct.unpack(">H", need(data, at + 2, 2, "the headers before the picture"))
        if length < 2:
            raise corrupt("a header segment has an impossible length")
        yield marker, at, need(data, at + 4, length - 2, "the headers before the picture")
        if marker == _START_OF_SCAN:
            return
        at += 2 + length


def _check_scans(data: bytes, at: int) -> None:
    """Refuse a picture of too many scans; `at` is where the coded data of the first begins."""
    scans = 1
    for marker, _ in _later_segments(data, at):
        scans += marker == _START_OF_SCAN
        if scans > MAX_SCANS:
            reason = f"JPEG with more than {MAX_SCANS} scans is not supported; decode and save it again"
            raise ItemError("unsupported", reason)


def _later_segments(data: bytes, at: int) -> Iterator[tuple[int, int]]:
    """Marker and place of the length of each segment behind the first scan's header, up to the end of the image."""
    while found := _NEXT_MARKER.search(data, at):
        marker, at = data[found.end() - 1], found.end()
        if marker == _END_OF_IMAGE:
            return
        yield marker, at
        if marker not in _BARE_MARKERS and at + 2 <= len(data):
            at += max(struct.unpack_from(">H", data, at)[0], 2)


def scans_of(data: bytes) -> list[Scan]:
    """The scans of a JPEG whose headers are whole; those whose own headers are not are left out."""
    numbers: tuple[int, ...] = ()
    progressive, places, end = False, list[int](), 0
    for marker, start, body in header_segments(data):
        end = start + 4 + len(body)
        if marker in _FRAMES and not numbers:
            numbers, progressive = tuple(body[6::3][: body[5]]), marker in _PROGRESSIVE
        places = [start + 4]
    places += [at + 2 for marker, at in _later_segments(data, end) if marker == _START_OF_SCAN]
    scans = []
    for at in places:
        count = data[at] if at < len(data) else 0
        tail = data[at + 1 + 2 * count : at + 4 + 2 * count]
        if count and len(tail) == 3 and tail[0] <= tail[1] < 64:
            held = tuple(data[at + 1 : at + 1 + 2 * count : 2])
            scans.append(Scan(progressive, numbers, held, tail[0], tail[1], tail[2] & 15))
    return scans


def _frame(marker: int, body: bytes) -> Frame:
    if marker in _OTHER_FRAMES:
        kind = "hierarchical JPEG, JPEG-LS and lossless JPEG with arithmetic codes are not supported"
        raise ItemError("unsupported", f"{kind}; convert it to TIFF or PNG")
    bits, height, width, samples = struct.unpack(">BHHB", need(body, 0, 6, "the frame header"))
    lossless = marker == _LOSSLESS
    if bits not in (8, 12) and not (lossless and 8 < bits <= 16):
        raise ItemError(
            "unsupported", f"JPEG with {bits} bits a sample is not supported; convert it to 16-bit TIFF or PNG"
        )
    check_sides(width, height)
    if samples not in (1, 3, 4) or (samples == 4 and bits > 8):
        what = f"{samples} channels of {bits} bits"
        raise ItemError("unsupported", f"JPEG with {what} is not supported; convert it to TIFF or PNG")
    return Frame(bits, height, width, samples, lossless)


def _jfif_dpi(body: bytes) -> tuple[float, float] | None:
    unit, horizontal, vertical = struct.unpack_from(">BHH", body, 7)
    scale = {1: 1.0, 2: 2.54}.get(unit)  # inch, centimetre; 0 is only an aspect ratio
    return usable_dpi(horizontal * scale, vertical * scale) if scale else None
