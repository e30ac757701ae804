"""The shape of pixels in a Matroska file's header, which PyAV gives no way to set.

FFV1 has it in each frame, too, but many programs read the header alone. The muxer can be made to reserve the place: a
picture that claims to hold two views gets the elements StereoMode and, for half its width, DisplayWidth and DisplayHeight.
Once the file is written, the true display size is written over all three, byte for byte, and the header's checksum renewed.
"""

from __future__ import annotations

import zlib
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO

__all__ = ["RESERVE", "write_pixel_aspect"]

# Tag of the stream that makes the muxer reserve the place.
RESERVE = {"stereo_mode": "left_right"}
_SEGMENT, _TRACKS, _CRC = b"\x18\x53\x80\x67", b"\x16\x54\xae\x6b", b"\xbf\x84"
_STEREO = b"\x53\xb8\x81\x01"
_WIDTH, _HEIGHT, _UNIT = b"\x54\xb0", b"\x54\xba", b"\x54\xb2"
_AS_RATIO = 3  # DisplayUnit: width and height are those of the picture's aspect ratio
_MOST_HEADER = 64 << 20


def write_pixel_aspect(path: Path, width: int, height: int, aspect: Fraction) -> None:
    """Write display size over what `RESERVE` reserved.

    Args:
        path: of a Matroska file with one video stream that was written with the tag `RESERVE`.
        width, height: of its picture.
        aspect: width to height of a pixel.

    Raises:
        ValueError: the place is not there.
        OSError: the file cannot be read or written.
    """
    with path.open("rb+") as file:
        start, tracks = _tracks(file)
        place = tracks.find(_STEREO + _WIDTH)
        if place < 0:
            raise ValueError("the Matroska header has no place for the shape of pixels")
        end = place + len(_STEREO)
        for element in (_WIDTH, _HEIGHT):
            if tracks[end : end + 2] != element:
                raise ValueError("the Matroska header has no place for the shape of pixels")
            end += 3 + (tracks[end + 2] & 0x7F)
        tracks[place:end] = _display(width, height, aspect, end - place)
        if tracks.startswith(_CRC):
            tracks[2:6] = zlib.crc32(memoryview(tracks)[6:]).to_bytes(4, "little")
        file.seek(start)
        file.write(tracks)


def _display(width: int, height: int, aspect: Fraction, room: int) -> bytes:
    """The elements of display size, exactly `room` bytes long: at least 12, and more where sides need more than a byte."""
    shown = width * aspect
    ratio = shown / height
    if shown.denominator != 1 and max(ratio.numerator, ratio.denominator) < 256:
        # No whole number of pixels: then the ratio of the sides, exactly.
        return _pair(ratio.numerator, ratio.denominator, room - 4) + _number(_UNIT, _AS_RATIO, 4)
    return _pair(round(shown), height, room)


def _pair(width: int, height: int, room: int) -> bytes:
    return _number(_WIDTH, width, room // 2) + _number(_HEIGHT, height, room - room // 2)


def _number(element: bytes, value: int, room: int) -> bytes:
    length = room - 3  # zeros before a number are allowed
    return element + bytes([0x80 | length]) + value.to_bytes(length, "big")


def _tracks(file: BinaryIO) -> tuple[int, bytearray]:
    """Where the contents of the element Tracks begin, and the contents."""
    position = 0
    while True:
        file.seek(position)
        head = file.read(12)
        if len(head) < 5:
            raise ValueError("the Matroska file has no Tracks")
        name = head[: _length(head[0])]
        digits = _length(head[len(name)])
        size = int.from_bytes(head[len(name) : len(name) + digits], "big") & ((1 << 7 * digits) - 1)
        position += len(name) + digits
        if name == _TRACKS:
            if size > _MOST_HEADER:
                raise ValueError(f"a Matroska header of {size} bytes")
            file.seek(position)
            return position, bytearray(file.read(size))
        if name != _SEGMENT:  # a Segment is entered, all else is passed over
            position += size


def _length(first: int) -> int:
    """Bytes of an EBML number, by its first."""
    return 9 - first.bit_length()
