"""Giant TIFF photographs, whose pixels are decoded a rectangle at a time: a file is never in memory, and its pixels neither.

A rectangle is decoded as a smaller page made of strips or tiles that it touches, by the decoder of whole pages. So the pixels
are the same whichever way a photograph goes. Pages whose pixels depend on the whole photograph are not read so (`why_not`).
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, replace
from typing import cast

import numpy as np

from pipelines.errors import ItemError
from pipelines.media.guard import guarded, label
from pipelines.media.limits import DecodeLimits
from pipelines.media.photo.decode import Photo, photo_of
from pipelines.media.photo.exif import upright
from pipelines.media.photo.file_bytes import FileBytes
from pipelines.media.photo.header import corrupt
from pipelines.media.photo.metadata.read import read_metadata
from pipelines.media.photo.tiff_directories import PageList
from pipelines.media.photo.tiff_pages import RAW, RGB, WHITE_IS_ZERO, TiffHeader, read_tiff
from pipelines.media.photo.tiff_samples import has_plain_samples

__all__ = ["RegionPhoto", "open_regions"]

_BLACK_IS_ZERO = 1
_CHUNK_BYTES = 128 * 2**20  # of one strip or tile unpacked
_BLOCK_ROWS = 64  # rows decoded together, where strips and tiles are lower
_BLOCK_BYTES = 8 * 2**20  # at most, unless one strip or tile is more
_MOST_PACKED = 250  # times that genuine scans pack at most; noise alone keeps them far below
_CACHE_BYTES = (
    256 * 2**20
)  # of decoded pixels that are kept: a row of tiles up to some 40,000 pixels across is decoded once


def open_regions(data: FileBytes, found: PageList, name: str, limits: DecodeLimits) -> RegionPhoto | str:
    """A giant photograph, the first page of a file, or in a few words why it must be decoded as a whole.

    Args:
        data: the file.
        found: its pages, one at least.
        name: of the file, for reasons.
        limits: of pixels and bytes, which hold for it as they hold for whole photographs.

    Raises:
        ItemError: as `photo.decode: decode`.
    """

    if len(data) > limits.max_bytes:
        reason = (
            f"{len(data)} bytes are more than the limit of {limits.max_bytes}, eight for each of --max-giant-pixels"
        )
        raise ItemError("too_many_bytes", f"{label(name)}: {reason}; raise that if the scan is genuine")

    def opened(given: bytes, limits: DecodeLimits) -> RegionPhoto | str:
        header = read_tiff(given)
        reason = why_not(header) or _packed_too_well(header, len(given))
        if 0 in found.infrared:
            reason = "it has an infrared channel"
        if reason:
            return reason
        if header.width * header.height > limits.max_pixels:
            size = f"{header.width} x {header.height} pixels"
            hint = "raise --max-giant-pixels if the scan is genuine"
            raise ItemError("too_many_pixels", f"{size} are more than the limit of {limits.max_pixels}; {hint}")
        _refuse_overlaps(header)
        return RegionPhoto(given, header, found, name)

    return guarded(opened, cast(bytes, data.isolate(found.pages[0])), name, limits)


def why_not(header: TiffHeader) -> str:
    """Why a page is not read by region; empty if it is.

    Its pixels must be stored so that each is known by itself: unsigned grey or RGB of 8 or 16 bits, lossless, with at most one
    alpha channel beside. Others are stretched or converted by what is found in the whole photograph, or by other decoders.
    """
    colours = 3 if header.photometric == RGB else 1
    wide, high = header.chunk
    if header.photometric not in (WHITE_IS_ZERO, _BLACK_IS_ZERO, RGB) or header.sample_kind != "u":
        return "its colours are not plain grey or RGB"
    if header.bits not in (8, 16):
        return f"its samples have {header.bits} bits"
    if not has_plain_samples(header):
        return "it is packed in another way than TIFF's lossless ones"
    if header.samples - colours > (1 if header.extra and header.extra[0] in (1, 2) else 0):
        return "it has channels beyond colour and alpha"
    if header.compression != RAW and wide * high * header.samples * header.bits // 8 > _CHUNK_BYTES:
        return f"its strips or tiles of {wide} x {high} pixels are too large"
    return ""


def _packed_too_well(header: TiffHeader, size: int) -> str:
    """A reason where pixels pack so well that they are no scan: they would be computed for days. Empty otherwise."""
    unpacked = header.width * header.height * header.samples * header.bits // 8
    return f"it unpacks to {unpacked // size} times its size, as no scan does" if unpacked > _MOST_PACKED * size else ""


def _refuse_overlaps(header: TiffHeader) -> None:
    """A small file must not stand for a giant photograph: no byte belongs to two strips or tiles."""
    order = np.argsort(header.offsets, kind="stable")
    starts, ends = header.offsets[order], (header.offsets + header.sizes)[order]
    if (starts[1:] < ends[:-1]).any():
        raise corrupt("strips or tiles overlap")


@dataclass(frozen=True)
class _Grid:
    """Strips or tiles of a page: how many across and down."""

    across: int
    down: int

    @classmethod
    def of(cls, header: TiffHeader) -> _Grid:
        wide, high = header.chunk
        return cls(-(-header.width // wide), -(-header.height // high))


class RegionPhoto:
    """A giant photograph.

    Args:
        data: its file.
        header: of its first page, for which `why_not` has no reason.
        pages: of the file.
        name: of the file, for reasons.

    Attributes:
        pages: of the file.
        facts: the photograph with the first pixels alone, of which type and channels can be told.
        shape: rows, columns and channels, upright.
        dtype: uint8 or uint16.
    """

    def __init__(self, data: bytes, header: TiffHeader, pages: PageList, name: str) -> None:
        self._data, self._name, self.pages = data, name, pages
        self._header = _by_rows(header)
        self._grid = _Grid.of(self._header)
        high, row_bytes = self._header.chunk[1], self._header.chunk[0] * header.samples * header.bits // 8
        # Chunk rows that are decoded together: a call a strip of one row would take longer than its pixels.
        self._rows = max(1, min(_BLOCK_ROWS // high, _BLOCK_BYTES // (high * row_bytes)))
        self._kept: OrderedDict[tuple[int, int], np.ndarray] = OrderedDict()
        self._kept_bytes = 0
        self.facts: Photo = photo_of(
            data, replace(self._page(0, 0), orientation=header.orientation), read_metadata(data, header.format)
        )
        self.facts = replace(self.facts, frames=len(pages.pages))
        height, width = header.height, header.width
        if header.orientation >= 5:
            height, width = width, height
        self.shape = height, width, self.facts.pixels.shape[2]
        self.dtype = self.facts.pixels.dtype

    def __getitem__(self, key: tuple[slice, slice]) -> np.ndarray:
        """A rectangle of the photograph by rows and columns, HWC, upright.

        Raises:
            ItemError: "truncated", "corrupt" or "unreadable".
        """
        (top, bottom, _), (left, right, _) = key[0].indices(self.shape[0]), key[1].indices(self.shape[1])
        orientation = self._header.orientation
        box = _stored(top, bottom, left, right, self.shape, orientation)

        def cut(_data: bytes, _limits: DecodeLimits) -> np.ndarray:
            return self._cut(*box)

        # The limit of bytes was that of opening; it must not be asked for again of what was opened.
        limits = DecodeLimits(max_bytes=max(1, len(self._data)))
        return upright(guarded(cut, self._data, self._name, limits), orientation)

    def _cut(self, top: int, bottom: int, left: int, right: int) -> np.ndarray:
        """A rectangle as it is stored."""
        wide, high = self._header.chunk[0], self._header.chunk[1] * self._rows
        pixels = np.empty((bottom - top, right - left, self.shape[2]), self.dtype)
        for row in range(top // high, -(-bottom // high)):
            for column in range(left // wide, -(-right // wide)):
                block = self._block(row, column)
                first, start = max(top, row * high), max(left, column * wide)
                last, end = min(bottom, row * high + len(block)), min(right, column * wide + block.shape[1])
                pixels[first - top : last - top, start - left : end - left] = block[
                    first - row * high : last - row * high, start - column * wide : end - column * wide
                ]
        return pixels

    def _block(self, row: int, column: int) -> np.ndarray:
        key = row, column
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key]
        block = photo_of(self._data, self._page(row, column)).pixels
        self._kept[key] = block
        self._kept_bytes += block.nbytes
        while self._kept_bytes > _CACHE_BYTES and len(self._kept) > 1:
            self._kept_bytes -= self._kept.popitem(last=False)[1].nbytes
        return block

    def _page(self, row: int, column: int) -> TiffHeader:
        """Some rows of strips, or of tiles below each other, as a page of its own."""
        header, grid = self._header, self._grid
        wide, high = header.chunk
        first, last = row * self._rows, min((row + 1) * self._rows, grid.down)
        planes = header.samples if header.planar else 1
        chosen = np.array(
            [(plane * grid.down + at) * grid.across + column for plane in range(planes) for at in range(first, last)]
        )
        return replace(
            header,
            width=min(header.width, (column + 1) * wide) - column * wide,
            height=min(header.height, last * high) - first * high,
            orientation=1,
            offsets=header.offsets[chosen],
            sizes=header.sizes[chosen],
        )


def _by_rows(header: TiffHeader) -> TiffHeader:
    """A page whose strips are not packed, and may be the whole page, with strips of few rows."""
    wide, high = header.chunk
    if header.compression != RAW or header.tiled:
        return header
    channels = 1 if header.planar else header.samples
    row_bytes = wide * channels * header.bits // 8
    most = max(1, min(_BLOCK_ROWS, _BLOCK_BYTES // row_bytes))
    # Strips of equal height stay so if they are cut into equal parts; one alone can be cut anywhere.
    rows = most if high >= header.height else max(part for part in range(1, most + 1) if high % part == 0)
    if rows >= high:
        return header
    offsets, sizes = [], []
    for number, offset in enumerate(header.offsets.tolist()):
        top = number % -(-header.height // high) * high
        for first in range(0, min(high, header.height - top), rows):
            offsets.append(offset + first * row_bytes)
            sizes.append(min(rows, min(high, header.height - top) - first) * row_bytes)
    return replace(header, chunk=(wide, rows), offsets=np.array(offsets), sizes=np.array(sizes))


def _stored(
    top: int, bottom: int, left: int, right: int, shape: tuple[int, int, int], orientation: int
) -> tuple[int, int, int, int]:
    """Where a rectangle of the upright photograph lies as it is stored: the inverse of `upright`."""
    if orientation in (3, 4, 7, 8):
        top, bottom = shape[0] - bottom, shape[0] - top
    if orientation in (2, 3, 6, 7):
        left, right = shape[1] - right, shape[1] - left
    return (left, right, top, bottom) if orientation >= 5 else (top, bottom, left, right)
