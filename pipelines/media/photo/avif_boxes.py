"""AVIF structure: the boxes that say how large the picture is, how deep, which way is up, and in which colours."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from pipelines.errors import ItemError
from pipelines.media.photo.header import RECOPY, Header, check_sides, corrupt

__all__ = ["AvifHeader", "is_avif", "read_avif"]

_MAX_BOXES = 10_000
_SPARE = 1 << 20  # pixels that a part may always have
# Turns anticlockwise and mirror (None, 0 top to bottom, 1 left to right) to EXIF orientation; the turn comes first.
_ORIENTATIONS = {
    (0, None): 1, (1, None): 8, (2, None): 3, (3, None): 6,
    (0, 0): 4, (1, 0): 5, (2, 0): 2, (3, 0): 7,
    (0, 1): 2, (1, 1): 7, (2, 1): 4, (3, 1): 5,
}  # fmt: skip
# Transfer curves, by number of ITU-T H.273, that are the camera's or sRGB's: all else is high dynamic range or linear.
_USUAL_CURVES = {1, 2, 6, 13, 14, 15}
_USUAL_PRIMARIES = {1, 2, 5, 6}


@dataclass(frozen=True, kw_only=True)
class AvifHeader(Header):
    """Header of an AVIF file, of its primary picture."""


def is_avif(data: bytes) -> bool:
    """Whether a file of the ISO base media format holds AVIF."""
    if data[4:8] != b"ftyp":
        return False
    brands = data[8 : min(int.from_bytes(data[:4], "big"), 200)]
    return any(brands[place : place + 4] in (b"avif", b"avis") for place in range(0, len(brands), 4))


def read_avif(data: bytes) -> AvifHeader:
    """Header of an AVIF file.

    Raises:
        ItemError: "zero_size", "truncated", "corrupt", or "unsupported" (high dynamic range, animations).
    """
    whole = list(_boxes(data, 0, len(data)))  # the box of the pixels must be whole, too
    if any(kind == b"moov" for kind, _, _ in whole):
        # imagecodecs 2026.3 writes frames of animations beyond its buffer, which ends the process.
        raise ItemError("unsupported", "an AVIF sequence (animation) is not supported; export its first picture as PNG")
    meta = next(((start + 4, end) for kind, start, end in whole if kind == b"meta"), None)
    if meta is None:
        raise ItemError("truncated", f"the file ends before it describes its picture; {RECOPY}")
    primary, properties, links = None, list[tuple[bytes, bytes]](), dict[int, list[int]]()
    for kind, start, end in _boxes(data, *meta):
        body = data[start:end]
        if kind == b"pitm":
            primary = int.from_bytes(body[4 : 6 if body[:1] == b"\0" else 8], "big")
        elif kind == b"iprp":
            for inner, a, b in _boxes(data, start, end):
                if inner == b"ipco":
                    properties = [(name, data[c:d]) for name, c, d in _boxes(data, a, b)]
                elif inner == b"ipma":
                    links |= _associations(data[a:b])
    own = [properties[index - 1] for index in links.get(primary or 0, []) if 0 < index <= len(properties)]
    sizes = [_size(body) for kind, body in properties if kind == b"ispe"]
    own_size = next((_size(body) for kind, body in own if kind == b"ispe"), None)
    if own_size is None:
        raise corrupt("the picture has no size")
    check_sides(*own_size)
    # Tiles and alpha are pictures of their own, and reach the decoder, too; tiles at the edge may reach beyond the picture.
    if max(wide * high for wide, high in sizes) > 4 * own_size[0] * own_size[1] + _SPARE:
        raise corrupt("a part of the picture is larger than the picture")
    depths = next((body[5:] for kind, body in own if kind == b"pixi" and len(body) > 5), b"\x08\x08\x08")
    profile, warnings = _colour([body for kind, body in own if kind == b"colr"])
    return AvifHeader(
        format="AVIF",
        width=own_size[0],
        height=own_size[1],
        bits=max(depths),
        samples=len(depths),
        icc_profile=profile,
        orientation=_orientation(own),
        warnings=warnings,
    )


def _boxes(data: bytes, at: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Kind, start and end of each box's content."""
    for _ in range(_MAX_BOXES):
        if at + 8 > end:
            return
        length, kind = struct.unpack_from(">I4s", data, at)
        head = 8
        if length == 1 and at + 16 <= end:
            (length,), head = struct.unpack_from(">Q", data, at + 8), 16
        stop = end if length == 0 else at + length
        if stop < at + head:
            raise corrupt("a box has an impossible length")
        if stop > end:
            raise ItemError("truncated", f"the file ends at byte {end}, inside box {kind!r}; {RECOPY}")
        yield kind, at + head, stop
        at = stop
    raise corrupt(f"there are more than {_MAX_BOXES} boxes")


def _associations(body: bytes) -> dict[int, list[int]]:
    """Item -> numbers of its properties, from 1 on."""
    if len(body) < 8:
        return {}
    wide_items, wide_links = body[0] >= 1, body[3] & 1
    (count,) = struct.unpack_from(">I", body, 4)
    links: dict[int, list[int]] = {}
    at = 8
    for _ in range(min(count, len(body))):
        size = 4 if wide_items else 2
        item = int.from_bytes(body[at : at + size], "big")
        number = body[at + size] if at + size < len(body) else 0
        at += size + 1
        step = 2 if wide_links else 1
        words = [int.from_bytes(body[at + step * index : at + step * (index + 1)], "big") for index in range(number)]
        links[item] = [word & (0x7FFF if wide_links else 0x7F) for word in words]
        at += step * number
    return links


def _size(body: bytes) -> tuple[int, int]:
    return struct.unpack_from(">II", body, 4) if len(body) >= 12 else (0, 0)


def _orientation(own: list[tuple[bytes, bytes]]) -> int:
    turns = next((body[0] & 3 for kind, body in own if kind == b"irot" and body), 0)
    mirror = next((body[0] & 1 for kind, body in own if kind == b"imir" and body), None)
    return _ORIENTATIONS[turns, mirror]


def _colour(boxes: list[bytes]) -> tuple[bytes | None, tuple[str, ...]]:
    """The profile, and what has to be said of colours without one."""
    profile = next((body[4:] for body in boxes if body[:4] in (b"prof", b"rICC")), None)
    numbers = next(
        (struct.unpack_from(">HH", body, 4) for body in boxes if body[:4] == b"nclx" and len(body) >= 10), None
    )
    if profile is not None or numbers is None:
        return profile, ()
    if numbers[1] not in _USUAL_CURVES:
        raise ItemError("unsupported", "AVIF of high dynamic range is not supported; convert it to TIFF or PNG in sRGB")
    if numbers[0] not in _USUAL_PRIMARIES:
        return None, ("the file's colours are of a wider range than sRGB: they were taken for sRGB, and look paler",)
    return None, ()
