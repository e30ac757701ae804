"""TIFF structure: the first page's tags, and where its strips or tiles lie."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from pipelines.errors import ItemError
from pipelines.media.photo.exif import dpi_of, orientation_of
from pipelines.media.photo.header import RECOPY, Header, check_sides, corrupt
from pipelines.media.photo.ifd import Ifd, first_ifd, read_ifd
from pipelines.media.photo.tiff_directories import SCANNER_SOFTWARE, list_pages, text_of

__all__ = ["CMYK", "ICC_LAB", "JPEG", "LAB", "RAW", "RGB", "WHITE_IS_ZERO", "YCBCR", "TiffHeader", "read_tiff"]

SIGNATURES = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
RAW, OLD_JPEG, JPEG = 1, 6, 7  # compression numbers
# Photometric numbers; 1 is black-is-zero. Lab is kept in two ways: a and b signed (CIE), or with 128 added (ICC).
WHITE_IS_ZERO, RGB, PALETTE, CMYK, YCBCR, LAB, ICC_LAB = 0, 2, 3, 5, 6, 8, 9
_CAMERA_RAW = {32803: "a colour filter array", 34892: "linear raw"}
_SAMPLES = {RGB: 3, CMYK: 4, YCBCR: 3, LAB: 3, ICC_LAB: 3}
_PHOTOMETRICS = {WHITE_IS_ZERO, 1, PALETTE, *_SAMPLES}
# None; fax (4); LZW, JPEG old and new, deflate (2); PackBits, LZMA, Zstandard.
_COMPRESSIONS = {RAW, 2, 3, 4, 32771, 5, OLD_JPEG, JPEG, 8, 32946, 32773, 34925, 50000}
# Compressions that are met in archives and that no decoder here is trusted with.
_NAMES = {32766: "NeXT", 32809: "ThunderScan", 32908: "PixarFilm", 32909: "PixarLog", 33003: "JPEG 2000", 33005: "JPEG 2000",
          34661: "JBIG", 34676: "SGI LogLuv", 34677: "SGI LogLuv", 34712: "JPEG 2000", 34887: "LERC", 34892: "lossy DNG",
          34934: "JPEG XR", 50001: "WebP", 50002: "JPEG XL", 50013: "PixTIFF", 52546: "JPEG XL"}  # fmt: skip
# Each chunk costs a call, however small it is: as many are always taken, and one more for so many pixels.
_CHUNKS, _CHUNK_AREA = 100_000, 256


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
        jpeg_tables: what all JPEG chunks share, a JPEG without a picture; None when each has its own.
        fax_options: tag T4Options (1 two-dimensional lines, 2 plain bits, 4 filled up to bytes) or T6Options (2 plain bits).
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
    jpeg_tables: bytes | None = None
    fax_options: int = 0


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
    photometric = _photometric(ifd, compression)
    samples = ifd.number(277, _SAMPLES.get(photometric, 1))
    colours = _SAMPLES.get(photometric, 1)
    if not colours <= samples <= 16:
        raise ItemError("unsupported", f"TIFF with {samples} channels is not supported; export it as RGB or grey")
    bits, sample_kind = _sample_type(ifd, samples)
    _refuse_other_layouts(ifd, photometric, compression)
    found = list_pages(data)
    frames = max(len(found.pages), 1)
    warnings = [found.fault, *found.notes] if found.fault else [*found.notes]
    if 0 in found.infrared:
        warnings.append("the scanner's infrared channel, the image after the page, is not read")
    if frames > 1:
        warnings.append(f"{frames} pages: only the first is read")
    ifd.array(320)  # the palette: decoders read it, so it must be there
    tables, profile = ifd.array(347), ifd.array(34675)
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
        jpeg_tables=tables.tobytes() if tables is not None else None,
        fax_options=ifd.number({3: 292, 4: 293}.get(compression, 0), 0),
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


def _photometric(ifd: Ifd, compression: int) -> int:
    """What samples mean; many old writers leave it out of grey and RGB."""
    unsaid = RGB if ifd.number(277, 1) == 3 else WHITE_IS_ZERO
    if compression in (OLD_JPEG, JPEG):
        unsaid = YCBCR
    elif 262 not in ifd.entries and ifd.number(277, 1) > 3:
        raise ItemError("unsupported", "the TIFF does not say what its channels mean; export it as RGB or grey")
    return ifd.number(262, unsaid)


def _refuse_other_layouts(ifd: Ifd, photometric: int, compression: int) -> None:
    """Name what is sound and not read, before a decoder calls it damaged.

    Raises:
        ItemError: "unsupported".
    """
    what = ""
    if compression not in _COMPRESSIONS:
        what = f"packed as {_NAMES.get(compression, f'number {compression}')}"
    elif photometric not in _PHOTOMETRICS:
        what = f"of colours of kind {photometric}"
    elif ifd.number(332, 1) != 1 and photometric == CMYK:
        what = "of other inks than cyan, magenta, yellow and black"
    elif photometric == YCBCR and compression not in (OLD_JPEG, JPEG):
        planar, subsampled = ifd.number(284, 1) == 2, _values(ifd, 530, (2, 2)) != (1, 1)
        if subsampled and (planar or compression == RAW):
            what = "with subsampled colour outside JPEG"
        elif planar:
            what = "with brightness and colour in separate planes"
    if what:
        raise ItemError("unsupported", f"TIFF {what} is not supported; export it as plain RGB or grey")


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
    if 324 in ifd.entries or _tiles_called_strips(ifd, width, height):
        tile = ifd.number(322, 0), ifd.number(323, 0)
        # The standard wants multiples of 16. Sides beyond the image's are padding, and cost memory in every decoder.
        if not 16 <= tile[0] <= max(width + 15, 4096) or not 16 <= tile[1] <= max(height + 15, 4096):
            raise corrupt(f"tiles of {tile[0]} x {tile[1]} pixels do not fit the page")
        return tile, True
    return (width, min(max(ifd.number(278, height), 1), height)), False


def _tiles_called_strips(ifd: Ifd, width: int, height: int) -> bool:
    """Whether tiles lie where strips are named, as writers before TIFF 6 have it."""
    wide, high, strips = ifd.number(322, 0), ifd.number(323, 0), ifd.array(273)
    if strips is None or not (wide and high):
        return False
    rows = min(max(ifd.number(278, height), 1), height)
    tiles = -(-width // wide) * -(-height // high)
    return len(strips) == tiles and tiles != -(-height // rows)


def _with_chunks(header: TiffHeader, ifd: Ifd, file_size: int) -> TiffHeader:
    tiled = header.tiled and 324 in ifd.entries
    offsets, sizes = (ifd.array(324), ifd.array(325)) if tiled else (ifd.array(273), ifd.array(279))
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
        lengths = _known_lengths(starts, sizes[:expected].astype(np.int64), file_size)
    else:
        raise corrupt("the page says nothing about how long its strips or tiles are")
    if (starts <= 0).any() or (lengths <= 0).any():
        raise ItemError("truncated", f"some strips or tiles were never written; {RECOPY}")
    if int((starts + lengths).max()) > file_size or int((starts + lengths).min()) < 0:
        raise ItemError("truncated", f"the file ends at byte {file_size}, before its last strip or tile; {RECOPY}")
    _check_chunks(header, expected, sum(lengths.tolist()), file_size)
    return replace(header, offsets=starts, sizes=lengths)


def _known_lengths(starts: np.ndarray, lengths: np.ndarray, file_size: int) -> np.ndarray:
    """Lengths of packed chunks; where a writer left 0, what there is up to the next chunk or the end of the file."""
    unknown = (lengths == 0) & (starts > 0)
    if not unknown.any():
        return lengths
    borders = np.append(np.unique(starts), file_size)
    return np.where(
        unknown, borders[np.searchsorted(borders, starts, "right").clip(0, len(borders) - 1)] - starts, lengths
    )


def _check_chunks(header: TiffHeader, count: int, total: int, file_size: int) -> None:
    """Refuse what would keep a decoder busy for longer than its pixels are worth.

    Raises:
        ItemError: "corrupt" when chunks share their bytes, "unsupported" when there are far too many of them.
    """
    if total > 2 * file_size:  # a little is shared where a writer rounded sizes up
        raise corrupt(f"strips or tiles overlap: together they are {total} bytes, in a file of {file_size}")
    if count > _CHUNKS + header.width * header.height // _CHUNK_AREA:
        reason = f"TIFF with {count} strips or tiles for {header.width} x {header.height} pixels is not supported"
        raise ItemError("unsupported", f"{reason}; export it with larger ones")
