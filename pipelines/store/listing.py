"""Listing a store in order of path, whatever its size: a page or a folder at a time, never the whole.

The order is that of whole paths as strings, on every store: so `b.png` comes before `b/x`, as `.` comes before `/`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, NamedTuple, TypedDict, TypeVar

from pipelines.store.retries import RetriesExhaustedError, retry_transient

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

__all__ = [
    "Entry", "OnRefused", "OutsideError", "is_inside", "local_entries", "other_entries", "s3_entries", "version_of",
]  # fmt: skip

OnRefused = Callable[[str, OSError], None]
Info = TypeVar("Info")


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


class FileInfo(TypedDict, total=False):
    """What fsspec says of a file or a folder, beside the marks that `version_of` looks for."""

    name: str
    type: str
    size: int | None


class OutsideError(PermissionError):
    """A link leads out of the store's root."""


def local_entries(root: str, folder: str, on_refused: OnRefused, seconds: float) -> Iterator[Entry]:
    """Files below a local folder. Links to folders are not followed; what is removed meanwhile is left out.

    Args:
        root: of the store.
        folder: below it, or it.
        on_refused: called with the path, below the root, of a folder inside that may not be listed, or leads out.
        seconds: for how long a failing folder is tried again.

    Raises:
        OSError: `folder` itself cannot be listed, or a folder inside failed in passing until the end.
    """
    real_root = os.path.realpath(root)

    def look(folder: str) -> list[os.DirEntry[str]]:
        with os.scandir(folder) as found:  # one folder's names are in memory, to be sorted
            return sorted(found, key=lambda entry: entry.name + "/" * _is_folder(entry))

    def visit(entries: list[os.DirEntry[str]]) -> Iterator[Entry]:
        for entry in entries:
            path = entry.path[len(root) + 1 :]
            link = entry.is_symlink()
            outside = link and not is_inside(os.path.realpath(entry.path), real_root)
            if not _is_folder(entry):
                if (facts := _facts(entry)) is not None:
                    yield Entry(path, *facts, outside and os.path.exists(entry.path))  # noqa: PTH110
            elif outside:
                on_refused(path, OutsideError(f"a link to {os.path.realpath(entry.path)}"))
            elif not link:  # what a link leads to inside the root is listed where it is; and links can run in circles
                inside = _list_inside(partial(look, entry.path), path, on_refused, seconds)
                yield from visit(inside)

    yield from visit(retry_transient(partial(look, folder), f"listing {folder}", seconds))


def is_inside(path: str, root: str) -> bool:
    """Whether a real path is a real root or below it."""
    return path == root or path.startswith(root.rstrip("/") + "/")


def s3_entries(fs: AbstractFileSystem, root: str, folder: str, seconds: float) -> Iterator[Entry]:
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
    more: dict[str, str] = {}
    while True:
        ask = partial(fs.call_s3, "list_objects_v2", Bucket=bucket, Prefix=prefix and f"{prefix}/", **more)
        page = retry_transient(ask, f"listing {folder}", seconds)
        for found in page.get("Contents", ()):
            if not found["Key"].endswith("/"):
                yield Entry(found["Key"][start:], found["Size"], version_of(found))
        if not page.get("IsTruncated"):
            return
        more = {"ContinuationToken": page["NextContinuationToken"]}


def other_entries(
    fs: AbstractFileSystem, root: str, folder: str, on_refused: OnRefused, seconds: float
) -> Iterator[Entry]:
    """Files below a folder of any other store, a folder at a time; what is removed meanwhile is left out.

    Args:
        fs: an fsspec file system.
        root: of the store.
        folder: below it, or it.
        on_refused: called with the path, below the root, of a folder inside that may not be listed.
        seconds: for how long a failing folder is tried again.

    Raises:
        OSError: `folder` itself cannot be listed, or a folder inside failed in passing until the end.
    """

    def look(folder: str) -> list[FileInfo]:
        found = fs.ls(folder, detail=True)
        fs.invalidate_cache(folder)  # some keep every listing they ever made
        return sorted(found, key=lambda info: info["name"].rstrip("/") + "/" * (info["type"] == "directory"))

    def visit(folder: str, infos: list[FileInfo]) -> Iterator[Entry]:
        for info in infos:
            name = info["name"]
            path = name[len(root) + 1 :].rstrip("/")
            if info["type"] == "directory":
                inside = name.rstrip("/")
                if inside != folder:
                    yield from visit(inside, _list_inside(partial(look, inside), path, on_refused, seconds))
            elif not name.endswith("/") and name != folder:  # a key may be a file's and a folder's at once
                yield Entry(path, int(info.get("size") or 0), version_of(info))

    yield from visit(folder, retry_transient(partial(look, folder), f"listing {folder}", seconds))


def version_of(info: Mapping[str, object]) -> str:
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


def _list_inside(look: Callable[[], list[Info]], path: str, on_refused: OnRefused, seconds: float) -> list[Info]:
    """What a folder inside holds; nothing if it was removed since its own folder was listed, or may not be listed."""
    try:
        return retry_transient(look, f"listing {path}", seconds)
    except RetriesExhaustedError:  # the store is at fault, not the folder: each of the rest would take as long
        raise
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        on_refused(path, error)
        return []


def _facts(entry: os.DirEntry[str]) -> tuple[int, str] | None:
    """Size and version of a file, None if it was removed since its folder was listed.

    A link to nowhere is listed, and so is a file in a folder that may be listed but not entered: they fail where they are read.
    """
    try:
        there = entry.stat()
    except OSError:
        try:
            there = entry.stat(follow_symlinks=False)
        except FileNotFoundError:
            return None
        except OSError:
            return 0, ""
    return there.st_size, str(there.st_mtime)


def _split(key: str) -> tuple[str, str]:
    """Bucket and prefix."""
    bucket, _, prefix = key.partition("/")
    return bucket, prefix.rstrip("/")
