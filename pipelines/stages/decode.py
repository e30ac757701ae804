"""Read a source once, hash what was read, and decode it. Row in, row with pixels out (1:1; 1:N for a TIFF of several pages)."""

from __future__ import annotations

import hashlib
import json
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import ClassVar

from faithdiff_model.image.tone import ToneEstimator
from pipelines.errors import ItemError
from pipelines.manifest.identity import row_identity
from pipelines.media.limits import limits_of
from pipelines.media.photo.decode import Photo, decode, decode_page
from pipelines.media.photo.file_bytes import tiff_pixels
from pipelines.media.photo.header import RECOPY
from pipelines.media.photo.sniff import recognise
from pipelines.media.photo.tiff_directories import PageList, list_pages
from pipelines.media.time_limit import deadline
from pipelines.rows import PART_DONE, Row, drop_payload, parts_key, put_pixels
from pipelines.settings import Settings
from pipelines.stages.extra_channels import put_extra
from pipelines.stages.giants import SMALL_BYTES, giant_state, open_giant, reading_source
from pipelines.stages.tile_parts import has_part
from pipelines.stages.tiling import count_tiles, page_name
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
        self.carries = settings.metadata == "carry"
        self.keeps_damaged = settings.damaged == "restore"
        self.settings_json = json.dumps(settings.result_settings(), sort_keys=True)

    def core(self, row: Row) -> Iterator[Row]:
        """Fill fixity, media facts and pixels. Of several pages of a TIFF, yield a row each, unless the first is wanted.

        Raises:
            ItemError: unreadable, not a photograph that we can decode, or not in time.
        """
        row["started_at"] = datetime.now(UTC)
        row["settings"] = self.settings_json
        started = time.monotonic()
        size = self._size(row)
        data = self._read(row, size) if size <= SMALL_BYTES else b""
        if (size > SMALL_BYTES or tiff_pixels(data) > self.settings.giant_pixels) and self._giant(row):
            yield row
            return
        data = data or self._read(row, size)
        row["source_sha256"] = hashlib.sha256(data).hexdigest()
        row["source_size"] = len(data)
        row["seconds_read"] = time.monotonic() - started
        found = self._pages(data, row)
        if found is None:
            yield self._filled(
                row, partial(decode, data, row["source_path"], self.limits, keep_damaged=self.keeps_damaged)
            )
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
            raise ItemError("truncated", f"{row['source_path']}: {reason}")
        return found

    def _first_page(self, row: Row, data: bytes, found: PageList) -> Row:
        """The row of the only page, or of the first of several where the others are not wanted."""
        path = row["source_path"]
        row = self._filled(row, self._page(data, path, found, 0))
        self._note_others(row, found)
        return row

    def _page(self, data: bytes, path: str, found: PageList, number: int) -> Callable[[], Photo]:
        return partial(decode_page, data, path, self.limits, found, number, keep_damaged=self.keeps_damaged)

    def _note_others(self, row: Row, found: PageList) -> None:
        """What is in the file besides a first page."""
        count, notes = len(found.pages), found.notes
        if count > 1:
            row["pages"] = self.settings.pages
            notes = (*notes, f"{count} pages: only the first is restored, as --pages first says")
        if found.fault:
            notes = (found.fault, *notes)
        row["warnings"] = [*row["warnings"], *notes]

    def _each_page(self, row: Row, data: bytes, found: PageList) -> Iterator[Row]:
        """A row a page, decoded one after the other; of pages that an earlier run finished rows without pixels."""
        settings, path = self.settings, row["source_path"]
        tiles = [count_tiles(page.width, page.height, settings) for page in found.pages]
        row.update({"pages": settings.pages, "frames": len(tiles), "parts": sum(tiles)})
        row["identity"] = row_identity(row, disclosed=settings.disclosure, carried=self.carries)
        first = 0
        for number, count in enumerate(tiles):
            page: Row = {**row, "page": [number, first]}
            parts = range(first, first + count)
            first += count
            if not settings.redo and all(has_part(self.output, parts_key(row), part) for part in parts):
                for part in parts:
                    yield drop_payload({**page, "part": part, "status": PART_DONE})
                continue
            page = self._filled(page, self._page(data, path, found, number))
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
        _describe(row, photo, photo.pixels.shape, self.carries)
        if self.tone is not None:
            row["tone_curve"] = self.tone.estimate(photo.pixels).to_json()
        put_pixels(row, photo.pixels)
        put_extra(row, photo.extra)
        row["seconds_decode"] = time.monotonic() - started
        return row

    def _giant(self, row: Row) -> bool:
        """Fill in what is known of a photograph that is read by region, without its pixels; False of any other."""
        path, started = row["source_path"], time.monotonic()
        with reading_source(path):
            state = giant_state(self.source, path)
            with ExitStack() as stack:
                with deadline(self.max_seconds, path):
                    photo = stack.enter_context(open_giant(self.source, path, self.settings))
                if photo is None:
                    return False
                opened = time.monotonic()
                row["source_sha256"], row["source_size"] = self.source.sha256(path)
                row["seconds_read"], row["seconds_decode"] = time.monotonic() - opened, opened - started
                row["source_state"] = state  # what tiles compare with
        _describe(row, photo.facts, photo.shape, self.carries)
        self._note_others(row, photo.pages)
        return True

    def _read(self, row: Row, size: int) -> bytes:
        path = row["source_path"]
        with reading_source(path):
            if size > self.limits.max_bytes:
                reason = f"{size} bytes, the limit is {self.limits.max_bytes}; raise --max-bytes if it is genuine"
                raise ItemError("too_many_bytes", f"{path}: {reason}")
            return self.source.read(path)

    def _size(self, row: Row) -> int:
        """Bytes of a local file as it is now: it may have grown since it was planned, and a pipe would never end."""
        path = row["source_path"]
        if not self.source.local:
            return row["source_size"] or 0
        with reading_source(path):
            facts = Path(self.source.key(path)).stat()
            if not stat.S_ISREG(facts.st_mode):
                raise ItemError("unreadable", f"{path}: is no regular file but a folder, a pipe or a device; remove it")
            return facts.st_size or row["source_size"] or 0


def _describe(row: Row, photo: Photo, shape: tuple[int, ...], carries: bool) -> None:
    """Fill in what a photograph of this shape is; of metadata that is not carried, nothing at all."""
    unheard = () if carries else photo.metadata.warnings
    row.update(
        {
            "media_format": photo.format,
            "height": shape[0],
            "width": shape[1],
            "channels": shape[2],
            "bit_depth": photo.bit_depth,
            "colour_profile": photo.colour_space,
            "orientation": photo.orientation,
            "frames": photo.frames,
            "lost_rows": photo.lost_rows,
            "icc_profile": photo.icc_profile,
            "dpi": list(photo.dpi) if photo.dpi else None,
            "metadata_blocks": photo.metadata.to_bytes() if carries else None,
            "warnings": [*row["warnings"], *(line for line in photo.warnings if line not in unheard)],
        }
    )
