"""OpenEXR frames: scene-linear light to display values and back. OpenEXR reads and writes the pixels."""

from __future__ import annotations

import io

import numpy as np
import OpenEXR

from pipelines.errors import ItemError, first_line
from pipelines.media.film.sequence.exr_header import ExrHeader, check_blocks, read_header
from pipelines.media.film.sequence.frame import FrameFile, FrameKind
from pipelines.media.film.sequence.transfer import FULL, srgb_decode, srgb_encode
from pipelines.media.guard import guarded
from pipelines.media.limits import DecodeLimits
from pipelines.media.photo.header import RECOPY

__all__ = ["read_exr", "write_exr"]

_ROWS = 64  # converted at a time: floats take several times the room of a frame
# Attributes that say how the pixels are stored: those of the new file hold. The rest is the source frame's.
_OF_STORAGE = {"channels", "compression", "dataWindow", "displayWindow", "lineOrder", "tiles", "type", "chunkCount"}
_WEIGHTLESS = 8  # channels of a frame; more count against its pixels, as the decoder reads all
_CONVERT = "convert the sequence to EXR with R, G and B, or to DPX"


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
    linear = srgb_decode(np.arange(FULL + 1) / FULL).astype(np.float16 if header.half else np.float32)
    places = {"Y": 1} if header.grey else {"R": 0, "G": 1, "B": 2}
    try:
        return _encode({name: linear[pixels[..., channel]] for name, channel in places.items()}, header_of)
    except (RuntimeError, ValueError, TypeError) as error:
        reason = f"OpenEXR encoder: {first_line(error)}; choose --film-format ffv1"
        raise ItemError("encode_error", reason) from error


def _read(data: bytes, limits: DecodeLimits) -> FrameFile:
    header = read_header(data)
    stored = header.window[2] - header.window[0] + 1, header.window[3] - header.window[1] + 1
    for what, (width, height) in (("picture", (header.width, header.height)), ("data window", stored)):
        if width * height <= limits.max_pixels:
            continue
        reason = f"the {what}'s {width} x {height} pixels are more than the limit of {limits.max_pixels}"
        raise ItemError("too_many_pixels", f"{reason}; raise --max-pixels if the scan is genuine")
    if header.samples * header.width * header.height > limits.max_pixels * _WEIGHTLESS:
        raise ItemError("unsupported", f"{header.samples} channels: {_CONVERT}")
    check_blocks(data, header)
    planes = _decode(data, header)
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
        pixel_format=_pixel_format(header),
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


def _decode(data: bytes, header: ExrHeader) -> list[np.ndarray]:
    """Planes R, G, B or Y of the display window, half or float [height, width]."""
    try:
        channels = OpenEXR.File(io.BytesIO(data), separate_channels=True, num_threads=0).channels()
        stored = [channels[name].pixels for name in ("Y" if header.grey else "RGB")]
    except (RuntimeError, ValueError, TypeError, KeyError, IndexError) as error:
        raise ItemError("corrupt", f"its pixels cannot be decoded ({first_line(error)[:80]}); {RECOPY}") from error
    size = header.window[3] - header.window[1] + 1, header.window[2] - header.window[0] + 1
    if any(plane.shape != size or plane.dtype.kind != "f" for plane in stored):
        raise ItemError("corrupt", f"its pixels are not those of its header; {RECOPY}")
    return [_shown(plane, header) for plane in stored] if header.offset_window else stored


def _shown(plane: np.ndarray, header: ExrHeader) -> np.ndarray:
    """What of the stored pixels lies in the picture, which is black where none are stored."""
    left, top = header.offset
    shown = np.zeros((header.height, header.width), plane.dtype)
    part = plane[max(-top, 0) : header.height - top, max(-left, 0) : header.width - left]
    place = max(top, 0), max(left, 0)
    shown[place[0] : place[0] + part.shape[0], place[1] : place[1] + part.shape[1]] = part
    return shown


def _pixel_format(header: ExrHeader) -> str:
    """FFmpeg's name of the kind of pixels, which is on record for every film."""
    depth = "f16le" if header.half else "f32le"
    if header.grey:
        return ("ya" if "A" in header.left_out else "gray") + depth
    return ("gbrap" if "A" in header.left_out else "gbrp") + depth


def _encode(planes: dict[str, np.ndarray], header_of: bytes) -> bytes:
    """Planes as a file that has all other attributes of the source frame, also those of types that nobody knows."""
    source = OpenEXR.File(io.BytesIO(header_of), header_only=True, num_threads=0).header()
    kept = {name: value for name, value in source.items() if name not in _OF_STORAGE}
    kept |= {"compression": OpenEXR.ZIP_COMPRESSION, "type": OpenEXR.scanlineimage}
    kept.setdefault("pixelAspectRatio", 1.0)  # the standard wants it
    file = io.BytesIO()
    channels = {name: OpenEXR.Channel(plane) for name, plane in planes.items()}
    OpenEXR.File(kept, channels, num_threads=0).write(file)
    return file.getvalue()


def _warnings(header: ExrHeader, others: bool) -> tuple[str, ...]:
    notes = ["scene-linear light is restored through the sRGB curve and written back as linear, up to display white"]
    if header.left_out:
        notes.append(f"channels were left out: {', '.join(header.left_out)[:200]}")
    if header.offset_window:
        notes.append("the data window is not the display window: the display window was taken")
    if others:
        notes.append("the primaries are not those of Rec. 709: values are taken as they are")
    return tuple(notes)
