"""Pixels out of a file whose header is already checked: the right decoder for each format and depth."""

from __future__ import annotations

import io
import warnings as python_warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeVar

import cv2
import imagecodecs
import numpy as np
from PIL import (
    BmpImagePlugin,
    GifImagePlugin,
    Image,
    ImageFile,
    Jpeg2KImagePlugin,
    JpegImagePlugin,
    PngImagePlugin,
    TgaImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)

from pipelines.errors import ItemError
from pipelines.media.photo.avif_boxes import AvifHeader
from pipelines.media.photo.colour_convert import cmyk_to_srgb, lab_to_srgb
from pipelines.media.photo.header import RECOPY, Header, corrupt
from pipelines.media.photo.jp2_boxes import CIELAB, Jp2Header
from pipelines.media.photo.jp2_boxes import CMYK as JP2_CMYK
from pipelines.media.photo.jp2_samples import has_plain_channels, is_whole, read_channels
from pipelines.media.photo.jpeg_markers import JpegHeader
from pipelines.media.photo.png_chunks import PngHeader
from pipelines.media.photo.tiff_colour import extra_samples, to_photo_samples, to_uint16, widen
from pipelines.media.photo.tiff_pages import CMYK, ICC_LAB, LAB, OLD_JPEG, WHITE_IS_ZERO, TiffHeader
from pipelines.media.photo.tiff_samples import has_plain_samples, read_samples

__all__ = ["Decoded", "decode_pixels"]

# `photo.decode` checks its own limit on every header first; Pillow's would refuse large scans that are genuine.
Image.MAX_IMAGE_PIXELS = None
# A damaged file is reported, never filled up with grey.
ImageFile.LOAD_TRUNCATED_IMAGES = False
# Pillow's remarks about odd tags name neither the file nor what to do.
python_warnings.filterwarnings("ignore", module=r"PIL\.")

_PLUGINS: dict[str, Callable[[io.BytesIO], ImageFile.ImageFile]] = {
    "JPEG": JpegImagePlugin.JpegImageFile,
    "PNG": PngImagePlugin.PngImageFile,
    "TIFF": TiffImagePlugin.TiffImageFile,
    "WEBP": WebPImagePlugin.WebPImageFile,
    "JPEG2000": Jpeg2KImagePlugin.Jpeg2KImageFile,
    "BMP": BmpImagePlugin.BmpImageFile,
    "GIF": GifImagePlugin.GifImageFile,
    "TGA": TgaImagePlugin.TgaImageFile,
}
# The mode that each Pillow mode of 8 bits is kept in.
_KEPT = {
    "1": "L",
    "L": "L",
    "LA": "LA",
    "La": "LA",
    "RGB": "RGB",
    "RGBX": "RGB",
    "RGBA": "RGBA",
    "RGBa": "RGBA",
    "PA": "RGBA",
}
_Result = TypeVar("_Result")
_RARE = "convert it to plain TIFF or PNG"


@dataclass(frozen=True, kw_only=True)
class Decoded:
    """Pixels of one file.

    Attributes:
        pixels: HWC, uint8 or uint16, C 1 to 4, straight alpha last.
        source_mode: how the file stores a pixel: a Pillow mode ("P", "CMYK"), or channels and depth ("RGB;16").
        converted: the pixels are sRGB now, and the file's own profile no longer describes them.
        upright: the decoder has already turned the pixels as the orientation asks.
        extra: HWC, of the pixels' type and turned as they are: channels beyond colour and alpha; None where there are none.
        warnings: what was changed or could not be kept, a line each.
    """

    pixels: np.ndarray
    source_mode: str
    extra: np.ndarray | None = None
    converted: bool = False
    upright: bool = False
    warnings: tuple[str, ...] = ()


def decode_pixels(data: bytes, header: Header) -> Decoded:
    """Decode the first page or frame.

    Args:
        data: the file that `header` was read from.

    Raises:
        ItemError: "truncated", "corrupt" or "unsupported".
        MemoryError: the pixels do not fit.
    """
    if isinstance(header, TiffHeader) and has_plain_samples(header):
        samples = _guarded(partial(read_samples, data, header), header)
        pixels, converted, notes = to_photo_samples(samples, header)
        extra = extra_samples(samples, header)
        name = _mode_name(header)
        return Decoded(pixels=pixels, source_mode=name, extra=extra, converted=converted, warnings=notes)
    if isinstance(header, JpegHeader) and header.bits > 8:
        return _deep_jpeg(header)
    if isinstance(header, PngHeader) and header.bits == 16:
        deep = _opencv(header.stream)
        if deep is not None:
            return Decoded(pixels=_png_channels(deep, header), source_mode=_mode_name(header))
    if isinstance(header, Jp2Header) and has_plain_channels(header):
        pixels, converted, notes = _guarded(partial(read_channels, data, header), header)
        return Decoded(pixels=pixels, source_mode=_mode_name(header), converted=converted, warnings=notes)
    if isinstance(header, AvifHeader):
        return _avif(data, header)
    return _pillow(data, header)


def _mode_name(header: Header) -> str:
    name = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}.get(header.samples, f"{header.samples} channels")
    if isinstance(header, Jp2Header) and header.space in (JP2_CMYK, CIELAB):
        name = ("CMYK" if header.space == JP2_CMYK else "LAB") + "A" * (
            header.samples > (4 if header.space == JP2_CMYK else 3)
        )
    if isinstance(header, TiffHeader):
        if (header.bits, header.samples) == (1, 1):
            return "1"
        space = {CMYK: "CMYK", LAB: "LAB", ICC_LAB: "LAB"}.get(header.photometric)
        name = name if space is None else space + "A" * bool(header.extra)
    return name if header.bits == 8 else f"{name};{header.bits}"


def _opencv(data: bytes) -> np.ndarray | None:
    """HWC uint16, RGB order; None when OpenCV cannot read the file or does not give 16 bits."""
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if pixels is None or pixels.dtype != np.uint16:
        return None
    if pixels.ndim == 2:
        return pixels[..., None]
    return pixels[..., [2, 1, 0, 3][: pixels.shape[2]]]


def _png_channels(pixels: np.ndarray, header: PngHeader) -> np.ndarray:
    """OpenCV's channels of a 16-bit PNG as the file has them: it widens grey + alpha to four."""
    if header.colour_type == 4:
        return pixels[..., [0, 3]]
    if header.colour_type == 2:
        pixels = pixels[..., :3]  # the fourth is the transparent colour, applied below for every depth alike
    return _keyed_alpha(pixels, header)


def _keyed_alpha(pixels: np.ndarray, header: PngHeader) -> np.ndarray:
    """Add the alpha channel that PNG's one transparent colour stands for; pixels unchanged when there is none."""
    if header.transparency is None or header.colour_type not in (0, 2):
        return pixels
    key = np.frombuffer(header.transparency[: 2 * pixels.shape[2]], ">u2").astype(np.int64)
    if header.bits < 8:  # the decoder has widened grey to 8 bits; the key is still in the file's own scale
        key = key * (255 // (2**header.bits - 1))
    top = np.iinfo(pixels.dtype).max
    alpha = np.where((pixels == key).all(axis=2, keepdims=True), 0, top).astype(pixels.dtype)
    return np.concatenate([pixels, alpha], axis=2)


def _deep_jpeg(header: JpegHeader) -> Decoded:
    """JPEG of more than 8 bits, which Pillow does not open."""
    if not header.complete:  # libjpeg fills up what is missing, and imagecodecs does not pass its warning on
        raise ItemError("truncated", f"the file ends before its last pixels; {RECOPY}")
    try:
        deep = imagecodecs.jpeg8_decode(header.stream)
    except RuntimeError as error:
        raise corrupt(f"the pixels cannot be decoded ({error})") from error
    pixels = deep.reshape(header.height, header.width, header.samples).astype(np.uint16, copy=False)
    return Decoded(pixels=widen(pixels, header.bits), source_mode=_mode_name(header))


def _avif(data: bytes, header: AvifHeader) -> Decoded:
    """The primary picture, in its depth."""
    try:
        pixels = imagecodecs.avif_decode(data, 0, numthreads=1)
    except RuntimeError as error:
        raise corrupt(f"the pixels cannot be decoded ({error})") from error
    pixels = pixels[..., None] if pixels.ndim == 2 else pixels
    if pixels.shape[:2] != (header.height, header.width):
        raise corrupt("the picture is of another size than its description")
    header = replace(header, samples=pixels.shape[2], bits=header.bits if pixels.dtype == np.uint16 else 8)
    return Decoded(pixels=widen(pixels, header.bits), source_mode=_mode_name(header))


def _pillow(data: bytes, header: Header) -> Decoded:
    source = header.stream if isinstance(header, PngHeader | JpegHeader) else data
    try:
        image: Image.Image = _PLUGINS[header.format](io.BytesIO(source))
    except MemoryError:
        raise
    except Exception as error:
        if header.format in (
            "TIFF",
            "BMP",
            "TGA",
        ):  # sound as far as our reader knows, so a layout that Pillow does not
            what = f"this kind of {header.format} is not supported ({error})"
            raise ItemError("unsupported", f"{what}; export it again") from error
        raise corrupt(f"the {header.format} file cannot be opened ({error})") from error
    try:
        _guarded(image.load, header)
    except ItemError as error:
        if error.code != "corrupt" or not _is_rare(data, header):
            raise
        raise ItemError("unsupported", f"no decoder here reads this kind of {header.format}; {_RARE}") from error
    mode, notes, converted = image.mode, [], image.mode in ("CMYK", "LAB", "YCbCr")
    scaling: str | None
    if mode == "L" and header.format == "GIF" and "transparency" in image.info:
        image = image.convert("LA")
    if mode in ("P", "PA"):
        transparent = mode == "PA" or "transparency" in image.info
        image = image.convert("RGBA" if transparent else "RGB")
        notes.append(f"the palette was expanded to {image.mode}")
    pixels, scaling = _to_srgb(image, header) if converted else _array(image, header)
    if scaling:
        notes.append(scaling)
    if header.bits > 8 and pixels.dtype == np.uint8:
        notes.append(f"{header.bits}-bit samples were reduced to 8 bits: no decoder here reads this layout deeper")
    if isinstance(header, TiffHeader) and any(kind not in (1, 2) for kind in header.extra):
        notes.append("channels beyond colour and alpha were left out: no decoder here keeps them in this layout")
    if isinstance(header, PngHeader) and pixels.shape[2] in (1, 3):
        pixels = _keyed_alpha(pixels, header)
    return Decoded(
        pixels=pixels,
        source_mode=mode,
        converted=converted,
        upright=header.format == "TIFF",  # Pillow turns TIFF pages itself while it loads them
        warnings=tuple(notes),
    )


def _is_rare(data: bytes, header: Header) -> bool:
    """Whether it is of a kind that decoders refuse for being what it is, however sound."""
    if isinstance(header, Jp2Header):
        return is_whole(data, header)
    old_jpeg = isinstance(header, TiffHeader) and header.compression == OLD_JPEG
    return old_jpeg or (isinstance(header, JpegHeader) and header.lossless)


def _to_srgb(image: Image.Image, header: Header) -> tuple[np.ndarray, str]:
    """HW3 uint8 of a loaded image in a colour space that photos are not kept in, and how it was converted."""
    if image.mode == "CMYK":
        return cmyk_to_srgb(np.asarray(image), header.icc_profile)
    if image.mode == "LAB":
        return lab_to_srgb(np.asarray(image), signed=True)
    return np.array(image.convert("RGB")), f"{image.mode} was converted to RGB"


def _array(image: Image.Image, header: Header) -> tuple[np.ndarray, str | None]:
    """HWC uint8 or uint16 of a loaded image, and what was done to its values, if anything."""
    if image.mode in ("F", "I"):
        values, note = to_uint16(np.asarray(image)[..., None], header.bits)
        if isinstance(header, TiffHeader) and header.photometric == WHITE_IS_ZERO:
            values = np.uint16(65535) - values
        return values, f"{header.bits}-bit samples were {note} 16 bits"
    if image.mode.startswith("I;16"):
        values = np.array(image, dtype=np.uint16)[..., None]
        # Pillow widens JPEG 2000 itself, and leaves the 12 bits of a TIFF as they are.
        return (widen(values, header.bits) if header.format == "TIFF" else values), None
    if image.mode not in _KEPT:
        raise ItemError("unsupported", f"pixels of mode {image.mode} are not supported; convert it to RGB or grey")
    kept = image if image.mode == _KEPT[image.mode] else image.convert(_KEPT[image.mode])
    pixels = np.array(kept)
    return (pixels[..., None] if pixels.ndim == 2 else pixels), None


def _guarded(work: Callable[[], _Result], header: Header) -> _Result:
    """Run a decoder; what it complains about becomes our own error."""
    try:
        return work()
    except (ItemError, MemoryError):
        raise
    except Exception as error:
        message = str(error) or type(error).__name__
        if "truncated" in message or not header.complete:
            raise ItemError("truncated", f"the file ends before its last pixels ({message}); {RECOPY}") from error
        raise corrupt(f"the pixels cannot be decoded ({message})") from error
