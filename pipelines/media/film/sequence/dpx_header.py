"""The header of a DPX file (SMPTE 268M): the fields that pixels depend on, rate and timecode, and the sizes anew."""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from fractions import Fraction

from pipelines.errors import ItemError
from pipelines.media.film.sequence.transfer import Curve
from pipelines.media.photo.header import RECOPY

__all__ = ["ABGR", "COMPONENTS", "LUMA", "RGB", "RGBA", "UNDEFINED", "DpxHeader", "read_header", "resized"]

MIN_HEADER = 1664  # generic part: pixels cannot begin within it
_WHOLE_HEADER = 2048  # with the part on film and television
UNDEFINED = 0xFFFFFFFF

# Byte offsets of fields.
_DATA_AT, _FILE_SIZE, _ORIENTATION, _ELEMENTS, _WIDTH, _HEIGHT = 4, 16, 768, 770, 772, 776
_SIGN, _DESCRIPTOR, _TRANSFER, _COLORIMETRIC, _BITS, _PACKING, _ENCODING = 780, 800, 801, 802, 803, 804, 806
_ELEMENT_AT, _LINE_PADDING = 808, 812
_SOURCE_X, _SOURCE_Y, _CENTRE_X, _CENTRE_Y, _ORIGINAL_X, _ORIGINAL_Y, _ASPECT = 1408, 1412, 1416, 1420, 1424, 1428, 1628
_FILM_RATE, _TIMECODE, _INTERLACE, _TV_RATE = 1724, 1920, 1928, 1940

LOG = "log (Cineon printing density)"
LUMA, RGB, RGBA, ABGR = 6, 50, 51, 52
# Which sample of a pixel is red, green and blue, and how many there are.
COMPONENTS = {LUMA: ((0,), 1), RGB: ((0, 1, 2), 3), RGBA: ((0, 1, 2), 4), ABGR: ((3, 2, 1), 4)}
# SMPTE 268M orientation to that of EXIF: which way lines run and which way they follow each other.
_EXIF = (1, 2, 4, 3, 5, 6, 8, 7)

# Names of FFmpeg by code of the transfer, and of the colorimetry. Those that are missing leave it open.
_TRANSFERS = {
    1: LOG,
    2: "linear",
    3: LOG,
    5: "bt709",  # SMPTE 274M
    6: "bt709",
    7: "bt470bg",
    8: "smpte170m",
    9: "smpte170m",  # composite NTSC
    10: "bt470bg",  # composite PAL
}
_PRIMARIES = {5: "bt709", 6: "bt709", 7: "bt470bg", 8: "smpte170m", 9: "smpte170m", 10: "bt470bg"}
_ASSUMED = "bt709"


@dataclass(frozen=True)
class DpxHeader:
    """What a header says.

    Attributes:
        order: ">" for big-endian, "<" for little-endian.
        width, height: of the stored picture: pixels of a line, and lines.
        descriptor: LUMA, RGB, RGBA or ABGR.
        bits: of a component: 8, 10, 12 or 16.
        packing: 0 packed, 1 filled, method A, 2 filled, method B.
        transfer, primaries: names of FFmpeg; of log codes "log (Cineon printing density)".
        assumed: those of them that the header leaves open.
        curve: how codes become display values.
        orientation: EXIF value of the same meaning, 1 to 8.
        data_at: byte offset of the pixels.
        line_padding: bytes after each line, as declared.
        file_size: in bytes, as declared; `UNDEFINED` where it is not.
        rate: frames a second as a fraction, or empty.
        timecode: "hh:mm:ss:ff", or empty.
        pixel_aspect: width to height of an upright pixel, as a fraction.
        interlaced: the television part says so.
    """

    order: str
    width: int
    height: int
    descriptor: int
    bits: int
    packing: int
    transfer: str
    primaries: str
    assumed: tuple[str, ...]
    curve: Curve
    orientation: int
    data_at: int
    line_padding: int
    file_size: int
    rate: str
    timecode: str
    pixel_aspect: str
    interlaced: bool

    @property
    def samples(self) -> int:
        """Components stored for a pixel."""
        return COMPONENTS[self.descriptor][1]


def read_header(data: bytes) -> DpxHeader:
    """The header of a DPX file.

    Raises:
        ItemError: "not_an_image", "truncated", "corrupt", "zero_size" or "unsupported"; the reason does not name the file.
    """
    order = {b"SDPX": ">", b"XPDS": "<"}.get(data[:4])
    if order is None:
        raise ItemError("not_an_image", f"does not begin as a DPX file does; {RECOPY}")
    if len(data) < MIN_HEADER:
        raise ItemError("truncated", f"{len(data)} bytes are less than a DPX header; {RECOPY}")

    def word(at: int) -> int:
        return int(struct.unpack_from(f"{order}I", data, at)[0])

    def half(at: int) -> int:
        return int(struct.unpack_from(f"{order}H", data, at)[0])

    width, height = word(_WIDTH), word(_HEIGHT)
    if UNDEFINED in (width, height):
        raise ItemError("corrupt", f"the header does not say the picture's size; {RECOPY}")
    if 0 in (width, height):
        raise ItemError("zero_size", f"{width} x {height} pixels; {RECOPY}")
    _check_kind(half(_ELEMENTS), word(_SIGN), data[_DESCRIPTOR], data[_BITS], half(_PACKING), half(_ENCODING))
    data_at = word(_ELEMENT_AT)
    if not MIN_HEADER <= data_at <= len(data):
        data_at = word(_DATA_AT)
    if not MIN_HEADER <= data_at <= len(data):
        raise ItemError("truncated", f"its pixels are said to begin at byte {data_at} of {len(data)}; {RECOPY}")
    colour = {"primaries": _PRIMARIES.get(data[_COLORIMETRIC]), "transfer": _TRANSFERS.get(data[_TRANSFER])}
    transfer, orientation = colour["transfer"], half(_ORIENTATION)
    whole = min(word(_DATA_AT), data_at) >= _WHOLE_HEADER <= len(data)
    padding = word(_LINE_PADDING)
    return DpxHeader(
        order=order,
        width=width,
        height=height,
        descriptor=data[_DESCRIPTOR],
        bits=data[_BITS],
        packing=half(_PACKING),
        transfer=transfer or _ASSUMED,
        primaries=colour["primaries"] or _ASSUMED,
        assumed=tuple(name for name, found in colour.items() if found is None),
        curve="log" if transfer == LOG else "linear" if transfer == "linear" else "none",
        orientation=_EXIF[orientation] if orientation < len(_EXIF) else 1,
        data_at=data_at,
        line_padding=0 if padding == UNDEFINED else padding,
        file_size=word(_FILE_SIZE),
        rate=_rate(data, order) if whole else "",
        timecode=_timecode(word(_TIMECODE), struct.unpack_from(f"{order}f", data, _TV_RATE)[0]) if whole else "",
        pixel_aspect=_aspect(word(_ASPECT), word(_ASPECT + 4), orientation),
        interlaced=whole and data[_INTERLACE] == 1,
    )


def resized(data: bytes, header: DpxHeader, width: int, height: int, file_size: int) -> bytes:
    """Everything before the pixels, byte for byte but for sizes: of the picture, of the original that it was cut out of and
    its place in that, and of the file. An alpha component is no longer announced.

    Args:
        data: the source frame's file, or just what comes before its pixels.
        header: of it.
        width, height: of the stored picture: pixels of a line, and lines.
        file_size: of the new file, in bytes.
    """
    kept, order = bytearray(data[: header.data_at]), header.order

    def put(at: int, value: int) -> None:
        struct.pack_into(f"{order}I", kept, at, min(value, UNDEFINED))

    put(_WIDTH, width)
    put(_HEIGHT, height)
    put(_FILE_SIZE, file_size)
    for at, ratio in (
        (_SOURCE_X, Fraction(width, header.width)),
        (_SOURCE_Y, Fraction(height, header.height)),
        (_ORIGINAL_X, Fraction(width, header.width)),
        (_ORIGINAL_Y, Fraction(height, header.height)),
    ):
        value = struct.unpack_from(f"{order}I", kept, at)[0]
        if value != UNDEFINED and round(value * ratio) < UNDEFINED:
            put(at, round(value * ratio))
    for at, scale in ((_CENTRE_X, width / header.width), (_CENTRE_Y, height / header.height)):
        centre = struct.unpack_from(f"{order}f", kept, at)[0] * scale
        if math.isfinite(centre) and 0 < centre < 1e9:
            struct.pack_into(f"{order}f", kept, at, centre)
    if header.descriptor in (RGBA, ABGR):
        kept[_DESCRIPTOR] = RGB
    return bytes(kept)


def _check_kind(elements: int, sign: int, descriptor: int, bits: int, packing: int, encoding: int) -> None:
    """Refuse what is not read, saying why."""
    convert = "convert the sequence to RGB of 10 bits filled, or of 16 bits"
    if elements != 1:
        raise ItemError("unsupported", f"{elements} image elements, not one; {convert}")
    if sign == 1:
        raise ItemError("unsupported", f"signed samples; {convert}")
    if descriptor not in COMPONENTS:
        raise ItemError("unsupported", f"picture of kind {descriptor}, not RGB (50), RGBA (51) or luma (6); {convert}")
    if bits not in (8, 10, 12, 16):
        raise ItemError("unsupported", f"{bits} bits a component; {convert}")
    if encoding == 1:
        raise ItemError("unsupported", f"run-length encoding; {convert}")
    if encoding not in (0, 0xFFFF):
        raise ItemError("corrupt", f"encoding {encoding} does not exist; {RECOPY}")
    if bits in (10, 12) and packing not in (1, 2):
        what = "packed without filling" if packing == 0 else f"packing {packing}"
        raise ItemError("unsupported", f"{bits} bits {what}: programs disagree on its order; {convert}")


def _rate(data: bytes, order: str) -> str:
    """Frames a second that the part on film says, or that on television."""
    for at in (_FILM_RATE, _TV_RATE):
        value = struct.unpack_from(f"{order}f", data, at)[0]
        if math.isfinite(value) and 1 <= value <= 240:
            whole = round(value)
            for known in (Fraction(whole), Fraction(whole * 1000, 1001)):
                if abs(float(known) - value) < 2e-3:  # also 23.98 and 29.97, as some write them
                    return f"{known.numerator}/{known.denominator}"
            near = Fraction(value).limit_denominator(1001)
            return f"{near.numerator}/{near.denominator}"
    return ""


def _timecode(word: int, rate: float) -> str:
    """Binary-coded decimal hours, minutes, seconds and frames; nothing if undefined, or zero in an empty part."""
    digits = f"{word:08x}"
    if not digits.isdecimal() or (word == 0 and not 1 <= rate <= 240):
        return ""
    hours, minutes, seconds, frames = (digits[at : at + 2] for at in range(0, 8, 2))
    if int(hours) > 23 or int(minutes) > 59 or int(seconds) > 59:
        return ""
    return f"{hours}:{minutes}:{seconds}:{frames}"


def _aspect(across: int, down: int, orientation: int) -> str:
    """Shape of a pixel; square if it is not given or makes no sense."""
    if UNDEFINED in (across, down) or 0 in (across, down):
        return "1/1"
    ratio = Fraction(across, down)
    if not Fraction(1, 4) <= ratio <= 4:
        return "1/1"
    if 4 <= orientation < len(_EXIF):  # lines run down the picture: the pixel is turned with it
        ratio = 1 / ratio
    return f"{ratio.numerator}/{ratio.denominator}"
