"""What a reviewer sees of an item: scan and result as tiles and thumbnails, made on demand from the stores' own files."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Literal, cast

from pipelines.errors import ItemError
from pipelines.film.stills import frame_count, result_still, source_still
from pipelines.media.limits import DecodeLimits, limits_of
from pipelines.media.photo.decode import decode, decode_page
from pipelines.media.photo.file_bytes import FileBytes, tiff_pixels
from pipelines.media.photo.regions import RegionPhoto, open_regions
from pipelines.media.photo.tiff_directories import list_pages
from pipelines.media.photo.tiff_pages import SIGNATURES
from pipelines.media.time_limit import deadline
from pipelines.review.display import displayed, to_jpeg, to_png
from pipelines.review.pyramid import Pyramid, RegionPyramid, WholePyramid
from pipelines.review.tile_cache import TileCache
from pipelines.rows import Row
from pipelines.settings import Settings
from pipelines.store.large_files import seekable
from pipelines.store.layout import PAGE_LIST, PAGED, page_path, planned_output
from pipelines.store.retries import what_failed
from pipelines.store.store import Store

__all__ = ["SIDES", "Pictures", "Side", "count_of"]

Side = Literal["scan", "result"]
SIDES: tuple[Side, ...] = ("scan", "result")
_VERSION = 1  # of how pictures are made; another one leaves what is kept unused
_MEMORY = 1 << 30  # bytes of pictures that are kept decoded
_DECODERS = 2  # pictures decoded at a time
_THUMB = 384  # pixels of a thumbnail's longer side
_BYTES_PER_PIXEL = 8  # of a giant's file: four samples of 16 bits


def count_of(row: Row) -> int:
    """Pictures of an item: frames of a film, pages of a file of which all are restored, else 1."""
    if row["media_kind"] == "film":
        return frame_count(row)
    return max(1, row["frames"] or 1) if row["pages"] in PAGED else 1


class Pictures:
    """The pictures of an archive. Can be shared by threads.

    Args:
        output: the store of the results.
        source: gives the store that a row's scan lies in.
        cache: keeps what was made.
        settings: limits of decoding.
    """

    def __init__(self, output: Store, source: Callable[[Row], Store], cache: TileCache, settings: Settings) -> None:
        self._output, self._source, self._cache, self._settings = output, source, cache, settings
        self._limits = limits_of(settings)
        self._kept: OrderedDict[tuple[str, ...], Pyramid] = OrderedDict()
        self._locks: dict[tuple[str, ...], threading.Lock] = {}
        self._lock, self._decoding = threading.Lock(), threading.Semaphore(_DECODERS)

    def tile(self, row: Row, side: Side, number: int, level: int, column: int, line: int) -> tuple[bytes, str]:
        """A tile and its media type: PNG, exact, of the picture's own pixels; JPEG of smaller ones.

        Args:
            row: of the item.
            side: which of its two pictures.
            number: of the frame or page, from 0.
            level, column, line: which tile, as of `pyramid`.

        Raises:
            ItemError: the picture cannot be shown.
            IndexError: there is no such tile.
        """
        key = (*_identity(row, side, number), "tile", level, column, line)
        kind = "image/jpeg" if level else "image/png"
        data = self._cache.get(*key)
        if data is None:
            with self._locked(_identity(row, side, number)):
                pyramid = self._open(row, side, number)
                pixels = pyramid.tile(level, column, line)
            data = to_jpeg(pixels) if level else to_png(pixels)
            if pyramid.genuine:
                self._cache.put(data, *key)
        return data, kind

    def thumb(self, row: Row, side: Side) -> bytes:
        """A small JPEG file of the whole picture: of films a frame from the middle. Raises ItemError."""
        key = (*_identity(row, side, 0), "thumb", _THUMB)
        data = self._cache.get(*key)
        if data is None:
            number = count_of(row) // 2 if row["media_kind"] == "film" else 0
            with self._locked(_identity(row, side, number)):
                pyramid = self._open(row, side, number, keep=False)
                pixels = pyramid.small(_THUMB)
            data = to_jpeg(pixels, thumb=True)
            if pyramid.genuine:
                self._cache.put(data, *key)
        return data

    def facts(self, row: Row, side: Side, number: int) -> tuple[int, int, str]:
        """Width, height and what should be known of a picture. Raises ItemError."""
        with self._locked(_identity(row, side, number)):
            pyramid = self._open(row, side, number)
        return pyramid.width, pyramid.height, pyramid.note

    def _locked(self, key: tuple[str, ...]) -> threading.Lock:
        """The lock of a picture: what is asked for twice at once is decoded once, and a giant is read by one thread."""
        with self._lock:
            if len(self._locks) > 4096:
                self._locks = {name: lock for name, lock in self._locks.items() if lock.locked()}
            return self._locks.setdefault(key, threading.Lock())

    def _open(self, row: Row, side: Side, number: int, *, keep: bool = True) -> Pyramid:
        """The picture, decoded; the caller holds its lock. Raises ItemError."""
        key = _identity(row, side, number)
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        if not row["output_path"] and side == "result":
            raise ItemError("unreadable", f"{row['source_path']}: it has no result")
        with self._decoding, deadline(self._settings.max_seconds, row["source_path"]):
            pyramid = self._decoded(row, side, number)
        if keep:
            with self._lock:
                self._kept[key] = pyramid
                while len(self._kept) > 1 and sum(each.bytes for each in self._kept.values()) > _MEMORY:
                    self._kept.popitem(last=False)
        return pyramid

    def _decoded(self, row: Row, side: Side, number: int) -> Pyramid:
        store = self._source(row) if side == "scan" else self._output
        path = row["source_path"] if side == "scan" else row["output_path"]
        if row["media_kind"] == "film":
            still = source_still if side == "scan" else result_still
            return WholePyramid(displayed(still(store, row, number), None))
        try:
            return self._photograph(store, path, row, side, number)
        except FileNotFoundError as error:
            raise ItemError("unreadable", f"{path}: it is not there any more") from error
        except OSError as error:
            raise ItemError("unreadable", f"{path}: cannot be read ({what_failed(error)}); check access") from error

    def _photograph(self, store: Store, path: str, row: Row, side: Side, number: int) -> Pyramid:
        if side == "result" and path.endswith(PAGE_LIST):
            data = store.read(page_path(planned_output(path), number))
            photo = decode(data, path, self._limits)
            return WholePyramid(displayed(photo.pixels, photo.icc_profile))
        sizes = (row["width"], row["height"]) if side == "scan" else (row["output_width"], row["output_height"])
        if (sizes[0] or 0) * (sizes[1] or 0) > self._settings.giant_pixels:
            giant = self._giant(store, path)
            if giant is not None:
                return RegionPyramid(giant)
        data = store.read(path)
        known = row["source_sha256"] if side == "scan" else row["output_sha256"]
        genuine = not known or hashlib.sha256(data).hexdigest() == known
        what = "scan" if side == "scan" else "result"
        note = "" if genuine else f"this {what} is not the file that the manifest tells of: it has changed since"
        if count_of(row) > 1 and data[:4].startswith(SIGNATURES):
            photo = decode_page(data, path, self._limits, list_pages(data), number)
        else:
            photo = decode(data, path, self._limits)
        return WholePyramid(displayed(photo.pixels, photo.icc_profile), note, genuine)

    def _giant(self, store: Store, path: str) -> RegionPhoto | None:
        """A photograph that is read by region, whose file stays open; None where it must be read as a whole."""
        data = FileBytes(seekable(store, path))
        if tiff_pixels(data) <= self._settings.giant_pixels:
            return None
        most = self._settings.max_giant_pixels
        limits = DecodeLimits(max_bytes=_BYTES_PER_PIXEL * most, max_pixels=most, max_frames=self._limits.max_frames)
        found = open_regions(data, list_pages(cast(bytes, data)), path, limits)
        return found if isinstance(found, RegionPhoto) else None


def _identity(row: Row, side: Side, number: int) -> tuple[str, ...]:
    """What a picture is made of: the same for equal files, whatever they are called."""
    digest = row["source_sha256"] if side == "scan" else row["output_sha256"]
    place = row["source_path"] if side == "scan" else row["output_path"]
    named = digest or f"{row['source_uri']} {row['source_version']} {place}"
    return str(_VERSION), str(side), str(named), str(row["pages"] or ""), str(number)
