"""The colours of decoded frames: what they mean, and their exact conversion to full-range RGB.

libswscale's own way from YUV to 16-bit RGB shifts where it should scale: white of 10 bits, limited range, comes out as 65281.
So libswscale only brings the planes to one form (4:4:4, 16 bits), which it does without loss and, for chroma, with regard
to where the samples lie and to fields; the matrix is ours.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from functools import cache

import av
import cv2
import numpy as np
from av.video.format import VideoFormat
from av.video.reformatter import ColorRange, Interpolation, VideoReformatter

from pipelines.media.film.picture.colour_tags import MATRICES, PRIMARIES, TRANSFERS, Tags
from pipelines.media.film.picture.planes import LUMA_WEIGHTS

__all__ = ["Colour", "colour_of", "is_yuv", "plane_of", "to_rgb", "widen"]

_HDR = {"smpte2084": "PQ", "arib-std-b67": "HLG"}
# Codecs whose grey pictures are full range where nothing is said; video codecs code luma.
_FULL_GREY = frozenset(
    (
        "ffv1", "rawvideo", "png", "tiff", "targa", "bmp", "sgi", "jpeg2000", "mjpeg", "huffyuv", "ffvhuff", "utvideo",
        "magicyuv", "gif", "qtrle",
    )
)  # fmt: skip
# Bicubic keeps a linear ramp linear, which FFmpeg's Lanczos does not quite; bit-exact on all processors.
_SCALER = (
    Interpolation.BICUBIC
    | Interpolation.ACCURATE_RND
    | Interpolation.FULL_CHR_H_INT
    | Interpolation.FULL_CHR_H_INP
    | Interpolation.BITEXACT
)
_YCGCO = np.array([[1, -1, 1], [1, 1, 0], [1, -1, -1]], np.float64)


@dataclass(frozen=True)
class Colour:
    """What the values of a film's frames mean.

    Attributes:
        channels: 1 for grey, else 3. bit_depth: bits a component.
        colour_range: "limited" or "full". matrix, primaries, transfer: FFmpeg's names.
        assumed: which of these the source leaves open.
        warnings: what a reader of the manifest should know.
    """

    channels: int
    bit_depth: int
    colour_range: str
    matrix: str
    primaries: str
    transfer: str
    assumed: tuple[str, ...]
    warnings: tuple[str, ...]

    @property
    def dtype(self) -> type[np.uint8] | type[np.uint16]:
        """Of frames: uint8 or uint16."""
        return np.uint8 if self.bit_depth <= 8 else np.uint16


def colour_of(frame: av.VideoFrame, codec: str, rate: Fraction | None, container: Tags | None = None) -> Colour:
    """What a frame says of its colours, where it says nothing the container, and else what is assumed.

    Args:
        frame: the film's first one.
        codec: that it was coded with.
        rate: frames a second; tells 625-line from 525-line television.
        container: what it says; None for nothing.
    """
    tags = Tags.of(frame) if container is None else Tags.of(frame).filled(container)
    kind, assumed, warnings = frame.format.name, [], []
    grey, yuv = _is_grey(frame.format), is_yuv(frame.format)
    standard = _standard(frame.height, rate)
    matrix = "rgb"
    if yuv:
        said = MATRICES.get(tags.matrix, "rgb")
        matrix = said
        if said == "rgb":
            matrix = standard
            assumed.append("matrix")
        elif said not in LUMA_WEIGHTS and said != "ycgco":
            matrix = "bt2020nc" if said.startswith(("bt2020", "ictcp")) else "bt709"
            warnings.append(f"the colour matrix {said} is not supported: {matrix} was taken")
    colour_range = {1: "limited", 2: "full"}.get(tags.colour_range, "")
    if kind.startswith("yuvj") or not (yuv or grey):
        colour_range = "full"
    elif not colour_range:
        colour_range = "full" if grey and codec in _FULL_GREY else "limited"
        assumed.append("colour_range")
    primaries, transfer = PRIMARIES.get(tags.primaries, ""), TRANSFERS.get(tags.transfer, "")
    if not primaries:
        # What is known of the matrix tells more than the size does.
        likely = matrix if "matrix" not in assumed else standard
        primaries = {"bt2020nc": "bt2020", "bt470bg": "bt470bg", "smpte170m": "smpte170m"}.get(likely, "bt709")
        assumed.append("primaries")
    if not transfer:
        transfer = "bt709" if yuv or grey else "iec61966-2-1"
        assumed.append("transfer")
    if transfer in _HDR:
        warnings.append(f"high dynamic range ({_HDR[transfer]}): values are restored as they are coded, unconverted")
    if any(component.is_alpha for component in frame.format.components):
        warnings.append("transparency was dropped")
    if kind.startswith("xyz"):
        warnings.append("CIE XYZ was converted to RGB by libswscale")
    if any(name in kind for name in ("f16", "f32")):
        warnings.append("floating-point values were converted to 16 bits and clipped to 0..1")
    bits = 16 if kind.startswith("xyz") else min(max(c.bits for c in frame.format.components), 16)
    if kind.startswith("pal") or bits < 8:
        bits = 8
    return Colour(1 if grey else 3, bits, colour_range, matrix, primaries, transfer, tuple(assumed), tuple(warnings))


def _standard(height: int, rate: Fraction | None) -> str:
    """Matrix that is usual for frames of a height: that of high definition, or of 625 or 525 lines."""
    if height >= 720:
        return "bt709"
    return "bt470bg" if height in {576, 288} or rate in {25, 50} else "smpte170m"


def is_yuv(kind: VideoFormat) -> bool:
    """Whether a pixel format is of luma and chroma."""
    return (
        not kind.is_rgb and not _is_grey(kind) and not kind.has_palette and not kind.name.startswith(("xyz", "bayer"))
    )


def _is_grey(kind: VideoFormat) -> bool:
    return kind.name.startswith(("gray", "ya8", "ya16", "mono"))


def to_rgb(frame: av.VideoFrame, colour: Colour) -> np.ndarray:
    """A decoded frame as RGB [H, W, 3], full range, of `colour.dtype`; not yet turned upright.

    Chroma of fewer samples is interpolated bicubically, by field where the frame is flagged as interlaced. Values outside RGB's
    cube, as limited range has them, are clipped.
    """
    if _is_grey(frame.format):
        return _grey(frame, colour)
    return _yuv(frame, colour) if is_yuv(frame.format) else _rgb(frame, colour)


def _yuv(frame: av.VideoFrame, colour: Colour) -> np.ndarray:
    kind, bits = frame.format.name, colour.bit_depth
    if re.fullmatch(r"yuvj?444p(\d+le)?", kind):
        planes = [plane_of(frame, n, colour.dtype) for n in range(3)]
        return _matrixed(planes, colour, 0)
    # The same range and matrix on both sides, so that codes are shifted up and nothing else happens to them. Limited is said
    # whatever is true: libswscale sometimes scales full range by repeating bits. Only the yuvj formats cannot be called so.
    same = int(ColorRange.JPEG if kind.startswith("yuvj") else ColorRange.MPEG)
    whole = VideoReformatter().reformat(
        frame,
        format="yuv444p16le",
        src_colorspace=5,
        dst_colorspace=5,
        src_color_range=same,
        dst_color_range=same,
        interpolation=int(_SCALER),
        threads=1,
    )
    return _matrixed([plane_of(whole, n, np.uint16) for n in range(3)], colour, 16 - bits)


def _matrixed(planes: list[np.ndarray], colour: Colour, shift: int) -> np.ndarray:
    # OpenCV works with integers of few bits where samples have 8, with floating-point numbers where they have 16.
    yuv = cv2.merge(planes).astype(np.uint16, copy=False)
    rgb = cv2.transform(yuv, _from_yuv(colour.matrix, colour.bit_depth, colour.colour_range, shift))
    return np.minimum(rgb, 255).astype(np.uint8) if colour.dtype == np.uint8 else rgb


@cache
def _from_yuv(matrix: str, bits: int, colour_range: str, shift: int) -> np.ndarray:
    """[3, 4]: codes of `bits` bits, shifted up, to full-range RGB of 8 or 16 bits."""
    if matrix == "ycgco":
        weights = _YCGCO
    else:
        red, blue = LUMA_WEIGHTS[matrix]
        green = 1 - red - blue
        weights = np.array(
            [
                [1, 0, 2 * (1 - red)],
                [1, -2 * (1 - blue) * blue / green, -2 * (1 - red) * red / green],
                [1, 2 * (1 - blue), 0],
            ]
        )
    step = 1 << (bits - 8)
    top = (1 << bits) - 1
    spans, starts = ((top, top, top), (0, 128, 128)) if colour_range == "full" else ((219, 224, 224), (16, 128, 128))
    span = np.array(spans) * (1 if colour_range == "full" else step)
    weights = weights / span * (255 if bits <= 8 else 65535)
    offset = -weights @ (np.array(starts) * step)
    return np.hstack([weights / (1 << shift), offset[:, None]])


def _rgb(frame: av.VideoFrame, colour: Colour) -> np.ndarray:
    if colour.dtype == np.uint8:
        return _packed(frame, "rgb24")
    kind = frame.format.name
    if kind.startswith(("gbrp", "gbrap", "x2")) and kind.endswith("le") and "f" not in kind:
        planar = frame.reformat(format="gbrp10le", threads=1) if kind.startswith("x2") else frame
        blue_red = [plane_of(planar, n, np.uint16) for n in (2, 0, 1)]  # planes are G, B, R
        return cv2.merge([widen(plane, colour.bit_depth) for plane in blue_red])
    if kind.startswith("gbr") and kind.endswith("be") and "f" not in kind:
        return _rgb(frame.reformat(format=kind[:-2].replace("gbrap", "gbrp") + "le", threads=1), colour)
    return _packed(frame, "rgb48le")


def _packed(frame: av.VideoFrame, kind: str) -> np.ndarray:
    packed = frame.reformat(format=kind, dst_color_range=2, interpolation=int(_SCALER), threads=1)
    return packed.to_ndarray()


def _grey(frame: av.VideoFrame, colour: Colour) -> np.ndarray:
    bits = colour.bit_depth
    plain = {8: "gray", 16: "gray16le"}.get(bits, f"gray{bits}le")
    if frame.format.name != plain:
        frame = frame.reformat(format=plain, threads=1)
    luma = plane_of(frame, 0, np.uint8 if bits == 8 else np.uint16)
    if colour.colour_range == "limited":
        luma = _unlimited(bits)[luma]
    elif bits > 8:
        luma = widen(luma, bits)
    return cv2.merge([luma, luma, luma])


@cache
def _unlimited(bits: int) -> np.ndarray:
    """What each code of limited range is in full range of 8 or 16 bits."""
    codes, step, top = np.arange(1 << bits), 1 << (bits - 8), 255 if bits == 8 else 65535
    full = np.clip(np.rint((codes - 16 * step) * top / (219 * step)), 0, top)
    return full.astype(np.uint8 if bits == 8 else np.uint16)


def widen(samples: np.ndarray, bits: int) -> np.ndarray:
    """Samples of the full range of `bits` bits as the nearest of 16, uint16, any shape."""
    return samples if bits == 16 else _widening(bits)[samples]


@cache
def _widening(bits: int) -> np.ndarray:
    top = (1 << bits) - 1
    table = np.zeros(1 << 16, np.uint16)  # stray bits above the depth must not lead outside it
    table[: top + 1] = np.rint(np.arange(top + 1) * 65535 / top)
    table[top + 1 :] = 65535
    return table


def plane_of(frame: av.VideoFrame, number: int, kind: type[np.uint8] | type[np.uint16]) -> np.ndarray:
    """A plane's samples [rows, columns] in place, of type `kind`."""
    plane = frame.planes[number]
    rows = np.frombuffer(memoryview(plane), kind).reshape(plane.height, plane.line_size // np.dtype(kind).itemsize)
    return rows[:, : plane.width]
