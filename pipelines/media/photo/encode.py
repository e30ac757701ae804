"""Encode a restored photograph: lossless where the format allows, and the same bytes for the same input."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable
from functools import partial
from typing import BinaryIO

import numpy as np
from PIL import Image, PngImagePlugin

from pipelines.errors import ItemError
from pipelines.media.photo.colour_profile import fits
from pipelines.media.photo.jp2_writer import write_jp2
from pipelines.media.photo.metadata.embed import MAX_JPEG_XMP, add_tiff_blocks, embed, png_chunks
from pipelines.media.photo.metadata.fit import Embedded
from pipelines.media.photo.png_writer import XMP_KEYWORD, stream_png, write_png16
from pipelines.media.photo.tiff_writer import stream_tiff, write_tiff

__all__ = ["encode", "encode_bands", "on_white", "streams", "to_8_bits"]

# Longest side by format: WebP's 14 bits; libjpeg's own limit, a little under the 65535 of the file format.
_LONGEST_SIDE = {"JPEG": 65_500, "WEBP": 16_383, "PNG": 2**31 - 1, "TIFF": 2**31 - 1, "JPEG2000": 2**31 - 1}
# Pixels above which Pillow no longer writes 8-bit PNG, as it needs the image whole. Our own writer gives the same pixels but
# other bytes. So this is no setting: which of them writes an image depends on the image alone.
_PILLOW_PNG_PIXELS = 2**28
_X_RESOLUTION, _Y_RESOLUTION, _RESOLUTION_UNIT = 282, 283, 296  # TIFF tags
_Dpi = tuple[float, float] | None


def encode(
    pixels: np.ndarray,
    *,
    format: str,
    icc_profile: bytes | None = None,
    dpi: tuple[float, float] | None = None,
    jpeg_quality: int = 95,
    tiff_compression: str = "deflate",
    xmp: bytes = b"",
    extra: np.ndarray | None = None,
    metadata: Embedded | None = None,
) -> bytes:
    """One image file. The same arguments give the same bytes, with the same libraries.

    PNG, TIFF and JPEG 2000 are lossless at 8 and 16 bits, in grey or RGB, with or without alpha. WebP is lossless at 8 bits and
    stores grey as RGB. JPEG is 4:4:4, 8 bits, with alpha flattened onto white. 16 bits become 8 by rounding.

    Args:
        pixels: HWC, uint8 or uint16, C 1 to 4 (grey, grey + alpha, RGB, RGB + alpha), straight alpha last.
        format: "PNG", "TIFF", "JPEG", "WEBP" or "JPEG2000".
        icc_profile: embedded as it is; of grey for one or two channels, else of RGB.
        dpi: pixels an inch (horizontal, vertical).
        jpeg_quality: 1 to 100.
        tiff_compression: "deflate", "none", "lzw" or "zstd".
        xmp: an XMP packet, embedded as it is where each format keeps one; none if empty.
        extra: HWC of the pixels' type and size: further channels, of TIFF alone.
        metadata: the source's blocks, fitted to this format; their packet takes the place of `xmp`.

    Raises:
        ItemError: "encode_error": the image does not fit the format, or the encoder failed.
        ValueError: the arguments are not as described.
    """
    if pixels.ndim != 3:
        raise ValueError(f"pixels are not HWC: {pixels.shape}")
    _check(pixels.shape, pixels.dtype, format, icc_profile, jpeg_quality)
    if extra is not None and (format != "TIFF" or extra.dtype != pixels.dtype or extra.shape[:2] != pixels.shape[:2]):
        raise ValueError(f"extra channels {extra.dtype} {extra.shape} beside {pixels.dtype} {pixels.shape} of {format}")
    try:
        if metadata is not None:
            written_later = format == "JPEG2000" or (format == "JPEG" and len(metadata.xmp) > MAX_JPEG_XMP)
            xmp = b"" if written_later else metadata.xmp
        if format == "TIFF":
            data = _tiff(pixels, icc_profile, dpi, tiff_compression, xmp, extra)
        else:
            data = _ENCODERS[format](pixels, icc_profile, dpi, jpeg_quality, xmp)
        return data if metadata is None else embed(data, format, metadata)
    except MemoryError:
        size = f"{pixels.shape[1]} x {pixels.shape[0]} pixels"
        reason = f"not enough memory to encode {size} as {format}; use a larger machine"
    except Exception as error:
        reason = f"{format} encoder: {type(error).__name__}: {error}; choose another output format"
    raise ItemError("encode_error", reason)


def streams(format: str, shape: tuple[int, int, int], dtype: np.dtype) -> bool:
    """Whether `encode_bands` writes such an image: TIFF, PNG of 16 bits, and PNG of 8 bits that is too large for Pillow.

    Args:
        format: as of `encode`.
        shape: H, W, C.
        dtype: uint8 or uint16.
    """
    return format == "TIFF" or (format == "PNG" and (dtype == np.uint16 or shape[0] * shape[1] > _PILLOW_PNG_PIXELS))


def encode_bands(
    file: BinaryIO,
    bands: Iterable[np.ndarray],
    shape: tuple[int, int, int],
    dtype: np.dtype,
    *,
    format: str,
    icc_profile: bytes | None = None,
    dpi: tuple[float, float] | None = None,
    tiff_compression: str = "deflate",
    xmp: bytes = b"",
    extra: int = 0,
    metadata: Embedded | None = None,
) -> None:
    """The file that `encode` makes, from bands of rows, a few of which are in memory at a time.

    Args:
        file: written from its start; must seek and read.
        bands: [h, W, C] of `dtype`, from top to bottom, of any heights that add up to H.
        shape: H, W, C of the whole image, one that `streams`.
        dtype: uint8 or uint16.
        format, icc_profile, dpi, tiff_compression, xmp, metadata: as of `encode`.
        extra: how many further channels the bands have, of TIFF alone.

    Raises:
        ItemError: "encode_error", as `encode`; and what making the bands raises of it.
        OSError: the file cannot be written, or what making the bands raises of it.
        ValueError: the arguments are not as described.
    """
    _check(shape, dtype, format, icc_profile)
    assert streams(format, shape, dtype), (format, shape, dtype)
    tiff = partial(stream_tiff, extra=extra, compression=tiff_compression)
    blocks = metadata or Embedded(xmp=xmp)
    try:
        if format == "TIFF":
            tiff(file, bands, shape, dtype, icc_profile=icc_profile, dpi=dpi, xmp=blocks.xmp)
            add_tiff_blocks(file, blocks)
        else:
            chunks = png_chunks(blocks)
            stream_png(file, bands, shape, dtype, icc_profile=icc_profile, dpi=dpi, xmp=blocks.xmp, chunks=chunks)
    except (ItemError, OSError):
        raise
    except Exception as error:
        reason = f"{format} encoder: {type(error).__name__}: {error}; choose another output format"
        raise ItemError("encode_error", reason) from error


def _check(
    shape: tuple[int, ...], dtype: np.dtype, format: str, icc_profile: bytes | None, jpeg_quality: int = 95
) -> None:
    """Refuse an image that does not fit its format."""
    if format not in _LONGEST_SIDE:
        raise ValueError(f"format {format!r} is not one of {', '.join(_LONGEST_SIDE)}")
    if not 1 <= jpeg_quality <= 100:
        raise ValueError(f"jpeg_quality {jpeg_quality} is not between 1 and 100")
    if shape[2] not in (1, 2, 3, 4) or dtype not in (np.uint8, np.uint16):
        raise ValueError(f"pixels are not HWC uint8 or uint16 with 1 to 4 channels: {shape} {dtype}")
    height, width, channels = shape
    if min(height, width) < 1:
        raise ItemError("encode_error", f"{width} x {height} pixels: there is nothing to encode")
    if max(height, width) > _LONGEST_SIDE[format]:
        reason = f"{width} x {height} pixels are too many for {format}, whose sides end at {_LONGEST_SIDE[format]}"
        raise ItemError("encode_error", f"{reason}; choose PNG or TIFF as the output format")
    if icc_profile is not None and not fits(icc_profile, 3 if channels >= 3 else 1):
        reason = "the colour profile is not one of these pixels' colour space; encode without it or convert the pixels"
        raise ItemError("encode_error", reason)
    if icc_profile is not None and channels < 3 and format == "WEBP":
        reason = (
            "WebP stores grey as RGB and cannot carry a grey profile; choose PNG, TIFF or JPEG as the output format"
        )
        raise ItemError("encode_error", reason)


def _png(pixels: np.ndarray, icc_profile: bytes | None, dpi: _Dpi, _quality: int, xmp: bytes) -> bytes:
    if pixels.dtype == np.uint16:
        return write_png16(pixels, icc_profile, dpi, xmp)
    options: dict[str, object] = {"dpi": dpi} if dpi else {}
    if xmp:
        text = PngImagePlugin.PngInfo()
        text.add_itxt(XMP_KEYWORD, xmp.decode())
        options["pnginfo"] = text
    return _save(_image(pixels), "PNG", icc_profile, **options)


def _tiff(
    pixels: np.ndarray,
    icc_profile: bytes | None,
    dpi: _Dpi,
    compression: str,
    xmp: bytes,
    extra: np.ndarray | None,
) -> bytes:
    file = io.BytesIO()
    write_tiff(file, pixels, icc_profile=icc_profile, dpi=dpi, xmp=xmp, extra=extra, compression=compression)
    return file.getvalue()


def _jp2(pixels: np.ndarray, icc_profile: bytes | None, dpi: _Dpi, _quality: int, xmp: bytes) -> bytes:
    return write_jp2(pixels, icc_profile, dpi, xmp)


def _jpeg(pixels: np.ndarray, icc_profile: bytes | None, dpi: _Dpi, quality: int, xmp: bytes) -> bytes:
    image = _image(to_8_bits(on_white(pixels)))
    # JFIF holds whole pixels an inch, in 16 bits.
    density = tuple(min(max(round(value), 1), 65535) for value in dpi) if dpi else (0, 0)
    return _save(
        image, "JPEG", icc_profile, quality=quality, subsampling="4:4:4", dpi=density, **({"xmp": xmp} if xmp else {})
    )


def _webp(pixels: np.ndarray, icc_profile: bytes | None, dpi: _Dpi, _quality: int, xmp: bytes) -> bytes:
    channels = pixels.shape[2]
    image = _image(to_8_bits(pixels)).convert("RGBA" if channels in (2, 4) else "RGB")
    exif = Image.Exif()  # WebP has no other place for the resolution
    if dpi:
        exif[_X_RESOLUTION], exif[_Y_RESOLUTION], exif[_RESOLUTION_UNIT] = dpi[0], dpi[1], 2
    # exact: colour under full transparency is kept, as in every other lossless format here.
    return _save(image, "WEBP", icc_profile, lossless=True, exact=True, exif=exif.tobytes() if dpi else b"", xmp=xmp)


_ENCODERS: dict[str, Callable[[np.ndarray, bytes | None, _Dpi, int, bytes], bytes]] = {
    "PNG": _png,
    "JPEG": _jpeg,
    "WEBP": _webp,
    "JPEG2000": _jp2,
}


def on_white(pixels: np.ndarray) -> np.ndarray:
    """Pixels without alpha, laid onto white.

    Args:
        pixels: HWC, uint8 or uint16, C 1 to 4.

    Returns:
        HWC of the same type, C 1 or 3; the input itself when it has no alpha.
    """
    if pixels.shape[2] in (1, 3):
        return pixels
    top = int(np.iinfo(pixels.dtype).max)
    colour, alpha = pixels[..., :-1].astype(np.uint64), pixels[..., -1:].astype(np.uint64)
    return ((colour * alpha + top * (top - alpha) + top // 2) // top).astype(pixels.dtype)


def to_8_bits(pixels: np.ndarray) -> np.ndarray:
    """uint16 as uint8, rounded to the nearest of 256 levels; uint8 as it is."""
    if pixels.dtype == np.uint8:
        return pixels
    return ((pixels.astype(np.uint32) + 128) // 257).astype(np.uint8)


def _image(pixels: np.ndarray) -> Image.Image:
    return Image.fromarray(np.ascontiguousarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels))


def _save(image: Image.Image, format: str, icc_profile: bytes | None, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, format, icc_profile=icc_profile, **options)
    return file.getvalue()
