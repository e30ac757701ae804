"""Write lossless JPEG 2000: the code stream by OpenJPEG (imagecodecs), the boxes of the .jp2 file around it by hand.

Tried and left: Pillow writes no RGB of 16 bits and no boxes beyond the plainest; OpenCV no grey with alpha; glymur needs a
library of the system. imagecodecs keeps all bits, and writes neither profile, resolution, meaning of alpha, nor XMP.
"""

from __future__ import annotations

import struct

import numpy as np

__all__ = ["write_jp2"]

_SIGNATURE = b"\0\0\0\x0cjP  \r\n\x87\n"
_SRGB, _GREY = 16, 17  # numbered colour spaces
_XMP = bytes.fromhex("be7acfcb97a942e89c71999491e3afac")  # UUID of an XMP packet, by Adobe's specification, part 3
_COLOUR, _OPACITY, _WHOLE_IMAGE = 0, 1, 0  # types of channels, and what the alpha channel is of


def write_jp2(
    pixels: np.ndarray, icc_profile: bytes | None, dpi: tuple[float, float] | None, xmp: bytes = b""
) -> bytes:
    """A .jp2 file (ISO/IEC 15444-1) that decodes to the same samples: reversible wavelets, one tile, one layer.

    Args:
        pixels: HWC uint8 or uint16, C 1 to 4, straight alpha last.
        icc_profile: embedded as it is, as a restricted profile; sRGB or grey is stated where there is none.
        dpi: pixels an inch (horizontal, vertical), as the resolution of capture.
        xmp: an XMP packet; none if empty.
    """
    import imagecodecs  # late: no other format needs it

    height, width, channels = pixels.shape
    coloured = channels >= 3
    stream = imagecodecs.jpeg2k_encode(
        np.ascontiguousarray(pixels[..., 0] if channels == 1 else pixels),
        level=0,  # lossless
        codecformat="j2k",
        colorspace="SRGB" if coloured else "GRAY",
        reversible=True,
        numthreads=1,
    )
    bits = pixels.itemsize * 8
    header = [_box(b"ihdr", struct.pack(">IIHBBBB", height, width, channels, bits - 1, 7, 0, 0))]
    if icc_profile is not None:
        header.append(_box(b"colr", b"\x02\0\0" + icc_profile))
    else:
        header.append(_box(b"colr", struct.pack(">BBBI", 1, 0, 0, _SRGB if coloured else _GREY)))
    if channels in (2, 4):
        header.append(_box(b"cdef", _channel_definitions(channels)))
    if dpi is not None:
        header.append(_box(b"res ", _box(b"resc", _resolution(dpi))))
    parts = [_SIGNATURE, _box(b"ftyp", b"jp2 " + struct.pack(">I", 0) + b"jp2 "), _box(b"jp2h", b"".join(header))]
    if xmp:
        parts.append(_box(b"uuid", _XMP + xmp))
    return b"".join([*parts, _box(b"jp2c", bytes(stream))])


def _channel_definitions(channels: int) -> bytes:
    """What each channel is: colours in their order, then the opacity of the whole."""
    colours = [(number, _COLOUR, number + 1) for number in range(channels - 1)]
    entries = [*colours, (channels - 1, _OPACITY, _WHOLE_IMAGE)]
    return struct.pack(">H", len(entries)) + b"".join(struct.pack(">HHH", *entry) for entry in entries)


def _resolution(dpi: tuple[float, float]) -> bytes:
    """Pixels a metre, vertical first, as fractions with powers of ten. dpi / 0.0254 is dpi * 5000 / 127."""
    across, down = (_fraction(value) for value in dpi)
    return struct.pack(">HHHHbb", down[0], 127, across[0], 127, down[1], across[1])


def _fraction(dpi: float) -> tuple[int, int]:
    """Numerator over 127, and power of ten."""
    power = 0
    while round(dpi * 5000 / 10**power) > 65535:
        power += 1
    return max(1, round(dpi * 5000 / 10**power)), power


def _box(kind: bytes, body: bytes) -> bytes:
    if len(body) + 8 < 2**32:
        return struct.pack(">I4s", len(body) + 8, kind) + body
    return struct.pack(">I4sQ", 1, kind, len(body) + 16) + body
