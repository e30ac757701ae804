"""The header of an OpenEXR file, and whether its blocks are all there: limits come first, and new files keep its attributes."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from fractions import Fraction

from pipelines.errors import ItemError
from pipelines.media.photo.header import RECOPY

__all__ = ["MAGIC", "ExrHeader", "check_blocks", "read_header"]

MAGIC = b"v/1\x01"
_TILED, _DEEP, _PARTS = 0x200, 0x800, 0x1000
_HALF, _FLOAT = 1, 2
# Lines in a block by kind of compression: none, RLE, ZIPS, ZIP, PIZ, PXR24, B44, B44A, DWAA, DWAB.
_BLOCK_LINES = (1, 1, 1, 16, 32, 16, 32, 32, 32, 256)
_REC709 = (0.64, 0.33, 0.30, 0.60, 0.15, 0.06, 0.3127, 0.3290)
_MOST_ATTRIBUTES = 10_000

Attribute = tuple[bytes, bytes, bytes]  # name, type, value


@dataclass(frozen=True)
class ExrHeader:
    """What a header says.

    Attributes:
        attributes: all, in order.
        end: byte offset behind them, where the table of blocks begins.
        width, height: of the display window: the picture.
        window: left, top, right, bottom of the pixels that are stored, inclusive.
        grey: a luminance alone.
        half: samples of 16 bits, else of 32.
        left_out: names of channels that are not read.
        alpha: one of those is the alpha channel.
        blocks: entries of the table.
        compression: number of its kind.
        tiled: blocks are tiles, not lines.
    """

    attributes: tuple[Attribute, ...]
    end: int
    width: int
    height: int
    window: tuple[int, int, int, int]
    grey: bool
    half: bool
    left_out: tuple[str, ...]
    blocks: int
    compression: int
    tiled: bool

    def value(self, name: bytes, kind: bytes) -> bytes | None:
        """An attribute's bytes, if it is there and of that type."""
        return next((value for key, type_, value in self.attributes if key == name and type_ == kind), None)

    @property
    def offset_window(self) -> bool:
        """The stored pixels are not just the picture's."""
        left, top, right, bottom = self.window
        return (right - left + 1, bottom - top + 1) != (self.width, self.height) or self._shifted()

    def _shifted(self) -> bool:
        return self.offset != (0, 0)

    @property
    def offset(self) -> tuple[int, int]:
        """Where the stored pixels begin in the picture: columns, rows."""
        display = self.value(b"displayWindow", b"box2i")
        left, top = struct.unpack("<4i", display)[:2] if display is not None else self.window[:2]
        return self.window[0] - left, self.window[1] - top

    @property
    def samples(self) -> int:
        """Channels in all."""
        return len(_channels(self.value(b"channels", b"chlist") or b"\0"))

    @property
    def rate(self) -> str:
        """Frames a second as a fraction, or empty."""
        value = self.value(b"framesPerSecond", b"rational")
        if value is None or len(value) != 8:
            return ""
        above, below = struct.unpack("<iI", value)
        if below == 0 or not 1 <= above / below <= 240:
            return ""
        rate = Fraction(above, below)
        return f"{rate.numerator}/{rate.denominator}"

    @property
    def timecode(self) -> str:
        """ "hh:mm:ss:ff", or empty."""
        value = self.value(b"timeCode", b"timecode")
        if value is None or len(value) != 8:
            return ""
        word = struct.unpack("<I", value[:4])[0] & 0x3F7F7F3F  # without the flags between the digits
        digits = f"{word:08x}"
        if not digits.isdecimal():
            return ""
        hours, minutes, seconds, frames = (digits[at : at + 2] for at in range(0, 8, 2))
        if int(hours) > 23 or int(minutes) > 59 or int(seconds) > 59:
            return ""
        return f"{hours}:{minutes}:{seconds}:{frames}"

    @property
    def pixel_aspect(self) -> str:
        """Width to height of a pixel, as a fraction."""
        value = self.value(b"pixelAspectRatio", b"float")
        ratio = struct.unpack("<f", value)[0] if value is not None and len(value) == 4 else 1.0
        if not 0.25 <= ratio <= 4:  # also no number at all
            return "1/1"
        near = Fraction(ratio).limit_denominator(1001)
        return f"{near.numerator}/{near.denominator}"

    @property
    def other_primaries(self) -> bool | None:
        """Whether its primaries are others than those of Rec. 709; None if it does not say."""
        value = self.value(b"chromaticities", b"chromaticities")
        if value is None or len(value) != 32:
            return None
        found = struct.unpack("<8f", value)
        return not all(abs(one - other) < 2e-3 for one, other in zip(found, _REC709, strict=True))


def read_header(data: bytes) -> ExrHeader:
    """The header of an OpenEXR file.

    Raises:
        ItemError: "not_an_image", "truncated", "corrupt", "zero_size" or "unsupported"; the reason does not name the file.
    """
    convert = "convert the sequence to EXR of one part with the channels R, G and B, or to DPX"
    if data[:4] != MAGIC:
        raise ItemError("not_an_image", f"does not begin as an OpenEXR file does; {RECOPY}")
    try:
        version = struct.unpack_from("<I", data, 4)[0]
        if version & (_DEEP | _PARTS) or version & 0xFF != 2:
            raise ItemError(
                "unsupported", f"OpenEXR with several parts, deep pixels or of an unknown version; {convert}"
            )
        attributes, end = _attributes(data)
    except (struct.error, IndexError) as error:
        raise ItemError("truncated", f"it ends within its header; {RECOPY}") from error
    values = {name: value for name, _, value in attributes}
    try:
        left, top, right, bottom = struct.unpack("<4i", values[b"dataWindow"])
        shown = struct.unpack("<4i", values[b"displayWindow"])
        channels = _channels(values[b"channels"])
        compression = values[b"compression"][0]
        tiles = struct.unpack("<IIB", values[b"tiles"]) if version & _TILED else None
    except (KeyError, ValueError, struct.error, IndexError) as error:
        raise ItemError("corrupt", f"its header is not whole ({error}); {RECOPY}") from error
    width, height = right - left + 1, bottom - top + 1
    shown_width, shown_height = shown[2] - shown[0] + 1, shown[3] - shown[1] + 1
    if min(width, height, shown_width, shown_height) < 1:
        raise ItemError("zero_size", f"{shown_width} x {shown_height} pixels; {RECOPY}")
    if compression >= len(_BLOCK_LINES):
        raise ItemError("unsupported", f"compression {compression} is not known; {convert}")
    if tiles is not None and (tiles[2] or 0 in tiles[:2]):
        raise ItemError("unsupported", f"tiles at several resolutions; {convert}")
    wanted: list[str] = [name for name in ("R", "G", "B") if name in channels]
    if len(wanted) < 3:
        wanted = ["Y"] if "Y" in channels and not wanted and not {"RY", "BY"} & channels.keys() else []
    kinds = {channels[name] for name in wanted}
    if len(kinds) != 1 or kinds & {None, 0}:
        raise ItemError("unsupported", f"channels {', '.join(sorted(channels))[:80]}: no whole R, G, B or Y; {convert}")
    across, down = tiles[:2] if tiles is not None else (width, _BLOCK_LINES[compression])
    return ExrHeader(
        attributes=attributes,
        end=end,
        width=shown_width,
        height=shown_height,
        window=(left, top, right, bottom),
        grey=wanted == ["Y"],
        half=kinds == {_HALF},
        left_out=tuple(sorted(channels.keys() - set(wanted))),
        blocks=-(-width // across) * -(-height // down),
        compression=compression,
        tiled=tiles is not None,
    )


def check_blocks(data: bytes, header: ExrHeader) -> None:
    """Every block must be there: the decoder would look for lost ones itself, and tell no cut file from a damaged one.

    Raises:
        ItemError: "truncated" or "corrupt".
    """
    if header.end + 8 * header.blocks > len(data):
        raise ItemError("truncated", f"it ends within the table of its blocks; {RECOPY}")
    lead = 16 if header.tiled else 4
    for number, at in enumerate(struct.unpack_from(f"<{header.blocks}Q", data, header.end)):
        if at + lead + 4 > len(data):
            raise ItemError("truncated", f"block {number} of {header.blocks} is missing; {RECOPY}")
        size = struct.unpack_from("<i", data, at + lead)[0]
        if at < header.end or size < 0:
            raise ItemError("corrupt", f"block {number} of {header.blocks} is not where it should be; {RECOPY}")
        body = memoryview(data)[at + lead + 4 : at + lead + 4 + size]
        if len(body) < size:
            raise ItemError("truncated", f"block {number} of {header.blocks} is cut off; {RECOPY}")
        if not header.tiled:
            line = struct.unpack_from("<i", data, at)[0] - header.window[1]
            if line != number * _BLOCK_LINES[header.compression]:
                raise ItemError("corrupt", f"block {number} of {header.blocks} begins at line {line}; {RECOPY}")


def _attributes(data: bytes) -> tuple[tuple[Attribute, ...], int]:
    """All attributes, and the offset behind them."""
    found: list[Attribute] = []
    at = 8
    while data[at]:
        if len(found) >= _MOST_ATTRIBUTES:
            raise ItemError("corrupt", f"its header does not end; {RECOPY}")
        texts = []
        for _ in range(2):
            end = data.find(b"\0", at, at + 257)
            if end < 0:
                raise ItemError("corrupt", f"a name in its header does not end; {RECOPY}")
            texts.append(data[at:end])
            at = end + 1
        size = struct.unpack_from("<i", data, at)[0]
        at += 4 + size
        if size < 0 or at >= len(data):
            raise ItemError("truncated", f"it ends within its header; {RECOPY}")
        found.append((texts[0], texts[1], data[at - size : at]))
    return tuple(found), at + 1


def _channels(value: bytes) -> dict[str, int | None]:
    """Type of the samples by channel: 0 integers, 1 half, 2 float; None for those that do not cover every pixel."""
    channels: dict[str, int | None] = {}
    at = 0
    while value[at]:
        end = value.index(b"\0", at)
        kind, across, down = struct.unpack_from("<i4xii", value, end + 1)
        name = value[at:end].decode("utf-8", "backslashreplace")
        channels[name] = kind if across == down == 1 and kind in (0, _HALF, _FLOAT) else None
        at = end + 17
    return channels
