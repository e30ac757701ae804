"""Faults in a JPEG's coded pixels, which libjpeg fills up in grey and only warns of. Its warnings come out of TurboJPEG alone.

A sound file is decoded once more for it, at an eighth of its size: codes are all read, and next to nothing is computed.
"""

from __future__ import annotations

import re

import numpy as np
import simplejpeg

from pipelines.errors import ItemError
from pipelines.media.photo.fault import Fault
from pipelines.media.photo.jpeg_markers import Scan, header_segments, read_frame, scans_of

__all__ = ["END", "jpeg_fault"]

END = b"\xff\xd9"  # marker of the end, for streams that lack it
# libjpeg's warnings of damage. Its others (odd revision numbers, bytes too many before a marker) are of files that are whole.
_ENDS_EARLY = re.compile(r"Premature end of JPEG file|premature end of data segment")
_BAD_CODES = re.compile(r"bad Huffman code|bad arithmetic code|found marker 0x\w+ instead of RST")
_PREFIX = "Corrupt JPEG data: "
_BITS = 8
_HALVINGS = 12  # of the stream, each of which costs a decoding: the place of a fault is known to a four-thousandth
_SHORTEST_RUN = 4  # blocks in a row: single ones are without coefficients in sound pictures too
_FILLER = 128  # what blocks without coefficients decode to, in each channel


def jpeg_fault(stream: bytes) -> Fault | None:
    """The fault of a JPEG; None where its pixels are whole, cannot be decoded at all, or have no 8 bits a sample.

    Args:
        stream: from the start of the image on; bytes behind its end do not matter.
    """
    stream = stream if stream.rfind(END) >= 0 else stream + END
    try:
        frame = read_frame(stream)
    except ItemError:
        return None
    if frame.bits != _BITS or frame.lossless:
        # Never given to simplejpeg: lossless JPEG is not made smaller, and overflows the buffer for an eighth of it.
        return None
    samples = frame.samples
    message = _complaint(stream, samples)
    if _BAD_CODES.search(message):
        at = _first_place(stream, samples, message)
        return Fault(code="corrupt", what=_words(message), lost=_lost(stream[:at] + END, samples))
    if _ENDS_EARLY.search(message):
        return Fault(code="truncated", what=_words(message), lost=_lost(stream, samples))
    missing = _missing_scans(scans_of(stream))
    return Fault(code="truncated", what=missing, lost=0.0) if missing else None


def _missing_scans(scans: list[Scan]) -> str:
    """What of the picture no scan holds, though none is cut: files that were closed after a part of their data."""
    if not scans:
        return ""
    depths: dict[int, list[int]] = {component: [-1] * 64 for component in scans[0].components_of_frame}
    for scan in scans:
        for component in scan.components:
            if component in depths:
                first, last = (scan.first, scan.last) if scan.progressive else (0, 63)
                depths[component][first : last + 1] = [scan.low if scan.progressive else 0] * (last + 1 - first)
    if any(depth[0] < 0 for depth in depths.values()):
        return "a colour channel is missing"
    if any(level != 0 for depth in depths.values() for level in depth):
        return "the last passes over the picture are missing"
    return ""


def _complaint(stream: bytes, samples: int) -> str:
    """libjpeg's first warning or error; empty where it has none."""
    try:
        _eighth(stream, samples, strict=True)
    except ValueError as error:
        return str(error)
    return ""


def _eighth(stream: bytes, samples: int, *, strict: bool) -> np.ndarray:
    """uint8 [H / 8, W / 8, 1 or 4], rounded up."""
    pixels: np.ndarray = simplejpeg.decode_jpeg(
        stream,
        "CMYK" if samples == 4 else "GRAY",
        fastdct=True,
        fastupsample=True,
        min_height=1,
        min_width=1,
        strict=strict,
    )
    return pixels


def _first_place(stream: bytes, samples: int, message: str) -> int:
    """Bytes of the stream up to the fault that a warning is about, or a little behind it: cut before, it only ends early."""
    low, high = max(start for _, start, _ in header_segments(stream)), len(stream)
    for _ in range(_HALVINGS):
        middle = (low + high) // 2
        if _complaint(stream[:middle] + END, samples) == message:
            high = middle
        else:
            low = middle
    return high


def _lost(stream: bytes, samples: int) -> float:
    """Share of rows that the decoder filled up, to their end or by long runs of blocks without coefficients."""
    try:
        blocks = _eighth(stream, samples, strict=False)
    except ValueError:
        return 1.0
    filled = (blocks == _FILLER).all(axis=2)
    run = max(_SHORTEST_RUN, filled.shape[1] // 8)
    rows = filled[:, -1]
    if run <= filled.shape[1]:
        runs = np.logical_and.reduce([filled[:, at : filled.shape[1] - run + at + 1] for at in range(run)])
        rows = rows | runs.any(axis=1)
    scans = scans_of(stream)
    least = 0.0 if scans and scans[0].progressive else 1 / len(filled)  # of a single pass something is lost for good
    return max(float(rows.mean()), least)


def _words(message: str) -> str:
    return f"libjpeg says {message.removeprefix(_PREFIX)!r}"
