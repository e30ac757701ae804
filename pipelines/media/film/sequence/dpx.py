"""DPX frames: read exactly, and written with the source frame's own header. No library writes DPX with its header."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from pipelines.errors import ItemError
from pipelines.media.film.sequence.dpx_header import (
    ABGR,
    COMPONENTS,
    LUMA,
    RGB,
    RGBA,
    UNDEFINED,
    DpxHeader,
    read_header,
    resized,
)
from pipelines.media.film.sequence.frame import FrameFile, FrameKind
from pipelines.media.film.sequence.transfer import from_display, to_display
from pipelines.media.guard import guarded
from pipelines.media.limits import DecodeLimits
from pipelines.media.photo.exif import upright
from pipelines.media.photo.header import RECOPY

__all__ = ["read_dpx", "write_dpx"]

_FILE_LIMIT = 2**32 - 1  # the header's field
# Where the three samples of a 32-bit word of 10 bits lie: of several components the first is uppermost, of luma lowest.
_SHIFTS = {(1, False): (22, 12, 2), (2, False): (20, 10, 0), (1, True): (2, 12, 22), (2, True): (0, 10, 20)}
_BACK = {6: 8, 8: 6}  # EXIF turns that undo each other; the rest undo themselves


def read_dpx(data: bytes, name: str, limits: DecodeLimits) -> FrameFile:
    """Decode a DPX frame: 8, 10 (filled), 12 (filled) or 16 bits, RGB, RGBA (alpha is left out) or luma, in either byte order.

    Log and linear codes become display values (`transfer`); all others stay as they are, spread over 16 bits.

    Args:
        data: the whole file.
        name: for reasons.
        limits: sizes above which it is refused.

    Raises:
        ItemError: and nothing else, whatever the bytes: "empty", "too_many_bytes", "not_an_image", "unsupported", "zero_size",
            "too_many_pixels", "truncated" or "corrupt".
    """
    return guarded(_read, data, name, limits)


def write_dpx(pixels: np.ndarray, header_of: bytes) -> bytes:
    """A frame as DPX with the header of another: bits, byte order, packing, log or linear codes, orientation, and every byte
    before and after the pixels are those of the source; only sizes are new, and alpha is left out.

    Args:
        pixels: uint16 [height, width, 3] display values, upright, as `read_dpx` gives them.
        header_of: the source frame's whole file.

    Raises:
        ItemError: "encode_error": `header_of` is not such a file, or the result is too large for the format.
    """
    try:
        header = read_header(header_of)
        lines = _lines(header, len(header_of))
    except ItemError as error:
        raise ItemError("encode_error", f"the source frame's header cannot be used: {error.reason}") from error
    codes = from_display(pixels, header.bits, header.curve)
    if header.descriptor == LUMA:
        # Grey frames have three equal components; of any others this is their mean.
        codes = ((codes.astype(np.uint32).sum(axis=2, keepdims=True) + 1) // 3).astype(np.uint16)
    stored = upright(codes, _BACK.get(header.orientation, header.orientation))
    height, width = stored.shape[:2]
    body = _pack(stored.reshape(height, -1), header)
    tight = body.shape[1]
    whole = np.zeros((height, lines.step(tight)), np.uint8)
    whole[:, :tight] = body
    end = header.data_at + header.height * lines.step(_line_bytes(header, header.width))
    rest = header_of[end:]
    size = header.data_at + whole.size + len(rest)
    if size > _FILE_LIMIT:
        reason = f"{width} x {height} pixels take {size} bytes, more than a DPX file can have"
        raise ItemError("encode_error", f"{reason}; choose --film-format ffv1")
    return resized(header_of, header, width, height, size) + whole.tobytes() + rest


def _read(data: bytes, limits: DecodeLimits) -> FrameFile:
    header = read_header(data)
    if header.width * header.height > limits.max_pixels:
        reason = f"{header.width} x {header.height} pixels are more than the limit of {limits.max_pixels}"
        raise ItemError("too_many_pixels", f"{reason}; raise --max-pixels if the scan is genuine")
    step = _lines(header, len(data)).step(_line_bytes(header, header.width))
    lines = np.frombuffer(data, np.uint8, header.height * step, header.data_at).reshape(header.height, step)
    samples = _unpack(lines, header).reshape(header.height, header.width, header.samples)
    colours, _ = COMPONENTS[header.descriptor]
    codes = upright(samples[..., colours], header.orientation)
    pixels = to_display(codes, header.bits, header.curve)
    channels = pixels.shape[2]
    height, width = pixels.shape[:2]
    kind = FrameKind(
        format="DPX",
        codec="dpx",
        width=width,
        height=height,
        channels=channels,
        bit_depth=header.bits,
        pixel_format=_pixel_format(header),
        transfer=header.transfer,
        primaries=header.primaries,
        assumed=header.assumed,
        rotation={3: 180, 6: 90, 8: 270}.get(header.orientation, 0),
    )
    return FrameFile(
        pixels=np.repeat(pixels, 3, axis=2) if channels == 1 else pixels,
        kind=kind,
        rate=header.rate,
        timecode=header.timecode,
        pixel_aspect=header.pixel_aspect,
        warnings=_warnings(header),
    )


def _line_bytes(header: DpxHeader, width: int) -> int:
    """Bytes that the samples of a line take."""
    samples = width * header.samples
    if header.bits == 10:
        return -(-samples // 3) * 4
    return samples if header.bits == 8 else samples * 2


class _Lines(NamedTuple):
    """How lines follow each other: each takes a `multiple` of bytes, and `padding` more."""

    multiple: int
    padding: int

    def step(self, tight: int) -> int:
        """Bytes from one line to the next, where the samples of one take `tight`."""
        return -(-tight // self.multiple) * self.multiple + self.padding


def _lines(header: DpxHeader, size: int) -> _Lines:
    """How lines lie in a file of `size` bytes.

    They begin on 32-bit boundaries; but some programs declare padding and write none, and some write lines without gaps.
    The latter is believed only where it explains the file's size to the byte: a file that was cut off may look alike.
    """
    tight, there = _line_bytes(header, header.width), size - header.data_at
    for lines in (_Lines(4, header.line_padding), _Lines(4, 0)):
        if header.height * lines.step(tight) <= there:
            return lines
    if header.height * tight == there and header.file_size in (size, UNDEFINED):
        return _Lines(1, 0)
    wanted = header.height * _Lines(4, 0).step(tight)
    raise ItemError("truncated", f"{there} bytes of pixels, {wanted} are needed; {RECOPY}")


def _unpack(lines: np.ndarray, header: DpxHeader) -> np.ndarray:
    """Samples [height, width * samples], uint16, of stored lines, uint8 [height, bytes]."""
    samples, tight = header.width * header.samples, _line_bytes(header, header.width)
    body = np.ascontiguousarray(lines[:, :tight])
    if header.bits == 8:
        return body.astype(np.uint16)
    if header.bits == 10:
        words = body.view(f"{header.order}u4")
        shifts = _SHIFTS[header.packing, header.descriptor == LUMA]
        three = np.stack([((words >> shift) & 0x3FF).astype(np.uint16) for shift in shifts], axis=2)
        return three.reshape(header.height, -1)[:, :samples]
    values = body.view(f"{header.order}u2")
    if header.bits == 12:
        return ((values >> 4) if header.packing == 1 else (values & 0xFFF)).astype(np.uint16)
    return values.astype(np.uint16)


def _pack(samples: np.ndarray, header: DpxHeader) -> np.ndarray:
    """The inverse of `_unpack`, without what fills a line."""
    height, count = samples.shape
    if header.bits == 8:
        return samples.astype(np.uint8)
    if header.bits == 10:
        filled = np.zeros((height, -(-count // 3) * 3), np.uint32)
        filled[:, :count] = samples
        words = np.zeros((height, filled.shape[1] // 3), np.uint32)
        for place, shift in enumerate(_SHIFTS[header.packing, header.descriptor == LUMA]):
            words |= filled[:, place::3] << np.uint32(shift)
        return words.astype(f"{header.order}u4").view(np.uint8)
    values = samples << 4 if header.bits == 12 and header.packing == 1 else samples
    return values.astype(f"{header.order}u2").view(np.uint8)


def _pixel_format(header: DpxHeader) -> str:
    name = {LUMA: "luma", RGB: "rgb", RGBA: "rgba", ABGR: "abgr"}[header.descriptor]
    method = {1: " filled A", 2: " filled B"}.get(header.packing, "") if header.bits in (10, 12) else ""
    return f"{name}{header.bits}{method} {'big' if header.order == '>' else 'little'}-endian"


def _warnings(header: DpxHeader) -> tuple[str, ...]:
    notes = []
    if header.curve == "log":
        notes.append("log code values are restored as display values and written back as log, overrange included")
    if header.curve == "linear":
        notes.append("linear code values are restored through the sRGB curve and written back as linear")
    if "transfer" in header.assumed:
        notes.append("the header leaves the transfer open: code values are taken as they are")
    if header.descriptor in (RGBA, ABGR):
        notes.append("the alpha channel was left out")
    if header.interlaced:
        notes.append("the header says that frames are interlaced: they were taken as they are")
    return tuple(notes)
