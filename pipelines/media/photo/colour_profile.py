"""ICC profiles: what they are called, whether they are sound, and whether they fit the pixels."""

from __future__ import annotations

import struct

import imagecodecs
import numpy as np

__all__ = ["colour_space_of", "description", "fits", "is_sound"]

# Colour space signature in a profile's header -> channels of colour, for the spaces a photo can be in.
_CHANNELS = {b"RGB ": 3, b"GRAY": 1}
_HEADER_SIZE = 128


def colour_space_of(profile: bytes) -> bytes | None:
    """The four-byte colour space signature (b"RGB ", b"GRAY", b"CMYK", ...); None when the bytes are not a profile."""
    if len(profile) < _HEADER_SIZE + 4 or profile[36:40] != b"acsp":
        return None
    # The header states the profile's length: a cut profile must not travel on into results.
    if struct.unpack_from(">I", profile)[0] > len(profile):
        return None
    return profile[16:20]


def fits(profile: bytes, colour_channels: int) -> bool:
    """Whether pixels of 1 (grey) or 3 (RGB) colour channels can be in this profile's space."""
    return _CHANNELS.get(colour_space_of(profile) or b"") == colour_channels


def is_sound(profile: bytes) -> bool:
    """Whether a profile of grey or RGB keeps its tags inside itself, and colours can be computed with it.

    One that holds no colours at all, only a name, passes: programs that cannot use it leave pixels as they are.
    """
    (count,) = struct.unpack_from(">I", profile, _HEADER_SIZE)
    end = _HEADER_SIZE + 4 + 12 * count
    if end > len(profile):
        return False
    tags = [struct.unpack_from(">4sII", profile, place) for place in range(_HEADER_SIZE + 4, end, 12)]
    if any(offset + size > len(profile) for _, offset, size in tags):
        return False
    if not {name for name, _, _ in tags} & {b"rXYZ", b"kTRC", b"A2B0"}:
        return True
    space, channels = ("gray", 1) if colour_space_of(profile) == b"GRAY" else ("rgb", 3)
    try:
        pixel = np.zeros((1, 1, channels) if channels == 3 else (1, 1), np.uint8)
        imagecodecs.cms_transform(
            pixel, profile, imagecodecs.cms_profile("srgb"), colorspace=space, outcolorspace="rgb"
        )
    except (RuntimeError, ValueError):
        return False
    return True


def description(profile: bytes) -> str:
    """One line that names the profile, "unnamed profile" when it does not say.

    Read here rather than by lcms: a name is wanted of every profile, and hostile ones should meet little code.
    """
    (count,) = struct.unpack_from(">I", profile, _HEADER_SIZE)
    table = profile[_HEADER_SIZE + 4 : _HEADER_SIZE + 4 + 12 * min(count, 100)]
    for position in range(0, len(table) - 11, 12):
        tag, offset, size = struct.unpack_from(">4sII", table, position)
        if tag == b"desc":
            name = " ".join(_text(profile[offset : offset + min(size, 4096)]).split())
            return "".join(letter for letter in name if letter.isprintable()) or "unnamed profile"
    return "unnamed profile"


def _text(body: bytes) -> str:
    if body[:4] == b"desc" and len(body) >= 12:  # version 2: length, then ASCII
        return body[12 : 12 + struct.unpack_from(">I", body, 8)[0]].split(b"\0")[0].decode("latin-1")
    if body[:4] == b"mluc" and len(body) >= 28:  # version 4: records of (language, length, offset), UTF-16
        length, offset = struct.unpack_from(">II", body, 20)
        return body[offset : offset + length].decode("utf-16-be", "ignore")
    return ""
