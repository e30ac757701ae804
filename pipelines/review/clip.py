"""A film's comparison clip as a browser asks for it: a part at a time, out of any store."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from pipelines.store.large_files import seekable
from pipelines.store.store import Store

__all__ = ["ClipPart", "clip_range"]

_CHUNK = 1 << 20
_RANGE = re.compile(r"bytes=(\d*)-(\d*)")


@dataclass(frozen=True)
class ClipPart:
    """An answer to a request for a range.

    Attributes:
        status: 200 for the whole, 206 for a part, 416 where there is none.
        headers: of HTTP.
        chunks: the bytes.
    """

    status: int
    headers: dict[str, str]
    chunks: Iterator[bytes]


def clip_range(store: Store, path: str, wanted: str) -> ClipPart:
    """The part of a file that a `Range` header asks for; the whole for one of another form. Raises OSError."""
    size = store.info(path).size
    found = _RANGE.fullmatch(wanted.strip())
    headers = {"accept-ranges": "bytes"}
    if found is None or not any(found.groups()):
        return ClipPart(200, headers | {"content-length": str(size)}, _chunks(store, path, 0, size))
    first, last = found.groups()
    start = int(first) if first else max(0, size - int(last))
    end = min(int(last) + 1, size) if first and last else size
    if start >= end:
        return ClipPart(416, headers | {"content-range": f"bytes */{size}"}, iter(()))
    headers |= {"content-range": f"bytes {start}-{end - 1}/{size}", "content-length": str(end - start)}
    return ClipPart(206, headers, _chunks(store, path, start, end))


def _chunks(store: Store, path: str, start: int, end: int) -> Iterator[bytes]:
    with seekable(store, path) as file:
        file.seek(start)
        while start < end and (data := file.read(min(_CHUNK, end - start))):
            start += len(data)
            yield data
