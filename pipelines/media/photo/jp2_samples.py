"""JPEG 2000 samples as coded, and what they mean: channels in order, Lab, CMYK and YCC as sRGB.

OpenJPEG decodes the bare code stream, through imagecodecs; the boxes around it, on whose variety it stumbles, are read here.
"""

from __future__ import annotations

import struct

import imagecodecs
import numpy as np

from pipelines.errors import ItemError
from pipelines.media.photo.colour_convert import bands, cmyk_to_srgb, lab_to_srgb
from pipelines.media.photo.colour_profile import colour_space_of
from pipelines.media.photo.header import corrupt
from pipelines.media.photo.jp2_boxes import CIELAB, CMYK, SYCC, Jp2Header
from pipelines.media.photo.tiff_colour import straight, widen

__all__ = ["has_plain_channels", "is_whole", "read_channels"]


def has_plain_channels(header: Jp2Header) -> bool:
    """Whether `read_channels` is the reader: channels of one depth of up to 16 bits, each for every pixel, no palette."""
    return header.plain and header.bits <= 16


def is_whole(data: bytes, header: Jp2Header) -> bool:
    """Whether the code stream of a file that no decoder shows here is sound: its channels or colours are of another kind."""
    try:
        imagecodecs.jpeg2k_decode(data[slice(*header.stream)])
    except NotImplementedError:  # said before anything is decoded
        return True
    except RuntimeError:
        return False
    return True


def read_channels(data: bytes, header: Jp2Header) -> tuple[np.ndarray, bool, tuple[str, ...]]:
    """The picture of a file for which `has_plain_channels` holds.

    Returns:
        (HWC with 1 to 4 channels, uint8 for up to 8 bits a sample and uint16 for more, straight alpha last; whether it was
        converted to sRGB, so that the file's profile no longer describes it; warnings).

    Raises:
        ItemError: "corrupt", or "unsupported" for channels that make no grey, RGB, Lab or CMYK.
    """
    samples = _decode(data[slice(*header.stream)], header)
    if header.signed:
        samples = (samples.astype(np.int32) + 2 ** (header.bits - 1)).astype(samples.dtype.str.replace("i", "u"))
    cmyk = header.space == CMYK or (header.icc_profile is not None and colour_space_of(header.icc_profile) == b"CMYK")
    order, alpha = _channels(header, 4 if cmyk else 3)
    colour, notes, converted = samples[..., order], list[str](), False
    if header.space == CIELAB:
        colour, note = lab_to_srgb(_lab_16(colour, header), signed=False)
        colour, converted = colour if header.bits > 8 else _to_8(colour), True
        notes.append(note)
    else:
        colour = widen(colour, header.bits)
    if cmyk:
        colour, note = cmyk_to_srgb(np.ascontiguousarray(colour), header.icc_profile)
        notes, converted = [note], True
    if header.space == SYCC and len(order) == 3:
        colour, converted = _rgb_of_ycc(colour), False
    if alpha is None:
        return colour, converted, tuple(notes)
    cover = widen(samples[..., alpha : alpha + 1], header.bits)
    if (alpha, 2) in [(channel, kind) for channel, kind, _ in header.channels]:
        colour = straight(colour, cover)
    return np.concatenate([colour, cover], axis=2), converted, tuple(notes)


def _decode(stream: bytes, header: Jp2Header) -> np.ndarray:
    """[H, W, channels], of the least type that holds the samples."""
    try:
        samples = imagecodecs.jpeg2k_decode(stream)
    except RuntimeError:
        # Some writers count the parts of tiles wrongly; 0 is for "not told", and the parts are all there.
        try:
            samples = imagecodecs.jpeg2k_decode(_without_part_counts(stream))
        except RuntimeError as error:
            raise corrupt(f"the pixels cannot be decoded ({error})") from error
    if samples.size != header.width * header.height * header.samples or samples.dtype.itemsize > 2:
        raise ItemError("unsupported", "this arrangement of JPEG 2000 channels is not supported; convert it to TIFF")
    return samples.reshape(header.height, header.width, header.samples)


def _without_part_counts(stream: bytes) -> bytes:
    """A code stream whose tile parts do not say how many there are; it is known to be whole."""
    changed, at = bytearray(stream), 2
    while at + 12 <= len(stream):
        marker, length = struct.unpack_from(">HH", stream, at)
        if marker != 0xFF90:
            if marker < 0xFF00 or length < 2 or marker == 0xFFD9:
                break
            at += 2 + length
            continue
        changed[at + 11] = 0
        (part,) = struct.unpack_from(">I", stream, at + 6)
        if part < 14:
            break
        at += part
    return bytes(changed)


def _channels(header: Jp2Header, most: int) -> tuple[list[int], int | None]:
    """Places of the colours in their order, and of alpha."""
    if header.channels:
        colours = [(place, channel) for channel, kind, place in header.channels if kind == 0]
        alphas = [channel for channel, kind, _ in header.channels if kind in (1, 2)]
        order = [channel for _, channel in sorted(colours)]
        told = len(order) == 1 or [place for place, _ in sorted(colours)] == list(range(1, most + 1))
        if told and max([*order, *alphas], default=0) < header.samples:
            return order, alphas[0] if alphas else None
        raise ItemError("unsupported", "this arrangement of JPEG 2000 channels is not supported; convert it to TIFF")
    if header.samples in (1, 2) and most == 3:
        return [0], 1 if header.samples == 2 else None
    if header.samples < most:
        raise ItemError("unsupported", f"JPEG 2000 with {header.samples} channels is not supported; convert it to TIFF")
    return list(
        range(most)
    ), most if header.samples > most else None  # as every decoder takes a fourth that is not explained


def _lab_16(colour: np.ndarray, header: Jp2Header) -> np.ndarray:
    """Lab as 16-bit ICCLab has it, of samples whose range the file states."""
    spans, offsets = header.lab[0::2], header.lab[1::2]
    top = 2**header.bits - 1
    result = np.empty(colour.shape, np.uint16)
    for rows in bands(colour):
        lab = (colour[rows].astype(np.float64) - offsets) * np.array(spans) / top
        result[rows] = np.rint(lab * (652.8, 256, 256) + (0, 32768, 32768)).clip(0, 65535)
    return result


def _to_8(colour: np.ndarray) -> np.ndarray:
    return ((colour.astype(np.uint32) + 128) // 257).astype(np.uint8)


def _rgb_of_ycc(ycc: np.ndarray) -> np.ndarray:
    """sYCC (ITU-R BT.601, full range) as sRGB, in the same type."""
    top = np.iinfo(ycc.dtype).max
    result = np.empty_like(ycc)
    for rows in bands(ycc):
        y, blue, red = np.moveaxis(ycc[rows].astype(np.float64), 2, 0)
        blue, red = blue - (top + 1) / 2, red - (top + 1) / 2
        rgb = np.stack([y + 1.402 * red, y - 0.344136 * blue - 0.714136 * red, y + 1.772 * blue], 2)
        result[rows] = np.rint(rgb).clip(0, top)
    return result
