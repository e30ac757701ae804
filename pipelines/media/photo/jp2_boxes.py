"""JPEG 2000 structure: the boxes of a .jp2 file and the marker segments of its code stream."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from pipelines.errors import ItemError
from pipelines.media.photo.header import RECOPY, Header, check_sides, corrupt, need, usable_dpi
from pipelines.media.photo.jp2_coding import Coding

__all__ = ["Jp2Header", "boxes", "read_jp2"]

JP2_SIGNATURE = b"\0\0\0\x0cjP  \r\n\x87\n"
STREAM_SIGNATURE = b"\xff\x4f\xff\x51"
_START_OF_TILE, _START_OF_DATA, _END_OF_STREAM = 0xFF90, 0xFF93, 0xFFD9
_COLOUR_SPACES = {16: "sRGB", 17: "grey", 18: "sYCC"}


@dataclass(frozen=True, kw_only=True)
class Jp2Header(Header):
    """Header of a JPEG 2000 file.

    Attributes:
        plain: the samples are grey or RGB of one depth, unsigned, each for every pixel: no palette, no subsampling.
    """

    plain: bool


def read_jp2(data: bytes) -> Jp2Header:
    """Header of a .jp2 file or a bare code stream, whose tile parts are all there.

    Raises:
        ItemError: "zero_size", "truncated", "corrupt" or "unsupported".
    """
    if data.startswith(STREAM_SIGNATURE):
        return _stream(data, 0, len(data), {})
    facts: dict[bytes, bytes] = {}
    stream, streams = (0, 0), 0
    for kind, start, end in boxes(data, 0, len(data)):
        if kind == b"jp2h":
            for inner, inner_start, inner_end in boxes(data, start, end):
                if inner == b"res ":
                    facts |= {name: data[a:b] for name, a, b in boxes(data, inner_start, inner_end)}
                elif inner in (b"ihdr", b"colr", b"pclr"):
                    facts.setdefault(inner, data[inner_start:inner_end])
        elif kind == b"jp2c":
            stream, streams = stream if streams else (start, end), streams + 1
    if not streams:
        raise ItemError("truncated", f"the file ends before its code stream; {RECOPY}")
    if b"ihdr" not in facts:
        raise corrupt("there is no image header box")
    return _stream(data, *stream, facts, frames=streams)


def boxes(data: bytes, at: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Kind, start and end of each box's content; the last code stream may run past the end, for `_stream` to judge."""
    while at + 8 <= end:
        length, kind = struct.unpack_from(">I4s", data, at)
        head = 8
        if length == 1:  # the length follows, in 64 bits
            (length,) = struct.unpack(">Q", need(data, at + 8, 8, "a box header"))
            head = 16
        stop = end if length == 0 else at + length  # 0: to the end of the file
        if stop < at + head:
            raise corrupt("a box has an impossible length")
        if stop > end and kind != b"jp2c":
            raise ItemError("truncated", f"the file ends at byte {end}, inside box {kind!r}; {RECOPY}")
        yield kind, at + head, min(stop, end)
        at = stop


def _stream(data: bytes, start: int, end: int, facts: dict[bytes, bytes], frames: int = 1) -> Jp2Header:
    need(data, start, 4 + 38, "the code stream's header")
    if data[start : start + 4] != STREAM_SIGNATURE:
        raise corrupt("the code stream does not start with its size")
    width, height, left, top = struct.unpack_from(">IIII", data, start + 8)
    (samples,) = struct.unpack_from(">H", data, start + 40)
    check_sides(max(width - left, 0), max(height - top, 0))
    if samples > 4:
        raise ItemError("unsupported", f"JPEG 2000 with {samples} channels is not supported; convert it to TIFF")
    components = need(data, start + 42, 3 * samples, "the code stream's header")
    if not components:
        raise corrupt("the code stream has no channels")
    if b"ihdr" in facts and len(facts[b"ihdr"]) >= 10:
        # Both sizes reach the decoder: a small one must not hide a large one.
        ihdr_height, ihdr_width, ihdr_samples = struct.unpack_from(">IIH", facts[b"ihdr"])
        if (ihdr_width, ihdr_height, ihdr_samples) != (width - left, height - top, samples):
            raise corrupt("the image header box and the code stream disagree about the size")
    warnings: tuple[str, ...] = ()
    complete = _walk_tiles(data, start, end, Coding(data, start, samples))
    if not complete:
        warnings = ("the end marker is missing",)
    if frames > 1:
        warnings = (*warnings, f"{frames} code streams: only the first is read")
    icc_profile, colour_space = _colour(facts.get(b"colr"))
    depths = {component & 0x7F for component in components[::3]}
    return Jp2Header(
        format="JPEG2000",
        width=width - left,
        height=height - top,
        bits=max(depths) + 1,
        samples=samples,
        frames=frames,
        icc_profile=icc_profile,
        dpi=_dpi(facts.get(b"resc") or facts.get(b"resd")),
        colour_space=colour_space,
        complete=complete,
        warnings=warnings,
        plain=(
            len(depths) == 1
            and not any(component & 0x80 for component in components[::3])
            and all(step == 1 for index, step in enumerate(components) if index % 3)
            and b"pclr" not in facts
            and (b"colr" not in facts or icc_profile is not None or colour_space in ("sRGB", "grey"))
        ),
    )


def _walk_tiles(data: bytes, start: int, end: int, coding: Coding) -> bool:
    """Hop over the segments of a code stream; True when it closes with its end marker, False when only that is missing.

    Raises:
        ItemError: "truncated" when a tile part is cut: the decoder would fill it up without a word; "unsupported" when the
            picture is cut up too finely.
    """
    at, tiles = start + 2, 0
    while at + 2 <= end:
        (marker,) = struct.unpack_from(">H", data, at)
        if marker == _END_OF_STREAM:
            return True
        if marker < 0xFF00:
            raise corrupt("there is no marker where one belongs in the code stream")
        if at + 4 > end:
            break
        (length,) = struct.unpack_from(">H", data, at + 2)
        if length < 2:
            raise corrupt("a segment of the code stream has an impossible length")
        if marker != _START_OF_TILE:
            coding.check(at, length)
            at += 2 + length
            continue
        if at + 12 > end:
            break
        (part,) = struct.unpack_from(">I", data, at + 6)
        _check_tile_header(data, at + 2 + length, end, coding)
        if part == 0 and data.endswith(b"\xff\xd9", at, end):  # the last one, up to the end marker
            return True
        if part == 0:
            at = end + 1
            break
        if part < 14:
            raise corrupt("a tile part has an impossible length")
        at, tiles = at + part, tiles + 1
    if at > end or not tiles:
        raise ItemError("truncated", f"the file ends at byte {end}, inside its code stream; {RECOPY}")
    return False


def _check_tile_header(data: bytes, at: int, end: int, coding: Coding) -> None:
    """A tile part may have a coding style of its own; what else is wrong with its header is the decoder's to say."""
    while at + 4 <= end:
        marker, length = struct.unpack_from(">HH", data, at)
        if marker == _START_OF_DATA or marker < 0xFF00 or length < 2:
            return
        coding.check(at, length)
        at += 2 + length


def _colour(body: bytes | None) -> tuple[bytes | None, str | None]:
    if not body or len(body) < 7:
        return None, None
    if body[0] == 1:  # a numbered colour space
        return None, _COLOUR_SPACES.get(struct.unpack_from(">I", body, 3)[0], "other")
    return (body[3:], None) if body[0] == 2 else (None, "other")  # 2: a restricted ICC profile


def _dpi(body: bytes | None) -> tuple[float, float] | None:
    if not body or len(body) < 10:
        return None
    top, under_top, across, under_across, power, power_across = struct.unpack_from(">HHHHbb", body)
    if not under_top or not under_across or abs(power) > 20 or abs(power_across) > 20:
        return None
    metre = 0.0254  # pixels a metre to pixels an inch
    return usable_dpi(across / under_across * 10.0**power_across * metre, top / under_top * 10.0**power * metre)
