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

__all__ = ["JpegHeader", "header_segments", "read_jpeg"]

SIGNATURE = b"\xff\xd8\xff"
_START_OF_SCAN, _END_OF_IMAGE = 0xDA, 0xD9
# Frames of the Huffman and arithmetic DCT kinds, sequential and progressive, which libjpeg decodes.
_FRAMES = {0xC0, 0xC1, 0xC2, 0xC9, 0xCA}
_OTHER_FRAMES = {0xC3, 0xC5, 0xC6, 0xC7, 0xCB, 0xCD, 0xCE, 0xCF, 0xF7}  # lossless, hierarchical; JPEG-LS
_BARE_MARKERS = {0x01, *range(0xD0, 0xD9)}  # markers without a segment
# What decoders get of the headers: frame, Huffman, arithmetic and quantisation tables, restart interval, JFIF, Adobe's colour
# transform. Metadata is theirs to collect at leisure otherwise, in time that grows with the square of its size.
_PIXEL_SEGMENTS = {*_FRAMES, 0xC4, 0xCC, 0xDB, 0xDD, 0xE0, 0xEE}
# Each scan goes over all coefficients, however few bytes it takes itself: thousands keep a decoder busy for hours. Progressive
# files have 10 scans, the most that optimisers make is about 100.
MAX_SCANS = 500
_MAX_EXIF = 2**24
_NEXT_MARKER = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")  # in coded data 0xFF is followed by 0 or is a restart marker


@dataclass(frozen=True, kw_only=True)
class JpegHeader(Header):
    """Header of a JPEG.

    Attributes:
        stream: a JPEG file of only the segments that pixels need.
    """

    stream: bytes


def read_jpeg(data: bytes) -> JpegHeader:
    """Header of a JPEG file.

    Raises:
        ItemError: "zero_size", "truncated", "corrupt" or "unsupported" (12 bits, lossless, hierarchical, too
            many scans).
    """
    frame: tuple[int, int, int, int] | None = None
    exif, jfif_dpi, profile = bytearray(), None, dict[int, bytes]()
    view, stream = memoryview(data), io.BytesIO()
    stream.write(data[:2])
    start = end = 0
    for marker, start, body in header_segments(data):
        end = start + 4 + len(body)
        if marker in _PIXEL_SEGMENTS:
            stream.write(view[start:end])
        if marker in _OTHER_FRAMES:
            raise ItemError(
                "unsupported", "lossless and hierarchical JPEG are not supported; convert it to TIFF or PNG"
            )
        if marker in _FRAMES and frame is None:
            frame = _frame(body)
        elif marker == 0xE0 and body.startswith(b"JFIF\0") and len(body) >= 12:
            jfif_dpi = _jfif_dpi(body)
        elif marker == 0xE1 and body.startswith(b"Exif\0\0") and len(exif) < _MAX_EXIF:
            exif += body[6:]  # a block of more than 64 KiB goes on in the next segment
        elif marker == 0xE2 and body.startswith(b"ICC_PROFILE\0") and len(body) > 14:
            profile[body[12]] = body[14:]  # numbered from 1; a large profile takes several
    if frame is None:
        raise corrupt("there is no frame header")
    bits, height, width, samples = frame
    _check_scans(data, end)
    stream.write(view[start:])
    orientation, exif_dpi, warnings = read_exif(bytes(exif))
    complete = data.rfind(b"\xff\xd9", end) >= 0
    if not complete:
        warnings = (*warnings, "the end marker is missing: the last rows may be damaged")
    return JpegHeader(
        format="JPEG",
        width=width,
        height=height,
        bits=bits,
        samples=samples,
        icc_profile=b"".join(profile[number] for number in sorted(profile)) or None,
        orientation=orientation,
        dpi=jfif_dpi or exif_dpi,
        complete=complete,
        warnings=warnings,
        stream=stream.getvalue(),
    )


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
    while found := _NEXT_MARKER.search(data, at):
        marker, at = data[found.end() - 1], found.end()
        if marker == _END_OF_IMAGE:
            return
        scans += marker == _START_OF_SCAN
        if scans > MAX_SCANS:
            reason = f"JPEG with more than {MAX_SCANS} scans is not supported; decode and save it again"
            raise ItemError("unsupported", reason)
        if marker not in _BARE_MARKERS and at + 2 <= len(data):
            at += max(struct.unpack_from(">H", data, at)[0], 2)


def _frame(body: bytes) -> tuple[int, int, int, int]:
    bits, height, width, samples = struct.unpack(">BHHB", need(body, 0, 6, "the frame header"))
    if bits != 8:
        raise ItemError(
            "unsupported", f"JPEG with {bits} bits a sample is not supported; convert it to 16-bit TIFF or PNG"
        )
    check_sides(width, height)
    if samples not in (1, 3, 4):
        raise ItemError("unsupported", f"JPEG with {samples} channels is not supported; convert it to TIFF or PNG")
    return bits, height, width, samples


def _jfif_dpi(body: bytes) -> tuple[float, float] | None:
    unit, horizontal, vertical = struct.unpack_from(">BHH", body, 7)
    scale = {1: 1.0, 2: 2.54}.get(unit)  # inch, centimetre; 0 is only an aspect ratio
    return usable_dpi(horizontal * scale, vertical * scale) if scale else None
