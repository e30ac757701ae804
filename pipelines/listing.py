"""Listing a store in order of path, whatever its size: a page or a folder at a time, never the whole.

The order is that of whole paths as strings, on every store: so `b.png` comes before `b/x`, as `.` comes before `/`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

from pipelines.retries import patiently

OnRefused = Callable[[str, OSError], None]


class Entry(NamedTuple):
    """A file in a store.

    Attributes:
        path: below the root, with `/`; exactly the store's own name.
        size: bytes.
        version: the store's mark that changes when the file does.
        outside: whether it is a link out of the root.
    """

    path: str
    size: int
    version: str
    outside: bool = False


class OutsideError(PermissionError):
    """A link leads out of the store's root."""


def local_entries(root: str, folder: str, on_refused: OnRefused) -> Iterator[Entry]:
    """Files below a local folder. Links to folders are not followed.

    Args:
        root: of the store.
        folder: below it, or it.
        on_refused: told the path, below the root, of a folder inside that may not be listed, or leads out.

    Raises:
        OSError: `folder` itself cannot be listed.
    """
    real_root = os.path.realpath(root)

    def visit(folder: str) -> Iterator[Entry]:
        with os.scandir(folder) as found:  # one folder's names are held, for their order
            entries = sorted(found, key=lambda entry: entry.name + "/" * _is_folder(entry))
        for entry in entries:
            path = entry.path[len(root) + 1 :]
            link = entry.is_symlink()
            outside = link and not is_inside(os.path.realpath(entry.path), real_root)
            if _is_folder(entry):
                if outside:
                    on_refused(path, OutsideError(f"a link to {os.path.realpath(entry.path)}"))
                if link:
                    continue  # what it leads to inside the root is listed where it is; and links can run in circles
                try:
                    yield from visit(entry.path)
                except OSError as error:
                    if error.filename != entry.path:
                        raise
                    on_refused(path, error)
                continue
            there = _status(entry)
            yield Entry(path, there.st_size, str(there.st_mtime), outside and os.path.exists(entry.path))  # noqa: PTH110

    yield from visit(folder)


def is_inside(path: str, root: str) -> bool:
    """Whether a real path is a real root or below it."""
    return path == root or path.startswith(root.rstrip("/") + "/")


def s3_entries(fs: Any, root: str, folder: str, seconds: float) -> Iterator[Entry]:
    """Objects below a prefix, a page of up to 1000 at a time. Folder markers are no files.

    Args:
        fs: an s3fs file system.
        root: bucket and prefix of the store.
        folder: bucket and prefix of the part that is wanted.
        seconds: for how long a failing page is tried again.
    """
    bucket, prefix = _split(folder)
    start = len(_split(root)[1])
    start += bool(start)
    more: dict[str, Any] = {}
    while True:
        ask = partial(fs.call_s3, "list_objects_v2", Bucket=bucket, Prefix=prefix and f"{prefix}/", **more)
        page = patiently(ask, f"listing {folder}", seconds)
        for found in page.get("Contents", ()):
            if not found["Key"].endswith("/"):
                yield Entry(found["Key"][start:], found["Size"], version_of(found))
        if not page.get("IsTruncated"):
            return
        more = {"ContinuationToken": page["NextContinuationToken"]}


def other_entries(fs: Any, root: str, folder: str, seconds: float) -> Iterator[Entry]:
    """Files below a folder of any other store, a folder at a time.

    Args:
        fs: an fsspec file system.
        root: of the store.
        folder: below it, or it.
        seconds: for how long a failing folder is tried again.
    """
    listed = patiently(lambda: fs.ls(folder, detail=True), f"listing {folder}", seconds)
    fs.invalidate_cache(folder)  # some keep every listing they ever made
    for info in sorted(listed, key=lambda info: info["name"].rstrip("/") + "/" * (info["type"] == "directory")):
        name = info["name"]
        if info["type"] == "directory":
            if name.rstrip("/") != folder:
                yield from other_entries(fs, root, name.rstrip("/"), seconds)
        elif not name.endswith("/") and name != folder:  # a key may be a file's and a folder's at once
            yield Entry(name[len(root) + 1 :], int(info.get("size") or 0), version_of(info))


def version_of(info: dict[str, Any]) -> str:
    """A store's own mark that changes when a file does."""
    for name in (
        "ETag", "etag", "md5Hash", "content_md5", "mtime", "LastModified", "last_modified", "updated", "created",
    ):  # fmt: skip
        if info.get(name):
            return str(info[name])
    return ""


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link in a circle
        return False


def _status(entry: os.DirEntry[str]) -> os.stat_result:
    try:
        return entry.stat()
    except OSError:  # a link to nowhere is listed, and fails where it is read
        return entry.stat(follow_symlinks=False)


def _split(key: str) -> tuple[str, str]:
    """Bucket and prefix."""
    bucket, _, prefix = key.partition("/")
    return bucket, prefix.rstrip("/")
