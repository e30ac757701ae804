"""TIFF structure: the first page's tags, and where its strips or tiles lie."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from pipelines.errors import ItemError
from pipelines.media.photo.exif import dpi_of, orientation_of
from pipelines.media.photo.header import RECOPY, Header, check_sides, corrupt
from pipelines.media.photo.ifd import Ifd, first_ifd, read_ifd
from pipelines.media.photo.tiff_directories import SCANNER_SOFTWARE, list_pages, text_of

__all__ = ["RAW", "RGB", "WHITE_IS_ZERO", "TiffHeader", "read_tiff"]

SIGNATURES = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
RAW, OLD_JPEG = 1, 6  # compression numbers
WHITE_IS_ZERO, RGB, PALETTE, CMYK, YCBCR, LAB = 0, 2, 3, 5, 6, 8  # photometric numbers; 1 is black-is-zero
_CAMERA_RAW = {32803: "a colour filter array", 34892: "linear raw"}
_SAMPLES = {RGB: 3, CMYK: 4, YCBCR: 3, LAB: 3}


@dataclass(frozen=True, kw_only=True)
class TiffHeader(Header):
    """Header of a TIFF file's first page.

    Attributes:
        order: "<" or ">", the byte order of samples.
        photometric: what samples mean; the numbers are constants of this module.
        compression: 1 none, 5 LZW, 8 deflate, 7 JPEG, ...
        predictor: 1 none, 2 horizontal differences, 3 floating point.
        sample_kind: "u", "i" or "f": unsigned, signed, floating point.
        bits_reversed: the first pixel of a byte is its lowest bit.
        planar: True when each channel lies in chunks of its own.
        extra: the kind of each sample after the colours: 0 unknown, 1 premultiplied alpha, 2 straight alpha.
        chunk: (width, height) of a tile, or the image width and the rows of a strip.
        tiled: whether chunks are tiles, which are always stored whole.
        offsets: first byte of each chunk (N,), row by row, channel by channel when planar.
        sizes: bytes of each chunk (N,).
    """

    order: str
    photometric: int
    compression: int
    predictor: int
    sample_kind: str
    bits_reversed: bool
    planar: bool
    extra: tuple[int, ...]
    chunk: tuple[int, int]
    tiled: bool
    offsets: np.ndarray
    sizes: np.ndarray


def read_tiff(data: bytes) -> TiffHeader:
    """Header of a TIFF or BigTIFF file, whose chunks all lie inside the file.

    Raises:
        ItemError: "zero_size", "truncated", "corrupt", or "unsupported" (camera raw, layouts no reader knows).
    """
    offset, big, order = first_ifd(data)
    ifd = read_ifd(data, offset, big, order)
    _refuse_camera_raw(ifd)
    if 256 not in ifd.entries or 257 not in ifd.entries:
        raise corrupt("the page has no size")
    width, height = ifd.number(256, 0), ifd.number(257, 0)
    check_sides(width, height)
    compression = ifd.number(259, RAW)
    photometric = ifd.number(262, YCBCR if compression in (OLD_JPEG, 7) else WHITE_IS_ZERO)
    samples = ifd.number(277, _SAMPLES.get(photometric, 1))
    colours = _SAMPLES.get(photometric, 1)
    if not colours <= samples <= 16:
        raise ItemError("unsupported", f"TIFF with {samples} channels is not supported; export it as RGB or grey")
    bits, sample_kind = _sample_type(ifd, samples)
    if photometric == YCBCR and compression == RAW and _values(ifd, 530, (2, 2)) != (1, 1):
        raise ItemError("unsupported", "uncompressed TIFF with subsampled colour is not supported; export it as RGB")
    found = list_pages(data)
    frames = max(len(found.pages), 1)
    warnings = [found.fault, *found.notes] if found.fault else [*found.notes]
    if 0 in found.infrared:
        warnings.append("the scanner's infrared channel, the image after the page, is not read")
    if frames > 1:
        warnings.append(f"{frames} pages: only the first is read")
    for tag in (320, 347):  # the palette and the tables of JPEG: decoders read these, so they must be there
        ifd.array(tag)
    profile = ifd.array(34675)
    planar = ifd.number(284, 1) == 2 and samples > 1
    chunk, tiled = _chunk(ifd, width, height)
    header = TiffHeader(
        format="TIFF",
        width=width,
        height=height,
        bits=bits,
        samples=samples,
        frames=frames,
        icc_profile=profile.tobytes() if profile is not None and len(profile) else None,
        orientation=orientation_of(ifd),
        dpi=dpi_of(ifd),
        warnings=tuple(warnings),
        order=order,
        photometric=photometric,
        compression=compression,
        predictor=ifd.number(317, 1),
        sample_kind=sample_kind,
        bits_reversed=ifd.number(266, 1) == 2,
        planar=planar,
        extra=_extra_kinds(ifd, samples - colours),
        chunk=chunk,
        tiled=tiled,
        offsets=np.zeros(0, np.int64),
        sizes=np.zeros(0, np.int64),
    )
    return _with_chunks(header, ifd, len(data))


def _refuse_camera_raw(ifd: Ifd) -> None:
    photometric = ifd.number(262, -1)
    if photometric in _CAMERA_RAW or 50706 in ifd.entries:  # 50706: the DNG version
        kind = _CAMERA_RAW.get(photometric, "DNG")
        raise ItemError("unsupported", f"camera raw ({kind}) is not supported; develop it to TIFF first")
    if ifd.number(254, 0) & 1:
        reason = "the first page is a reduced-size preview (camera raw?); export the full picture as its own TIFF"
        raise ItemError("unsupported", reason)


def _sample_type(ifd: Ifd, samples: int) -> tuple[int, str]:
    bits = set(_values(ifd, 258, (1,))[:samples])
    formats = set(_values(ifd, 339, (1,))[:samples])
    kinds = {1: "u", 2: "i", 3: "f", 4: "u"}  # 4: not stated
    if len(bits) != 1 or len(formats) != 1 or not formats <= set(kinds):
        raise ItemError(
            "unsupported", "TIFF with samples of different types is not supported; export it as RGB or grey"
        )
    return bits.pop(), kinds[formats.pop()]


def _extra_kinds(ifd: Ifd, count: int) -> tuple[int, ...]:
    """What each sample after the colours is: 0 not said, 1 premultiplied alpha, 2 straight alpha."""
    stated = ifd.array(338)
    if stated is not None:
        return tuple(int(kind) for kind in stated[:16])
    # A sample without a stated kind is alpha for every common reader. Film scanners write infrared light so.
    return (0 if SCANNER_SOFTWARE.search(text_of(ifd, 305)) else 2,) * count


def _values(ifd: Ifd, tag: int, default: tuple[int, ...]) -> tuple[int, ...]:
    values = ifd.array(tag)
    return default if values is None or not len(values) else tuple(int(value) for value in values[:16])


def _chunk(ifd: Ifd, width: int, height: int) -> tuple[tuple[int, int], bool]:
    if 324 in ifd.entries:
        tile = ifd.number(322, 0), ifd.number(323, 0)
        # The standard wants multiples of 16. Sides beyond the image's are padding, and cost memory in every decoder.
        if not 16 <= tile[0] <= max(width + 15, 4096) or not 16 <= tile[1] <= max(height + 15, 4096):
            raise corrupt(f"tiles of {tile[0]} x {tile[1]} pixels do not fit the page")
        return tile, True
    return (width, min(max(ifd.number(278, height), 1), height)), False


def _with_chunks(header: TiffHeader, ifd: Ifd, file_size: int) -> TiffHeader:
    offsets, sizes = (ifd.array(324), ifd.array(325)) if header.tiled else (ifd.array(273), ifd.array(279))
    if header.compression == OLD_JPEG:  # its data may lie outside strips altogether
        return header
    if offsets is None:
        raise corrupt("the page says nothing about where its pixels are")
    wide, high = header.chunk
    rows = -(-header.height // high)
    across = -(-header.width // wide)
    expected = rows * across * (header.samples if header.planar else 1)
    if len(offsets) < expected:
        raise corrupt(f"the page has {len(offsets)} of {expected} strips or tiles")
    starts = offsets[:expected].astype(np.int64)
    if header.compression == RAW:  # the stored sizes are often wrong, and not needed
        lengths = np.full(expected, high, np.int64)
        if not header.tiled:
            lengths[rows - 1 :: rows] = header.height - (rows - 1) * high
        lengths *= (wide * header.bits * (1 if header.planar else header.samples) + 7) // 8
    elif sizes is not None and len(sizes) >= expected:
        lengths = sizes[:expected].astype(np.int64)
    else:
        raise corrupt("the page says nothing about how long its strips or tiles are")
    if (starts <= 0).any() or (lengths <= 0).any():
        raise ItemError("truncated", f"some strips or tiles were never written; {RECOPY}")
    if int((starts + lengths).max()) > file_size or int((starts + lengths).min()) < 0:
        raise ItemError("truncated", f"the file ends at byte {file_size}, before its last strip or tile; {RECOPY}")
    return replace(header, offsets=starts, sizes=lengths)
