"""Files too large for memory: read in place from their store, and written locally before they appear whole."""

from __future__ import annotations

import errno
import hashlib
import io
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

from pipelines.store.atomic import flush_folder, partial_beside
from pipelines.store.listing import Entry, OutsideError, is_inside, version_of
from pipelines.store.retries import retry_transient
from pipelines.store.store import PARTIAL, Store

__all__ = ["file_digest", "folder_files", "opener", "publishing", "seekable"]

_CHUNK = 4 << 20
_AHEAD = 1 << 20  # bytes of an object that one request fetches at least


def opener(store: Store, path: str) -> Callable[[], BinaryIO | str]:
    """What opens a file for reading, anew at each call: its own path on a local disk, else a file that seeks.

    Raises:
        OutsideError: it is a link out of the store.
    """
    key = store.key(path)
    if store.local:
        if not is_inside(os.path.realpath(key), os.path.realpath(store.root)):
            raise OutsideError(errno.EACCES, "a link out of the store", path)
        return partial(str, key)
    return partial(_open, store, key, path)


def _open(store: Store, key: str, path: str) -> BinaryIO:
    file: BinaryIO = retry_transient(
        lambda: store.fs.open(key, "rb", block_size=_CHUNK), f"opening {path}", store.retry_seconds
    )
    return file


def seekable(store: Store, path: str) -> BinaryIO:
    """A file opened for reading here and there, a megabyte of it in memory; each request is tried again as `Store.read` is.

    Raises:
        OutsideError: it is a link out of the store.
        OSError: it cannot be read, or, later, by what reads from it.
    """
    place = opener(store, path)
    if store.local:
        return Path(str(place())).open("rb")
    return io.BufferedReader(_Ranges(store, path), _AHEAD)


class _Ranges(io.RawIOBase):
    """An object of a store that is not local, read by ranges."""

    def __init__(self, store: Store, path: str) -> None:
        self._store, self._path, self._key = store, path, store.key(path)
        self._size, self._at = store.info(path).size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        self._at = max(0, base + offset)
        return self._at

    def readinto(self, buffer: Any) -> int:
        end = min(self._at + len(buffer), self._size)
        if end <= self._at:
            return 0
        start, key, fs = self._at, self._key, self._store.fs
        data = retry_transient(
            lambda: bytes(fs.cat_file(key, start=start, end=end)), f"reading {self._path}", self._store.retry_seconds
        )
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)


def folder_files(store: Store, folder: str) -> Iterator[Entry]:
    """The files right inside a folder, in no order. Raises OSError."""
    root = store.key(folder)
    if store.local:
        with os.scandir(root) as entries:
            for entry in entries:
                if not entry.is_dir() and not entry.name.startswith(PARTIAL):
                    facts = entry.stat()
                    name = f"{folder}/{entry.name}" if folder else entry.name
                    yield Entry(name, facts.st_size, str(facts.st_mtime))
        return
    if store.s3:
        store.fs.invalidate_cache()
    for info in retry_transient(lambda: store.fs.ls(root, detail=True), f"listing {folder}", store.retry_seconds):
        name = info["name"][len(store.root) + 1 :]
        if info["type"] != "directory" and name != folder and PARTIAL not in name:
            yield Entry(name, int(info.get("size") or 0), version_of(info))


@contextmanager
def publishing(store: Store, path: str) -> Iterator[Path]:
    """A local name to write a file under; at the end of the block it is published whole, after an error it is gone.

    On a local store it lies beside its place, so that moving it copies nothing; otherwise in the system's temporary folder.

    Raises:
        OSError: it cannot be published.
    """
    key = store.key(path)
    if store.local:
        with partial_beside(key) as beside:
            yield beside
            with beside.open("rb+") as file:
                os.fsync(file.fileno())
            beside.replace(key)
        flush_folder(Path(key).parent)
        return
    with tempfile.TemporaryDirectory(prefix="faitharchive-") as folder:
        local = Path(folder) / "whole"
        yield local
        store.publish_file(path, local)


def file_digest(path: Path) -> tuple[str, int]:
    """SHA-256 and size of a local file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest(), path.stat().st_size
