"""Stores: any place that fsspec reaches. Reading, listing, and publishing whole files in one atomic step."""

from __future__ import annotations

import contextlib
import os
import shutil
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import fsspec
from fsspec.implementations.local import LocalFileSystem

from faithdiff_model.weights import shown, without_credentials

PRIVATE = "_faitharchive"  # our own folder in an output store: manifest, runs, parts
_PARTIAL = ".faitharchive-partial-"


class StoreError(ValueError):
    """A store cannot be used at all; the message names it and says what to do."""


class Entry(NamedTuple):
    """A file in a store: path below the root (POSIX), bytes, and the store's version mark."""

    path: str
    size: int
    version: str


class Store:
    """A root folder on some file system. Paths are relative to the root, with `/`.

    Args:
        url: local folder or fsspec URL; credentials come from fsspec's own configuration or the environment.

    Raises:
        StoreError: the URL's protocol is unknown, needs a package that is missing, or its store refuses us.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        if url.startswith(("http://", "https://")) and "?" in url:
            raise StoreError(f"store {shown(url)}: a URL with a query cannot hold files; give the folder's own URL")
        try:
            self.fs, root = fsspec.core.url_to_fs(
                str(Path(url).expanduser().absolute()) if _is_local_path(url) else url
            )
        except ImportError as error:
            raise StoreError(
                f"store {shown(url)}: {error}; install the extra for it, such as faitharchive[s3]"
            ) from error
        except (ValueError, OSError, RuntimeError) as error:  # RuntimeError: ~ of an unknown user
            raise StoreError(f"store {shown(url)}: cannot be opened ({type(error).__name__}); check the URL") from error
        self.root = root.rstrip("/")
        self.local = isinstance(self.fs, LocalFileSystem)

    def __reduce__(self) -> tuple[type[Store], tuple[str]]:
        return Store, (self.url,)  # a worker opens the store again with its own credentials

    def key(self, path: str) -> str:
        """The file system's own name of a path.

        Raises:
            StoreError: the path would leave the root.
        """
        if path.startswith("/") or ".." in PurePosixPath(path).parts:
            raise StoreError(f"path {path!r}: leaves the store {shown(self.url)}")
        return f"{self.root}/{path}" if path else self.root

    def uri(self, path: str) -> str:
        """The URI of a path: the exact name, not percent-encoded, without credentials."""
        return without_credentials(self.fs.unstrip_protocol(self.key(path)))

    def exists(self, path: str = "") -> bool:
        return bool(self.fs.exists(self.key(path)))

    def list(self, under: str = "", on_refused: Callable[[str, OSError], None] | None = None) -> Iterator[Entry]:
        """Every file below a folder, by path; nothing if the folder is missing.

        Args:
            under: the folder.
            on_refused: called with the path of a folder inside that may not be listed; without it that is a StoreError.

        Raises:
            StoreError: the store refuses to list.
        """
        root = self.key(under)

        def refused(error: OSError) -> None:
            folder = str(error.filename or root)
            if on_refused is None or folder.rstrip("/") == root:
                raise error
            on_refused(folder[len(self.root) + 1 :], error)

        try:
            found = dict(self._walk(root, refused)) if self.local else self.fs.find(root, detail=True)
        except FileNotFoundError:
            return
        except OSError as error:
            text = without_credentials(str(error))
            raise StoreError(f"store {shown(self.url)}: cannot be listed ({text}); check access") from error
        for key in sorted(found):
            if _PARTIAL not in key:
                info = found[key]
                yield Entry(key[len(self.root) + 1 :], int(info.get("size") or 0), version_of(info))

    def _walk(self, folder: str, refused: Callable[[OSError], None]) -> Iterator[tuple[str, dict[str, Any]]]:
        """Files below a local folder by name. fsspec's own walk leaves out what it may not list below the first level."""
        try:
            listing = self.fs.ls(folder, detail=True)
        except OSError as error:
            refused(error)
            return
        for info in listing:
            if info["type"] == "directory":
                yield from self._walk(info["name"], refused)
            else:
                yield info["name"], info

    def info(self, path: str) -> Entry:
        """One file's entry. Raises FileNotFoundError."""
        info = self.fs.info(self.key(path))
        return Entry(path, int(info.get("size") or 0), version_of(info))

    def read(self, path: str) -> bytes:
        """A whole file. Raises OSError."""
        return bytes(self.fs.cat_file(self.key(path)))

    def publish(self, path: str, data: bytes) -> None:
        """Write a whole file so that no reader ever sees a part of it.

        A local file is written beside its name, flushed to disk and renamed. On an object store one put is already atomic.
        """
        key = self.key(path)
        if not self.local:
            self.fs.pipe_file(key, data)
            return
        folder = Path(key).parent
        folder.mkdir(parents=True, exist_ok=True)
        partial = folder / f"{_PARTIAL}{uuid.uuid4().hex[:12]}"
        try:
            with partial.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            partial.replace(key)
        finally:
            partial.unlink(missing_ok=True)

    def create(self, path: str, data: bytes) -> bool:
        """Publish a file that must not be there yet; False, and nothing written, if it is.

        Of several that try at once exactly one succeeds: locally by a hard link, on an object store by a conditional put.
        """
        key = self.key(path)
        if not self.local:
            try:
                self.fs.pipe_file(key, data, mode="create")
            except FileExistsError:
                return False
            return True
        folder = Path(key).parent
        folder.mkdir(parents=True, exist_ok=True)
        partial = folder / f"{_PARTIAL}{uuid.uuid4().hex[:12]}"
        try:
            partial.write_bytes(data)
            os.link(partial, key)
        except FileExistsError:
            return False
        finally:
            partial.unlink(missing_ok=True)
        return True

    def remove(self, path: str) -> None:
        """Delete a file of our own below `PRIVATE`; nothing happens if it is not there."""
        assert PurePosixPath(path).parts[:1] == (PRIVATE,), path
        with contextlib.suppress(FileNotFoundError):
            self.fs.rm_file(self.key(path))

    def remove_folder(self, path: str) -> None:
        """Delete a folder of our own below `PRIVATE`; nothing else is ever deleted."""
        assert PurePosixPath(path).parts[:-1][:1] == (PRIVATE,), path
        if self.local:
            shutil.rmtree(self.key(path), ignore_errors=True)
            return
        for entry in list(self.list(path)):  # fsspec's recursive rm would take `[` or `*` in the root for a pattern
            self.fs.rm_file(self.key(entry.path))

    def check_writable(self) -> None:
        """Write, read back and delete a small file.

        Raises:
            StoreError: any of that fails.
        """
        path = f"{PRIVATE}/check-{uuid.uuid4().hex[:12]}"
        try:
            self.publish(path, b"faitharchive")
            if self.read(path) != b"faitharchive":
                raise OSError("what was written did not come back")
            self.fs.rm_file(self.key(path))
        except Exception as error:  # stores raise what they like; all of it means no
            text = without_credentials(f"{type(error).__name__}: {error}")
            raise StoreError(
                f"output {shown(self.url)}: cannot be written ({text}); check the path and permissions"
            ) from error


def check_apart(source: Store, output: Store) -> None:
    """Refuse an output store that could touch the sources.

    Raises:
        StoreError: one lies inside the other, or they are equal.
    """
    if type(source.fs) is not type(output.fs):
        return
    first, second = _real(source), _real(output)
    for inner, outer, text in (
        (second, first, "lies inside the source"),
        (first, second, "holds the source"),
    ):
        if inner == outer or outer in inner.parents:
            raise StoreError(
                f"output {shown(output.url)}: {text} {shown(source.url)}, and sources are never written to; choose a "
                "separate output"
            )


def _real(store: Store) -> PurePosixPath:
    return PurePosixPath(os.path.realpath(store.root) if store.local else store.root)


def _is_local_path(url: str) -> bool:
    return "://" not in url and "::" not in url


def version_of(info: dict[str, Any]) -> str:
    """A store's own mark that changes when a file does."""
    for name in (
        "ETag",
        "etag",
        "md5Hash",
        "content_md5",
        "mtime",
        "LastModified",
        "last_modified",
        "updated",
        "created",
    ):
        if info.get(name):
            return str(info[name])
    return ""
