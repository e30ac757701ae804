"""Restored frames as files of the source's own kind: same format, depth and header."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from pipelines.errors import ItemError
from pipelines.media.film.facts import FilmFacts
from pipelines.media.film.sequence.dpx import write_dpx
from pipelines.media.film.sequence.exr import write_exr
from pipelines.media.guard import label
from pipelines.media.limits import DecodeLimits
from pipelines.media.photo.decode import decode
from pipelines.media.photo.encode import encode, to_8_bits

__all__ = ["frame_encoder"]

# A restored frame, uint16 [height, width, 3], and the source frame's whole file: the restored frame's file.
EncodeFrame = Callable[[np.ndarray, bytes], bytes]


def frame_encoder(pattern: str, facts: FilmFacts, limits: DecodeLimits) -> EncodeFrame:
    """What makes a file of a restored frame.

    DPX and OpenEXR keep the source frame's header, with new sizes; TIFF and PNG its colour profile and, enlarged with the
    picture, its resolution. Grey stays grey and 8 bits stay 8. A frame that fills a gap gets the file of the nearest frame that
    could be decoded (`SequenceReader.original`).

    Args:
        pattern: of the sequence, for reasons.
        facts: of the source.
        limits: of one source file.

    Returns:
        A function of the restored frame, uint16 [height, width, 3] over the whole range, and of the source frame's file. It
        raises ItemError: "encode_error", or what reading the source frame's file raises.

    Raises:
        ItemError: "unsupported": frames of this kind cannot be written.
    """
    writers: dict[str, EncodeFrame] = {"dpx": write_dpx, "exr": write_exr}
    writer = writers.get(facts.codec)
    if facts.codec in ("tiff", "png"):

        def writer(pixels: np.ndarray, original: bytes) -> bytes:
            return _still(pixels, original, facts, limits)

    if writer is None:
        reason = f"frames of {facts.codec} cannot be written; choose --film-format ffv1"
        raise ItemError("unsupported", f"{label(pattern)}: {reason}")
    write = writer

    def encode_frame(pixels: np.ndarray, original: bytes) -> bytes:
        if pixels.dtype != np.uint16 or pixels.ndim != 3 or pixels.shape[2] != 3:
            raise ValueError(f"a frame is uint16 [height, width, 3], not {pixels.dtype} {list(pixels.shape)}")
        try:
            return write(pixels, original)
        except ItemError as error:
            raise ItemError(error.code, f"{label(pattern)}: {error.reason}") from error

    return encode_frame


def _still(pixels: np.ndarray, original: bytes, facts: FilmFacts, limits: DecodeLimits) -> bytes:
    photo = decode(original, "the source frame", limits)
    dpi = None
    if photo.dpi is not None:
        down, across = (new / old for new, old in zip(pixels.shape[:2], photo.pixels.shape[:2], strict=True))
        dpi = (photo.dpi[0] * across, photo.dpi[1] * down)
    if facts.channels == 1:
        pixels = pixels[..., 1:2]  # three equal components
    if facts.bit_depth == 8:
        pixels = to_8_bits(pixels)
    return encode(pixels, format=facts.codec.upper(), icc_profile=photo.icc_profile, dpi=dpi)
