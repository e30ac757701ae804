"""The directories of a TIFF file told apart: pages, infrared channels of pages, previews, masks, and images below pages.

A page can be taken out of its file by two numbers alone: what points to the first directory, and what follows the page's own.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from pipelines.errors import ItemError
from pipelines.media.photo.exif import orientation_of
from pipelines.media.photo.ifd import Ifd, first_ifd, list_ifds, read_ifd

__all__ = ["SCANNER_SOFTWARE", "Directory", "PageList", "isolate", "list_pages", "text_of"]

_SUBFILE_TYPE, _OLD_SUBFILE_TYPE, _SUB_IFDS = 254, 255, 330
_DESCRIPTION, _PAGE_NAME, _SOFTWARE = 270, 285, 305
_REDUCED, _MASK = 1, 4  # bits of the subfile type
# More directories than any document has pages are not looked into: each may claim 65,535 tags.
_MOST_READ = 20_000
# Programs of film scanners that write infrared light as a sample of its own without saying what it is.
SCANNER_SOFTWARE = re.compile(r"vuescan|silverfast", re.IGNORECASE)
# What a grey directory of a page's size, or that page, says of itself where it is the scanner's infrared channel.
_INFRARED = re.compile(r"infra-?\s?red|silverfast|\bHDRi\b|\biSRD\b|\bIR\b", re.IGNORECASE)


class Directory(NamedTuple):
    """One directory of the chain.

    Attributes:
        offset: where it begins.
        pointer: where what follows it is written.
        width, height: pixels as they are shown, upright; 0 where it does not say.
    """

    offset: int
    pointer: int
    width: int = 0
    height: int = 0


@dataclass(frozen=True, kw_only=True)
class PageList:
    """What a TIFF file holds.

    Attributes:
        pages: its pages, in order.
        infrared: by a page's place in `pages`, the directory of its infrared channel.
        first: the chain's first directory, page or not.
        notes: what is no page, a line each.
        fault: what is wrong with the chain; None if nothing is.
        cut: the chain leads to where no directory is, so that pages are missing.
    """

    pages: tuple[Directory, ...]
    infrared: dict[int, Directory]
    notes: tuple[str, ...]
    fault: str | None
    cut: bool


def list_pages(data: bytes) -> PageList:
    """The pages of a TIFF or BigTIFF file.

    Reduced images and masks are no pages, as their subfile type says, nor are images below pages (SubIFDs). A grey directory of
    8 or 16 bits after a page of the same size is that page's infrared channel where its subfile type calls it a mask, or where
    name, description or software say so, as SilverFast's do; otherwise it is a page.

    Raises:
        ItemError: "truncated" or "corrupt": there is no first directory.
    """
    offset, big, order = first_ifd(data)
    chain, fault = list_ifds(data, offset, big, order)
    if not chain:
        read_ifd(data, offset, big, order)  # says what is wrong with it
    pages: list[Directory] = []
    infrared: dict[int, Directory] = {}
    counts = dict.fromkeys(("reduced", "masks", "below"), 0)
    before: Ifd | None = None
    for ifd, directory in _directories(data, chain, big, order):
        kind = _subfile_type(ifd)
        counts["below"] += _sub_images(ifd)
        if kind & _REDUCED:
            counts["reduced"] += 1
            continue
        if before is not None and len(pages) - 1 not in infrared and _is_infrared(ifd, before, kind):
            infrared[len(pages) - 1] = directory
            continue
        if kind & _MASK:
            counts["masks"] += 1
            continue
        pages.append(directory)
        before = ifd
    notes = tuple(text(counts[name]) for name, text in _NOTES.items() if counts[name])
    cut = fault is not None and "broken" in fault
    return PageList(pages=tuple(pages), infrared=infrared, notes=notes, fault=fault, cut=cut)


_NOTES = {
    "reduced": lambda count: f"{_images(count)} marked as a smaller copy of a page: no page, and left out",
    "masks": lambda count: f"{_images(count)} marked as a mask of a page: no page, and left out",
    "below": lambda count: (
        f"{_images(count)} below a page (SubIFDs, as pyramids and previews have): no page, and left out"
    ),
}


def _images(count: int) -> str:
    return f"{count} image{'s' if count > 1 else ''} in the file"


def isolate(data: bytes, directory: Directory) -> bytes:
    """The file as one whose only page is that of `directory`; the bytes themselves where it is so already.

    Args:
        data: the whole file.
        directory: one of its `PageList`.
    """
    _, big, order = first_ifd(data)
    code, at = ("Q", 8) if big else ("I", 4)
    size = struct.calcsize(code)
    head = data[:at] + struct.pack(order + code, directory.offset)
    tail = data[directory.pointer : directory.pointer + size]
    if data.startswith(head) and not any(tail):
        return data
    return b"".join([head, data[at + size : directory.pointer], bytes(len(tail)), data[directory.pointer + size :]])


def text_of(ifd: Ifd, *tags: int) -> str:
    """The text of tags, joined; nothing where there is none, or where it lies beyond the file."""
    found = []
    for tag in tags:
        try:
            values = ifd.array(tag)
        except ItemError:
            continue
        if values is not None and values.dtype.itemsize == 1:
            found.append(values[:1000].tobytes().decode("latin-1"))
    return " ".join(found)


def _directories(data: bytes, chain: dict[int, int], big: bool, order: str) -> Iterator[tuple[Ifd, Directory]]:
    unread = len(data)  # directories that do not lie over one another are no longer than the file together
    for number, (offset, pointer) in enumerate(chain.items()):
        unread -= pointer - offset
        if number >= _MOST_READ or (number and unread < 0):
            yield Ifd(data, order, {}), Directory(offset=offset, pointer=pointer)
            continue
        ifd = read_ifd(data, offset, big, order)
        sides = _number(ifd, 256), _number(ifd, 257)
        width, height = sides[::-1] if _orientation(ifd) >= 5 else sides
        yield ifd, Directory(offset=offset, pointer=pointer, width=width, height=height)


def _number(ifd: Ifd, tag: int, default: int = 0) -> int:
    try:
        return ifd.number(tag, default)
    except ItemError:
        return default


def _orientation(ifd: Ifd) -> int:
    try:
        return orientation_of(ifd)
    except ItemError:
        return 1


def _subfile_type(ifd: Ifd) -> int:
    """The bits of the subfile type, also where it is written in the way of TIFF 5."""
    old = {2: _REDUCED}.get(_number(ifd, _OLD_SUBFILE_TYPE), 0)
    return _number(ifd, _SUBFILE_TYPE, old)


def _sub_images(ifd: Ifd) -> int:
    code, count, _ = ifd.entries.get(_SUB_IFDS, ("", 0, 0))
    return min(count, _MOST_READ) if code else 0


def _is_infrared(ifd: Ifd, page: Ifd, kind: int) -> bool:
    """Whether a directory is the infrared channel of the page before it."""
    same = all(_number(ifd, tag) == _number(page, tag) for tag in (256, 257))
    if not same or _number(ifd, 277, 1) != 1 or _number(ifd, 258, 1) not in (8, 16):
        return False
    texts = text_of(ifd, _DESCRIPTION, _PAGE_NAME, _SOFTWARE), text_of(page, _SOFTWARE)
    return bool(kind & _MASK) or any(_INFRARED.search(text) for text in texts)
