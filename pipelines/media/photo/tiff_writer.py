"""Write TIFF results: whole images, and images that come in bands of rows and are never held whole; the bytes are the same."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, BinaryIO, NamedTuple

import numpy as np
import tifffile

__all__ = ["BIG_TIFF_BYTES", "TiffPage", "stream_tiff", "strips_of", "write_tiff", "write_tiff_pages"]

_STRIP_BYTES = 1 * 2**20  # of one strip before compression: readers can take a strip at a time
_XMP = 700  # TIFF tag
_DIFFERENCES = 2  # predictor, as TIFF numbers it
# Compressions as TIFF numbers them. LZW and Zstandard are imagecodecs'; deflate is Python's own.
_COMPRESSIONS = {"deflate": 8, "none": 1, "lzw": 5, "zstd": 50000}
# Unpacked pixels from which a file gets 64-bit offsets: the 4 GiB that 32 bits reach, less what incompressible pixels grow by
# when they are packed, and the profile.
BIG_TIFF_BYTES = 2**32 - 2**26
_Dpi = tuple[float, float] | None


class TiffPage(NamedTuple):
    """A page of a TIFF file: arguments as of `write_tiff`."""

    pixels: np.ndarray
    icc_profile: bytes | None
    dpi: _Dpi
    xmp: bytes
    extra: np.ndarray | None


def write_tiff(
    file: BinaryIO,
    pixels: np.ndarray,
    *,
    icc_profile: bytes | None,
    dpi: _Dpi,
    xmp: bytes,
    extra: np.ndarray | None = None,
    compression: str = "deflate",
) -> None:
    """A whole image as a TIFF file, lossless.

    Args:
        file: written from its start; must seek.
        pixels: HWC, uint8 or uint16, C 1 to 4 (grey, grey + alpha, RGB, RGB + alpha), straight alpha last.
        icc_profile: embedded as it is.
        dpi: pixels an inch (horizontal, vertical).
        xmp: an XMP packet; none if empty.
        extra: HWC of the pixels' type and size: further channels, written as extra samples of unspecified kind.
        compression: "deflate", "none", "lzw" or "zstd"; all are lossless, and all but "none" store differences.
    """
    write_tiff_pages(file, [TiffPage(pixels, icc_profile, dpi, xmp, extra)], _size(pixels, extra), compression)


def write_tiff_pages(file: BinaryIO, pages: Iterable[TiffPage], size: int, compression: str = "deflate") -> None:
    """Images of any sizes and modes as the pages of one TIFF file, of which one is in memory at a time.

    Args:
        file: as of `write_tiff`.
        pages: in order.
        size: bytes of all pages unpacked; from `BIG_TIFF_BYTES` on the file gets 64-bit offsets.
        compression: as of `write_tiff`.
    """
    # A fixed byte order, and no tag that names programs, versions or the hour: the bytes depend on the pages alone.
    with tifffile.TiffWriter(file, byteorder="<", bigtiff=size >= BIG_TIFF_BYTES) as writer:
        for page in pages:
            whole = page.pixels if page.extra is None else np.concatenate([page.pixels, page.extra], axis=2)
            options = _options(
                page.pixels.shape, whole.shape[2], whole.dtype, page.icc_profile, page.dpi, page.xmp, compression
            )
            writer.write(whole[..., 0] if whole.shape[2] == 1 else whole, **options)


def stream_tiff(
    file: BinaryIO,
    bands: Iterable[np.ndarray],
    shape: tuple[int, int, int],
    dtype: np.dtype,
    *,
    icc_profile: bytes | None,
    dpi: _Dpi,
    xmp: bytes,
    extra: int = 0,
    compression: str = "deflate",
) -> None:
    """The same file from bands of rows, a few of which are in memory at a time.

    Args:
        file: as of `write_tiff`; the places of strips are filled in at the end.
        bands: [h, W, C + extra] of `dtype`, from top to bottom, of any heights that add up to H.
        shape: H, W, C of the whole image.
        dtype: uint8 or uint16.
        icc_profile, dpi, xmp, compression: as of `write_tiff`.
        extra: how many further channels the bands have.

    Raises:
        ValueError: the bands are not the image that `shape` says.
    """
    height, width, channels = shape[0], shape[1], shape[2] + extra
    options = _options(shape, channels, dtype, icc_profile, dpi, xmp, compression)
    big = height * width * channels * dtype.itemsize >= BIG_TIFF_BYTES
    stored = dtype.newbyteorder("<")
    strips: Iterator[Any] = (
        np.ascontiguousarray(strip, stored)
        for strip in strips_of(bands, (height, width, channels), options["rowsperstrip"])
    )
    if compression != "none":
        predict, pack = tifffile.TIFF.PREDICTORS[_DIFFERENCES], tifffile.TIFF.COMPRESSORS[_COMPRESSIONS[compression]]
        strips = (pack(predict(strip, axis=-2)) for strip in strips)
    stored_shape = (height, width) if channels == 1 else (height, width, channels)
    tifffile.imwrite(file, strips, shape=stored_shape, dtype=stored, byteorder="<", bigtiff=big, **options)
    # tifffile takes as many strips as there must be, and does not look whether that was all.
    if next(strips, None) is not None:
        raise ValueError(f"bands of more rows than the image of {shape} has")


def strips_of(bands: Iterable[np.ndarray], shape: tuple[int, int, int], rows: int) -> Iterator[np.ndarray]:
    """An image that comes in bands of any heights, as strips of `rows` rows; the last may have fewer.

    Raises:
        ValueError: the bands do not make an image of `shape`.
    """
    waiting: list[np.ndarray] = []
    held = done = 0
    for band in bands:
        if band.shape[1:] != shape[1:]:
            raise ValueError(f"a band of {band.shape}, of an image of {shape}")
        waiting.append(band)
        held += len(band)
        if held >= rows:
            joined = waiting[0] if len(waiting) == 1 else np.concatenate(waiting)
            whole = held - held % rows
            for top in range(0, whole, rows):
                yield joined[top : top + rows]
            waiting, held, done = [joined[whole:]], held - whole, done + whole
    if done + held != shape[0]:
        raise ValueError(f"bands of {done + held} rows, of an image of {shape}")
    if held:
        yield np.concatenate(waiting)


def _options(
    shape: tuple[int, ...],
    samples: int,
    dtype: np.dtype,
    icc_profile: bytes | None,
    dpi: _Dpi,
    xmp: bytes,
    compression: str,
) -> dict[str, Any]:
    """Options of a page of `shape`, whose pixels have `samples` channels with the extra ones."""
    height, width, channels = shape
    kinds = ["unassalpha"] * (channels in (2, 4)) + ["unspecified"] * (samples - channels)
    return {
        "software": False,
        "metadata": None,
        "photometric": "rgb" if channels >= 3 else "minisblack",
        "planarconfig": "contig" if samples > 1 else None,
        "extrasamples": kinds or None,
        "compression": None if compression == "none" else _COMPRESSIONS[compression],
        "predictor": compression != "none",
        "rowsperstrip": max(1, min(height, _STRIP_BYTES // (width * samples * dtype.itemsize))),
        "iccprofile": icc_profile,
        "resolution": dpi or (1, 1),
        "resolutionunit": "INCH" if dpi else "NONE",
        "extratags": [(_XMP, "B", len(xmp), xmp, True)] if xmp else (),
    }


def _size(pixels: np.ndarray, extra: np.ndarray | None) -> int:
    return pixels.nbytes + (0 if extra is None else extra.nbytes)
