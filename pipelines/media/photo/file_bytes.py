"""A file on a disk or in a store as if its bytes were in memory, of which what is asked for is read and no more."""

from __future__ import annotations

import struct
from typing import BinaryIO, Protocol, cast

from pipelines.errors import ItemError
from pipelines.media.photo.ifd import first_ifd, read_ifd
from pipelines.media.photo.tiff_directories import Directory
from pipelines.media.photo.tiff_pages import SIGNATURES

__all__ = ["FileBytes", "tiff_pixels"]


class _Readable(Protocol):
    """Bytes of a file, wherever they are."""

    def __len__(self) -> int: ...
    def __getitem__(self, key: slice, /) -> bytes: ...


class FileBytes:
    """A file as if its bytes were in memory; what is asked for is read, and no more.

    Args:
        file: open for reading; must seek.

    Raises:
        ItemError: "unreadable", by each access; the reason does not name the file.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._changes: dict[int, bytes] = {}
        self._size = file.seek(0, 2)

    def __len__(self) -> int:
        return self._size

    def __getitem__(self, key: slice, /) -> bytes:
        start, stop, step = key.indices(self._size)
        assert step == 1, key
        try:
            self._file.seek(start)
            found = self._file.read(max(0, stop - start))
        except OSError as error:
            reason = error.strerror or type(error).__name__
            raise ItemError("unreadable", f"cannot be read ({reason}); check access") from error
        for at, change in self._changes.items():
            first, last = max(at, start), min(at + len(change), start + len(found))
            if first < last:
                found = found[: first - start] + change[first - at : last - at] + found[last - start :]
        return found

    def isolate(self, page: Directory) -> FileBytes:
        """The file as one whose only page is this, as `tiff_directories: isolate`."""
        _, big, order = first_ifd(cast(bytes, self))
        code, at = ("Q", 8) if big else ("I", 4)
        only = FileBytes(self._file)
        only._changes = {at: struct.pack(order + code, page.offset), page.pointer: bytes(struct.calcsize(code))}
        return only


def tiff_pixels(data: _Readable) -> int:
    """Pixels of a TIFF file's first page, as it says; 0 of anything else. Never raises `ItemError` but "unreadable"."""
    if not data[:4].startswith(SIGNATURES):
        return 0
    try:
        offset, big, order = first_ifd(cast(bytes, data))
        ifd = read_ifd(cast(bytes, data), offset, big, order)
        return max(0, ifd.number(256, 0)) * max(0, ifd.number(257, 0))
    except ItemError as error:
        if error.code == "unreadable":
            raise
        return 0
