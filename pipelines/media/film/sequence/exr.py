"""OpenEXR frames: scene-linear light to display values and back. FFmpeg decodes and encodes the pixels."""

from __future__ import annotations

import struct
from fractions import Fraction

import av
import numpy as np

from pipelines.errors import ItemError
from pipelines.media.film.sequence.exr_header import ExrHeader, check_blocks, read_header
from pipelines.media.film.sequence.frame import FrameFile, FrameKind
from pipelines.media.film.sequence.transfer import FULL, srgb_decode, srgb_encode
from pipelines.media.guard import guarded
from pipelines.media.limits import DecodeLimits
from pipelines.media.photo.header import RECOPY

__all__ = ["read_exr", "write_exr"]

_ROWS = 64  # converted at a time: floats take several times the room of a frame
# Attributes that say how the pixels are stored: those of the new file hold. The rest is the source frame's.
_OF_STORAGE = {
    b"channels",
    b"compression",
    b"dataWindow",
    b"displayWindow",
    b"lineOrder",
    b"tiles",
    b"type",
    b"chunkCount",
}
_OF_ENCODER = {b"gamma", b"writer"}
_SQUARE = (b"pixelAspectRatio", b"float", struct.pack("<f", 1.0))


def read_exr(data: bytes, name: str, limits: DecodeLimits) -> FrameFile:
    """Decode an OpenEXR frame of one part: the channels R, G and B, or Y, half or float.

    Light is clipped to 0 to 1, where 1 is display white, and goes through the sRGB curve to uint16.

    Args:
        data: the whole file.
        name: for reasons.
        limits: sizes above which it is refused.

    Raises:
        ItemError: and nothing else, whatever the bytes: "empty", "too_many_bytes", "not_an_image", "unsupported", "zero_size",
            "too_many_pixels", "truncated" or "corrupt".
    """
    return guarded(_read, data, name, limits)


def write_exr(pixels: np.ndarray, header_of: bytes) -> bytes:
    """A frame as OpenEXR, ZIP-compressed, half or float as the source, with the other attributes of the source frame.

    Args:
        pixels: uint16 [height, width, 3] display values, as `read_exr` gives them; of a grey source the three are equal.
        header_of: the source frame's whole file.

    Raises:
        ItemError: "encode_error": `header_of` is not such a file, or the encoder failed.
    """
    try:
        header = read_header(header_of)
    except ItemError as error:
        raise ItemError("encode_error", f"the source frame's header cannot be used: {error.reason}") from error
    linear = srgb_decode(np.arange(FULL + 1) / FULL)
    # Rounded here: FFmpeg would cut halves off.
    linear = linear.astype(np.float16 if header.half else np.float32).astype(np.float32)
    planes = [linear[pixels[..., channel]] for channel in ((1,) if header.grey else (1, 2, 0))]
    try:
        data = _encode(planes, "grayf32le" if header.grey else "gbrpf32le", header.half)
    except (av.FFmpegError, ValueError) as error:
        raise ItemError("encode_error", f"OpenEXR encoder: {error}; choose --film-format ffv1") from error
    return _with_attributes(data, header)


def _read(data: bytes, limits: DecodeLimits) -> FrameFile:
    header = read_header(data)
    stored = header.window[2] - header.window[0] + 1, header.window[3] - header.window[1] + 1
    for what, (width, height) in (("picture", (header.width, header.height)), ("data window", stored)):
        if width * height <= limits.max_pixels:
            continue
        reason = f"the {what}'s {width} x {height} pixels are more than the limit of {limits.max_pixels}"
        raise ItemError("too_many_pixels", f"{reason}; raise --max-pixels if the scan is genuine")
    check_blocks(data, header)
    planes, pixel_format = _decode(data, header)
    pixels = np.empty((header.height, header.width, 3), np.uint16)
    above = below = 0
    for top in range(0, header.height, _ROWS):
        light = np.stack([plane[top : top + _ROWS].astype(np.float64) for plane in planes], axis=2)
        inside = light >= 0  # no number is not
        above += int(np.count_nonzero(light > 1))
        below += int(light.size - np.count_nonzero(inside))
        pixels[top : top + _ROWS] = np.rint(srgb_encode(np.where(inside, light, 0).clip(0, 1)) * FULL)
    others = header.other_primaries
    kind = FrameKind(
        format="EXR",
        codec="exr",
        width=header.width,
        height=header.height,
        channels=len(planes),
        bit_depth=16 if header.half else 32,
        pixel_format=pixel_format,
        transfer="linear",
        primaries="bt709",
        assumed=("primaries",) if others is None else (),
    )
    return FrameFile(
        pixels=pixels,
        kind=kind,
        rate=header.rate,
        timecode=header.timecode,
        pixel_aspect=header.pixel_aspect,
        warnings=_warnings(header, bool(others)),
        above=above,
        below=below,
    )


def _decode(data: bytes, header: ExrHeader) -> tuple[list[np.ndarray], str]:
    """Planes R, G, B or Y, float [height, width], and FFmpeg's name of the pixel format."""
    codec = av.CodecContext.create("exr", "r")
    codec.thread_count = 1
    try:
        frames = [*codec.decode(av.Packet(data)), *codec.decode(None)]
    except av.FFmpegError as error:
        raise ItemError("corrupt", f"its pixels cannot be decoded ({error}); {RECOPY}") from error
    if len(frames) != 1 or (frames[0].width, frames[0].height) != (header.width, header.height):
        raise ItemError("corrupt", f"its pixels cannot be decoded; {RECOPY}")
    frame = frames[0]
    name = frame.format.name
    kind = {"f16le": "<f2", "f32le": "<f4"}.get(name[-5:])
    order = {"gbrp": (2, 0, 1), "gbra": (2, 0, 1), "gray": (0,), "yaf3": (0,), "yaf1": (0,)}.get(name[:4])
    if kind is None or order is None or (len(order) == 1) != header.grey:
        raise ItemError(
            "unsupported", f"pixels of the kind {name}; convert the sequence to EXR with R, G and B, or to DPX"
        )
    planes = []
    for number in order:
        plane = frame.planes[number]
        values = np.frombuffer(memoryview(plane), kind).reshape(
            plane.height, plane.line_size // np.dtype(kind).itemsize
        )
        # Luminance with alpha lies interleaved in one plane.
        planes.append(values[:, : 2 * header.width : 2] if name.startswith("ya") else values[:, : header.width])
    return planes, name


def _encode(planes: list[np.ndarray], pixel_format: str, half: bool) -> bytes:
    height, width = planes[0].shape
    codec = av.CodecContext.create("exr", "w")
    codec.width, codec.height, codec.pix_fmt, codec.time_base = width, height, pixel_format, Fraction(1, 24)
    codec.thread_count = 1
    codec.options = {"compression": "zip16", "format": "half" if half else "float"}
    frame = av.VideoFrame(width, height, pixel_format)
    for plane, values in zip(frame.planes, planes, strict=True):
        lines = np.zeros((plane.height, plane.line_size // 4), "<f4")
        lines[:, :width] = values
        plane.update(lines.tobytes())
    frame.pts = 0
    return b"".join(bytes(packet) for packet in [*codec.encode(frame), *codec.encode(None)])


def _with_attributes(data: bytes, source: ExrHeader) -> bytes:
    """An encoded file with the attributes of the source frame; the table of its blocks is moved along."""
    made = read_header(data)
    kept = [each for each in source.attributes if each[0] not in _OF_STORAGE]
    names = {name for name, _, _ in kept}
    merged = [each for each in made.attributes if each[0] not in names | _OF_ENCODER] + kept
    if b"pixelAspectRatio" not in names:
        merged.append(_SQUARE)  # the standard wants it
    parts = [name + b"\0" + kind + b"\0" + struct.pack("<i", len(value)) + value for name, kind, value in merged]
    long = any(len(text) > 31 for name, kind, _ in merged for text in (name, kind))
    lead = data[:4] + struct.pack("<I", 2 | (0x400 if long else 0)) + b"".join(parts) + b"\0"
    table = np.frombuffer(data, "<u8", made.blocks, made.end).astype("<i8") + (len(lead) - made.end)
    return lead + table.astype("<u8").tobytes() + data[made.end + 8 * made.blocks :]


def _warnings(header: ExrHeader, others: bool) -> tuple[str, ...]:
    notes = ["scene-linear light is restored through the sRGB curve and written back as linear, up to display white"]
    if header.left_out:
        notes.append(f"channels were left out: {', '.join(header.left_out)[:200]}")
    if header.offset_window:
        notes.append("the data window is not the display window: the display window was taken")
    if others:
        notes.append("the primaries are not those of Rec. 709: values are taken as they are")
    return tuple(notes)
