"""Giant photographs between stages: opened in their store where pixels of them are needed, and never in a row."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import cast

from pipelines.errors import ItemError
from pipelines.manifest.naming import output_format
from pipelines.media.guard import label
from pipelines.media.limits import DecodeLimits
from pipelines.media.photo.decode import REGIONAL
from pipelines.media.photo.encode import streams
from pipelines.media.photo.file_bytes import FileBytes
from pipelines.media.photo.regions import RegionPhoto, open_regions
from pipelines.media.photo.tiff_directories import PageList, list_pages
from pipelines.media.photo.tiff_pages import SIGNATURES
from pipelines.rows import Row
from pipelines.settings import Settings
from pipelines.store.large_files import seekable
from pipelines.store.store import OutsideError, Store

__all__ = ["SMALL_BYTES", "changed", "check_unchanged", "giant_state", "open_giant", "reading_source"]

# Files up to this size are read at once, whatever is in them.
SMALL_BYTES = 64 << 20
_BYTES_PER_PIXEL = 8  # of the limit: four samples of 16 bits


@contextmanager
def open_giant(store: Store, path: str, settings: Settings) -> Iterator[RegionPhoto | None]:
    """A photograph of more than `settings.giant_pixels` that is read by region; None of any that is read as a whole.

    Args:
        store: the source.
        path: of the photograph.
        settings: limits, format, and what a restoration needs to know of the photograph as a whole.

    Raises:
        ItemError: too large for being read as a whole, and not to be read by region; or it cannot be opened.
        OSError: it cannot be opened.
    """
    with seekable(store, path) as file:
        data, pages = FileBytes(file), None
        try:
            if data[:4].startswith(SIGNATURES):
                pages = list_pages(cast(bytes, data))
        except ItemError as error:
            if error.code == "unreadable":
                raise ItemError(error.code, f"{path}: {error.reason}") from error
        pixels = pages.pages[0].width * pages.pages[0].height if pages and pages.pages else 0
        if pages is None or pixels <= settings.giant_pixels:
            yield None
            return
        limits = DecodeLimits(
            max_bytes=_BYTES_PER_PIXEL * settings.max_giant_pixels,
            max_pixels=settings.max_giant_pixels,
            max_frames=settings.max_frames,
        )
        whole, remedy = _needs_the_whole(settings, pages), ""
        found = whole or open_regions(data, pages, path, limits)
        if isinstance(found, RegionPhoto):
            found = _cannot_be_written(path, found, settings) or found
        elif not whole:
            remedy = f", or export it as {REGIONAL}"
        if isinstance(found, RegionPhoto):
            yield found
        elif pixels > settings.max_pixels:
            limit = f"{pixels} pixels are more than the limit of {settings.max_pixels}"
            reason = f"{limit}, and it cannot be read by region: {found}; raise --max-pixels{remedy}"
            raise ItemError("too_many_pixels", f"{label(path)}: {reason}")
        else:
            yield None


def _needs_the_whole(settings: Settings, pages: PageList) -> str:
    """What of these settings takes a whole photograph or a whole file before tiles are cut; empty if nothing does."""
    if settings.pages != "first" and (len(pages.pages) > 1 or pages.cut):
        return "all its pages are wanted, --pages first takes the first alone"
    if settings.repair_damage != "off":
        return "--repair-damage looks at the whole photograph, off does not"
    if settings.tone != "keep":
        return "--tone restore looks at the whole photograph, keep does not"
    if settings.captions == "llava":
        return "--captions llava looks at the whole photograph, none does not"
    return ""


def _cannot_be_written(path: str, photo: RegionPhoto, settings: Settings) -> str:
    """Why a result cannot be written a band at a time; empty if it can, or is small enough to be written as a whole."""
    height, width, channels = photo.shape
    shape = height * settings.upscale, width * settings.upscale, channels
    format = output_format(path, settings.formats).upper()
    if streams(format, shape, photo.dtype) or shape[0] * shape[1] <= settings.max_pixels:
        return ""
    return f"{format} of {shape[1]} x {shape[0]} pixels is written as a whole, --format tiff is not"


@contextmanager
def reading_source(path: str) -> Iterator[None]:
    """Turn what a store raises into an `ItemError` on this photograph.

    Args:
        path: of the source.
    """
    try:
        yield
    except ItemError:
        raise
    except OutsideError as error:
        reason = (
            "is a link to something outside the source tree; copy the file into it, or give its own folder as source"
        )
        raise ItemError("outside", f"{path}: {reason}") from error
    except FileNotFoundError as error:
        raise ItemError("unreadable", f"{path}: listed but not there (a broken link, or removed since)") from error
    except ValueError as error:  # it holds "..", or a byte that no file's name can hold
        raise ItemError("bad_name", f"{path}: cannot be read under this name; rename it") from error
    except Exception as error:  # each kind of store has errors of its own
        reason = getattr(error, "strerror", None) or type(error).__name__
        raise ItemError("unreadable", f"{path}: cannot be read ({reason}); check access") from error


def giant_state(store: Store, path: str) -> str:
    """Size and version of a source as it is now, as one text. Raises OSError."""
    found = store.info(path)
    return f"{found.size} {found.version}"


def check_unchanged(store: Store, row: Row) -> None:
    """Refuse a source that is not as it was when it was hashed, and `giant_state` asked for.

    Raises:
        ItemError: it has changed, or cannot be looked at.
    """
    path = row["source_path"]
    with reading_source(path):
        if giant_state(store, path) != row["source_state"]:
            raise changed(path)


def changed(path: str) -> ItemError:
    """The error for a source that is not what it was."""
    return ItemError(
        "unreadable", f"{path}: changed while it was being restored; the next run restores it as it is now"
    )
