"""Decode one photograph from bytes: recognised by content, limited before any pixel is decoded, exact in depth."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from pipelines.errors import ItemError
from pipelines.media.guard import guarded
from pipelines.media.limits import DecodeLimits
from pipelines.media.photo import colour_profile
from pipelines.media.photo.avif_boxes import read_avif
from pipelines.media.photo.bitmap_headers import read_bmp, read_gif, read_tga
from pipelines.media.photo.exif import upright
from pipelines.media.photo.fault import refusal, remark
from pipelines.media.photo.find_fault import find_fault, with_end
from pipelines.media.photo.header import MAX_PROFILE, RECOPY, Header
from pipelines.media.photo.jp2_boxes import read_jp2
from pipelines.media.photo.jpeg_markers import read_jpeg
from pipelines.media.photo.jpeg_passengers import jpeg_passengers
from pipelines.media.photo.metadata.blocks import NOTHING, Metadata
from pipelines.media.photo.metadata.read import read_metadata
from pipelines.media.photo.orientation import orientation_beside
from pipelines.media.photo.pixels import decode_pixels
from pipelines.media.photo.png_chunks import read_png
from pipelines.media.photo.sniff import recognise
from pipelines.media.photo.tiff_directories import PageList, isolate
from pipelines.media.photo.tiff_pages import read_tiff
from pipelines.media.photo.webp_chunks import read_webp

__all__ = ["CONVERTED", "REGIONAL", "Photo", "decode", "decode_page", "photo_of"]

_READERS: dict[str, Callable[[bytes], Header]] = {
    "JPEG": read_jpeg,
    "PNG": read_png,
    "TIFF": read_tiff,
    "WEBP": read_webp,
    "JPEG2000": read_jp2,
    "AVIF": read_avif,
    "BMP": read_bmp,
    "GIF": read_gif,
    "TGA": read_tga,
}


REGIONAL = "tiled TIFF of 8 or 16 bits, grey or RGB, which is read by region"
CONVERTED = "sRGB (converted)"  # the colour space of pixels that were in inks or Lab
_TURNED_BY_METADATA = ("JPEG", "PNG", "WEBP")  # TIFF has a tag of its own, and viewers do not turn the others
_WEIGHTLESS_BITS = 64  # of a pixel: four samples of 16 bits; wider pixels count more than once


@dataclass(frozen=True, kw_only=True)
class Photo:
    """One decoded photograph.

    Attributes:
        pixels: HWC, C-contiguous, uint8 or uint16, full range, upright: the orientation is already applied. C is 1 for
            grey, 2 for grey + alpha, 3 for RGB, 4 for RGB + alpha; alpha is straight and last.
        format: "JPEG", "PNG", "TIFF", "WEBP", "JPEG2000", "AVIF", "BMP", "GIF" or "TGA".
        bit_depth: 8 or 16, of `pixels`.
        source_mode: how the file stores a pixel: a Pillow mode, or channels and depth such as "RGB;16".
        icc_profile: the profile `pixels` are in; None for sRGB and plain grey.
        colour_space: one line: the profile's name, "sRGB", "sRGB (assumed)", "grey (assumed)", ...
        orientation: EXIF value that was found, 1 to 8.
        dpi: pixels an inch (horizontal, vertical) of `pixels`; None when the file does not say.
        frames: pages or frames in the file; `pixels` is the first, or of `decode_page` the one that was asked for.
        extra: HWC, of the type and size of `pixels`: channels of a TIFF file beyond colour and alpha, such as a scanner's
            infrared one; None where there are none.
        lost_rows: share of the rows that damage has cost, 0 to 1; None of a sound picture.
        metadata: EXIF, IPTC, XMP and texts of the file; its warnings are among `warnings`.
        warnings: what was changed or could not be kept, a line each.
    """

    pixels: np.ndarray
    format: str
    bit_depth: int
    source_mode: str
    icc_profile: bytes | None
    colour_space: str
    orientation: int
    dpi: tuple[float, float] | None
    frames: int
    metadata: Metadata
    warnings: tuple[str, ...]
    extra: np.ndarray | None = None
    lost_rows: float | None = None


def decode(data: bytes, name: str, limits: DecodeLimits, *, keep_damaged: bool = False) -> Photo:
    """Decode JPEG, PNG, TIFF, WebP, JPEG 2000, AVIF, BMP, GIF or TGA, recognised by content.

    Args:
        data: the whole file.
        name: file name or path for reasons.
        limits: sizes above which the file is refused before any pixel is decoded.
        keep_damaged: give out what is left of a damaged picture, where its decoder can tell how much that is: JPEG and fax.

    Raises:
        ItemError: and nothing else, whatever the bytes: "empty", "too_many_bytes", "not_an_image", "unsupported",
            "zero_size", "too_many_pixels", "too_many_frames", "truncated" or "corrupt".
    """
    return guarded(partial(_decode, keep_damaged=keep_damaged), data, name, limits)


def decode_page(
    data: bytes, name: str, limits: DecodeLimits, found: PageList, number: int, *, keep_damaged: bool = False
) -> Photo:
    """Decode one page of a TIFF file, by itself; its infrared channel, if it is another image of the file, becomes `extra`.

    Args:
        data, name, limits, keep_damaged: as of `decode`; the limit of pixels holds for each page.
        found: the file's pages.
        number: of the page, from 0.

    Raises:
        ItemError: as of `decode`; the reason names the page where there are several.
    """
    count = len(found.pages)
    label = f"{name}, page {number + 1} of {count}" if count > 1 else name
    if count > limits.max_frames:
        raise ItemError("too_many_frames", f"{name}: {_too_many(count, limits)}")
    page = isolate(data, found.pages[number])
    photo = replace(decode(page, label, limits, keep_damaged=keep_damaged), frames=count)
    if number not in found.infrared:
        return photo
    infrared = decode(isolate(data, found.infrared[number]), f"{label}, infrared channel", limits).pixels
    if infrared.shape != (*photo.pixels.shape[:2], 1):
        raise ItemError("corrupt", f"{name}: the infrared channel is not of its page's size; {RECOPY}")
    notes = photo.warnings
    if infrared.dtype != photo.pixels.dtype:
        notes = (*notes, f"the infrared channel was changed to the {photo.bit_depth} bits of its page")
        infrared = (infrared * np.uint16(257)) if infrared.dtype == np.uint8 else (infrared >> 8).astype(np.uint8)
    extra = infrared if photo.extra is None else np.concatenate([infrared, photo.extra], axis=2)
    return replace(photo, extra=extra, warnings=notes)


def _decode(data: bytes, limits: DecodeLimits, keep_damaged: bool) -> Photo:
    header = _READERS[recognise(data)](data)
    _check_size(header, limits)
    return photo_of(data, header, read_metadata(data, header.format), keep_damaged=keep_damaged)


def photo_of(data: bytes, header: Header, metadata: Metadata = NOTHING, *, keep_damaged: bool = False) -> Photo:
    """Decode an image whose header is read and checked.

    Args:
        data: the file that `header` was read from.
        header: of it; of TIFF also that of a page made of some of its strips or tiles.
        metadata: what the file says beside its pixels.
        keep_damaged: as of `decode`.

    Raises:
        ItemError: "truncated", "corrupt" or "unsupported".
    """
    if header.icc_profile and len(header.icc_profile) > MAX_PROFILE:
        note = f"the colour profile of {len(header.icc_profile)} bytes is too large and was ignored"
        header = replace(header, icc_profile=None, warnings=(*header.warnings, note))
    if header.format == "JPEG":
        header = replace(header, warnings=(*header.warnings, *jpeg_passengers(data)))
    if header.orientation == 1 and header.format in _TURNED_BY_METADATA:
        orientation, place, metadata = orientation_beside(metadata)
        if orientation != 1:
            note = f"turned upright as its {place} says"
            header = replace(header, orientation=orientation, warnings=(*header.warnings, note))
    fault = find_fault(data, header)
    if fault is not None:
        if not (keep_damaged or fault.slight):
            raise refusal(fault)
        header = replace(header, warnings=(*header.warnings, remark(fault)))
    decoded = decode_pixels(data, with_end(header))
    pixels = np.ascontiguousarray(decoded.pixels) if decoded.upright else upright(decoded.pixels, header.orientation)
    extra = decoded.extra
    if extra is not None:
        extra = np.ascontiguousarray(extra) if decoded.upright else upright(extra, header.orientation)
    profile, colour_space, complaints = _colour(header, pixels.shape[2], decoded.converted)
    return Photo(
        pixels=pixels,
        format=header.format,
        bit_depth=pixels.dtype.itemsize * 8,
        source_mode=decoded.source_mode,
        icc_profile=profile,
        colour_space=colour_space,
        orientation=header.orientation,
        dpi=header.dpi[::-1] if header.dpi and header.orientation >= 5 else header.dpi,  # turned with the sides
        frames=header.frames,
        metadata=metadata,
        warnings=(*header.warnings, *decoded.warnings, *complaints, *metadata.warnings),
        extra=extra,
        lost_rows=fault.lost if fault else None,
    )


def _check_size(header: Header, limits: DecodeLimits) -> None:
    size = f"{header.width} x {header.height} pixels"
    weight = -(-header.bits * header.samples // _WEIGHTLESS_BITS)
    if weight > 1:
        size = f"{size} of {header.samples} samples of {header.bits} bits, which count {weight} times,"
    if header.width * header.height * max(weight, 1) > limits.max_pixels:
        reason = f"{size} are more than the limit of {limits.max_pixels}; raise --max-pixels if the scan is genuine"
        raise ItemError("too_many_pixels", f"{reason}, or export it as {REGIONAL}")
    if header.frames > limits.max_frames:
        raise ItemError("too_many_frames", _too_many(header.frames, limits))


def _too_many(frames: int, limits: DecodeLimits) -> str:
    reason = f"{frames} pages or frames are more than the limit of {limits.max_frames}"
    return f"{reason}; raise --max-frames if they are genuine, or export the first"


def _colour(header: Header, channels: int, converted: bool) -> tuple[bytes | None, str, tuple[str, ...]]:
    """Profile that the pixels are in, one line that names their colour space, and warnings."""
    if converted:
        return None, CONVERTED, ()
    colours = 3 if channels >= 3 else 1
    assumed = header.colour_space or ("sRGB (assumed)" if colours == 3 else "grey (assumed)")
    if header.icc_profile is None:
        return None, assumed, ()
    if not colour_profile.fits(header.icc_profile, colours):
        kind = colour_profile.colour_space_of(header.icc_profile)
        what = f"is for {kind.decode('latin-1').strip()}, which the pixels are not" if kind else "is damaged"
        return None, assumed, (f"the colour profile {what}: it was left out, and the pixels are taken as {assumed}",)
    if not colour_profile.is_sound(header.icc_profile):
        return (
            None,
            assumed,
            (f"the colour profile is damaged: it was left out, and the pixels are taken as {assumed}",),
        )
    return header.icc_profile, colour_profile.description(header.icc_profile), ()
