"""Small pictures that were made once, kept on this machine's disk up to a limit. Outside every store of an archive."""

from __future__ import annotations

import hashlib
import os
import threading
import uuid
from collections import OrderedDict
from contextlib import suppress
from pathlib import Path

from faithdiff_model.weights.download import cache_folder

__all__ = ["TileCache", "review_cache"]

_LIMIT = 2 << 30


def review_cache(limit: int = _LIMIT) -> TileCache:
    """This user's cache, which all reviews share: pictures are named by the bytes that they were made of."""
    return TileCache(cache_folder() / "review", limit)


class TileCache:
    """Files by key, the longest unused removed first. Can be shared by threads; several processes do no harm.

    Args:
        folder: made where it is missing, for this user alone: scans may be confidential.
        limit: bytes of all files together.
    """

    def __init__(self, folder: Path, limit: int) -> None:
        self._folder, self._limit, self._lock = folder, limit, threading.Lock()
        self._sizes: OrderedDict[str, int] = OrderedDict()  # longest unused first
        self._total = 0
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        found = []
        for path in folder.glob("??/*"):
            with suppress(OSError):
                facts = path.stat()
                found.append((facts.st_mtime, path.name, facts.st_size))
        for _, name, size in sorted(found):
            self._sizes[name] = size
            self._total += size

    def get(self, *key: object) -> bytes | None:
        """What was kept under a key; None where nothing is."""
        name = _name(key)
        try:
            data = self._path(name).read_bytes()
            os.utime(self._path(name))
        except OSError:
            return None
        with self._lock:
            if name in self._sizes:
                self._sizes.move_to_end(name)
        return data

    def put(self, data: bytes, *key: object) -> None:
        """Keep bytes; where the disk is full or refuses, they are not kept and nothing else happens."""
        name = _name(key)
        path = self._path(name)
        partial = path.with_name(f"{uuid.uuid4().hex}.partial")
        try:
            path.parent.mkdir(exist_ok=True, mode=0o700)
            partial.write_bytes(data)
            partial.replace(path)
        except OSError:
            with suppress(OSError):
                partial.unlink()
            return
        with self._lock:
            self._total += len(data) - self._sizes.pop(name, 0)
            self._sizes[name] = len(data)
            while self._total > self._limit and len(self._sizes) > 1:
                oldest, size = self._sizes.popitem(last=False)
                self._total -= size
                with suppress(OSError):
                    self._path(oldest).unlink()

    def _path(self, name: str) -> Path:
        return self._folder / name[:2] / name


def _name(key: tuple[object, ...]) -> str:
    return hashlib.sha256("\n".join(map(str, key)).encode("utf-8", "surrogatepass")).hexdigest()
