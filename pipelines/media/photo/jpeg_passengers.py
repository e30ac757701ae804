"""What a JPEG file carries besides its picture: further images (MPF), gain maps, the film of a motion photo."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator

from pipelines.errors import ItemError
from pipelines.media.photo.ifd import first_ifd, read_ifd

__all__ = ["jpeg_passengers"]

_START_OF_SCAN = 0xDA
_XMP = (b"http://ns.adobe.com/xap/1.0/\0", b"http://ns.adobe.com/xmp/extension/\0")
_GAIN_MAP_MARK = b"urn:iso:std:iso:ts:21496:-1"  # ISO 21496-1
_GAIN_MAP = re.compile(rb"hdrgm:Version|HDRGainMap|Semantic=\"GainMap\"")
_MOTION = re.compile(rb"(?:MotionPhoto|MicroVideo)(?:=[\"']|>)1")  # Google's camera, as attribute or element
_MOTION_MARK = b"MotionPhoto_Data"  # Samsung's, after the picture
_IMAGES = 0xB001  # tag of the multi-picture format: number of images


def jpeg_passengers(data: bytes) -> tuple[str, ...]:
    """A line for each kind of thing in a JPEG file that is not its picture.

    Args:
        data: a file whose header segments are whole.
    """
    images, gain_map, motion = 1, False, _MOTION_MARK in data[-(1 << 24) :]
    for marker, body in _segments(data):
        if marker == 0xE2 and body.startswith(b"MPF\0"):
            images = max(images, _count(body[4:]))
        gain_map |= marker == 0xE2 and body.startswith(_GAIN_MAP_MARK)
        if marker == 0xE1 and body.startswith(_XMP):
            gain_map |= _GAIN_MAP.search(body) is not None
            motion |= _MOTION.search(body) is not None
    notes = []
    if gain_map:
        notes.append("a gain map, which brightens the picture on HDR screens: it is not restored")
    if images > 1 + gain_map:
        notes.append(f"{images} images (multi-picture format): only the first is restored")
    if motion:
        notes.append("a motion photo: its film is not restored")
    return tuple(notes)


def _segments(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Marker and body of each application segment before the first scan."""
    at = 2
    while (at := data.find(b"\xff", at)) >= 0 and at + 4 <= len(data):
        marker = data[at + 1]
        if marker == _START_OF_SCAN:
            return
        if marker in (0x00, 0xFF) or 0xD0 <= marker <= 0xD8 or marker == 0x01:
            at += 1 if marker in (0x00, 0xFF) else 2
            continue
        (length,) = struct.unpack_from(">H", data, at + 2)
        if 0xE0 <= marker <= 0xEF:
            yield marker, data[at + 4 : at + 2 + length]
        at += 2 + max(length, 2)


def _count(block: bytes) -> int:
    """Images that the index of a multi-picture file names; 1 where it is broken."""
    try:
        offset, big, order = first_ifd(block)
        return read_ifd(block, offset, big, order).number(_IMAGES, 1)
    except (ItemError, struct.error):
        return 1
