"""Read a source once, hash what was read, and decode it. Row in, row with pixels out (1:1; 1:N for a TIFF of several pages)."""

from __future__ import annotations

import hashlib
import json
import stat
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import ClassVar

from faithdiff_model.image.tone import ToneEstimator
from pipelines.errors import ItemError
from pipelines.manifest.identity import row_identity
from pipelines.media.limits import limits_of
from pipelines.media.photo.decode import Photo, decode, decode_page
from pipelines.media.photo.header import RECOPY
from pipelines.media.photo.sniff import recognise
from pipelines.media.photo.tiff_directories import PageList, list_pages
from pipelines.media.time_limit import deadline
from pipelines.rows import PART_DONE, Row, drop_payload, put_pixels
from pipelines.settings import Settings
from pipelines.stages.extra_channels import put_extra
from pipelines.stages.tile_parts import has_part
from pipelines.stages.tiling import count_tiles, page_name
from pipelines.store.store import OutsideError
from pipelines.store.stores import open_store

__all__ = ["Decode"]


class Decode:
    """The stage; holds the source store, the limits, and the output store for pages that an earlier run finished.

    Args:
        settings: all settings.
    """

    name: ClassVar[str] = "decode"
    fallback_code: ClassVar[str] = "corrupt"

    def __init__(self, settings: Settings) -> None:
        self.source = open_store(settings.source, settings.retry_seconds)
        self.output = open_store(settings.output, settings.retry_seconds)
        self.settings, self.limits = settings, limits_of(settings)
        self.max_seconds = settings.max_seconds
        self.tone = ToneEstimator.load() if settings.tone == "restore" else None
        self.settings_json = json.dumps(settings.result_settings(), sort_keys=True)

    def core(self, row: Row) -> Iterator[Row]:
        """Fill fixity, media facts and pixels. Of several pages of a TIFF, yield a row each, unless the first is wanted.

        Raises:
            ItemError: unreadable, not a photograph that we can decode, or not in time.
        """
        row["started_at"] = datetime.now(UTC)
        row["settings"] = self.settings_json
        started = time.monotonic()
        data = self._read(row)
        row["source_sha256"] = hashlib.sha256(data).hexdigest()
        row["source_size"] = len(data)
        row["seconds_read"] = time.monotonic() - started
        found = self._pages(data, row)
        if found is None:
            yield self._filled(row, lambda: decode(data, row["source_path"], self.limits))
        elif len(found.pages) == 1 or self.settings.pages == "first":
            yield self._first_page(row, data, found)
        else:
            yield from self._each_page(row, data, found)

    def _pages(self, data: bytes, row: Row) -> PageList | None:
        """What a TIFF file holds; None where its first page is to be decoded as that of any other format.

        Raises:
            ItemError: pages are missing, and they are wanted.
        """
        try:
            found = list_pages(data) if recognise(data) == "TIFF" else None
        except ItemError:
            return None  # decoding says what is wrong
        if found is None or not found.pages:
            return None
        if found.cut and self.settings.pages != "first":
            reason = f"{found.fault}, so that pages are lost; {RECOPY}, or restore the first alone with --pages first"
            raise ItemError("truncated", f"{row['source_path'].rpartition('/')[2]}: {reason}")
        return found

    def _first_page(self, row: Row, data: bytes, found: PageList) -> Row:
        """The row of the only page, or of the first of several where the others are not wanted."""
        path, count, notes = row["source_path"], len(found.pages), found.notes
        if count > 1:
            row["pages"] = self.settings.pages
            notes = (*notes, f"{count} pages: only the first is restored, as --pages first says")
        if found.fault:
            notes = (found.fault, *notes)
        row = self._filled(row, lambda: decode_page(data, path, self.limits, found, 0))
        row["warnings"] = [*row["warnings"], *notes]
        return row

    def _each_page(self, row: Row, data: bytes, found: PageList) -> Iterator[Row]:
        """A row a page, decoded one after the other; of pages that an earlier run finished rows without pixels."""
        settings, path = self.settings, row["source_path"]
        tiles = [count_tiles(page.width, page.height, settings) for page in found.pages]
        row.update({"pages": settings.pages, "frames": len(tiles), "parts": sum(tiles)})
        row["identity"] = row_identity(row, disclosed=settings.disclosure)
        first = 0
        for number, count in enumerate(tiles):
            page: Row = {**row, "page": [number, first]}
            parts = range(first, first + count)
            first += count
            if not settings.redo and all(has_part(self.output, row["identity"], part) for part in parts):
                for part in parts:
                    yield drop_payload({**page, "part": part, "status": PART_DONE})
                continue
            page = self._filled(page, partial(decode_page, data, path, self.limits, found, number))
            sides = found.pages[number].width, found.pages[number].height
            if (page["width"], page["height"]) != sides:
                raise ItemError(
                    "corrupt", f"{page_name(page)}: is not of the {sides[0]}x{sides[1]} pixels that it says"
                )
            page["warnings"] = [*page["warnings"], *([found.fault] if found.fault else []), *found.notes]
            yield page

    def _filled(self, row: Row, decoded: Callable[[], Photo]) -> Row:
        """A row with what decoding gives."""
        started = time.monotonic()
        with deadline(self.max_seconds, row["source_path"]):
            photo = decoded()
        height, width, channels = photo.pixels.shape
        row.update(
            {
                "media_format": photo.format,
                "width": width,
                "height": height,
                "channels": channels,
                "bit_depth": photo.bit_depth,
                "colour_profile": photo.colour_space,
                "orientation": photo.orientation,
                "frames": photo.frames,
                "icc_profile": photo.icc_profile,
                "dpi": list(photo.dpi) if photo.dpi else None,
                "warnings": [*row["warnings"], *photo.warnings],
            }
        )
        if self.tone is not None:
            row["tone_curve"] = self.tone.estimate(photo.pixels).to_json()
        put_pixels(row, photo.pixels)
        put_extra(row, photo.extra)
        row["seconds_decode"] = time.monotonic() - started
        return row

    def _read(self, row: Row) -> bytes:
        path = row["source_path"]
        try:
            size = self._size(path) or row["source_size"] or 0
            if size > self.limits.max_bytes:
                reason = f"{size} bytes, the limit is {self.limits.max_bytes}; raise --max-bytes if it is genuine"
                raise ItemError("too_many_bytes", f"{path}: {reason}")
            return self.source.read(path)
        except ItemError:
            raise
        except OutsideError as error:
            reason = "is a link to something outside the source tree; copy the file into it, or give its own folder as source"
            raise ItemError("outside", f"{path}: {reason}") from error
        except FileNotFoundError as error:
            raise ItemError("unreadable", f"{path}: listed but not there (a broken link, or removed since)") from error
        except ValueError as error:  # it holds "..", or a byte that no file's name can hold
            raise ItemError("bad_name", f"{path}: cannot be read under this name; rename it") from error
        except Exception as error:  # each kind of store has errors of its own
            reason = getattr(error, "strerror", None) or type(error).__name__
            raise ItemError("unreadable", f"{path}: cannot be read ({reason}); check access") from error

    def _size(self, path: str) -> int:
        """Bytes of a local file as it is now: it may have grown since it was planned, and a pipe would never end."""
        if not self.source.local:
            return 0
        facts = Path(self.source.key(path)).stat()
        if not stat.S_ISREG(facts.st_mode):
            raise ItemError("unreadable", f"{path}: is no regular file but a folder, a pipe or a device; remove it")
        return facts.st_size
