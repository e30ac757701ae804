"""Stores: any place that fsspec reaches. Reading, listing, and publishing whole files in one atomic step."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import TypeVar

from fsspec.implementations.local import LocalFileSystem

from faithdiff_model.redaction import redact, redact_url
from pipelines.store.access import remedy
from pipelines.store.atomic import flush_folder, partial_beside, put_and_move, write_and_move, write_through
from pipelines.store.layout import BESIDE, PARTIAL, PRIVATE, XMP_SUFFIX
from pipelines.store.listing import (  # fmt: skip
    Entry,
    OnRefused,
    OutsideError,
    is_inside,
    local_entries,
    other_entries,
    s3_entries,
    version_of,
)
from pipelines.store.retries import retry_transient, what_failed
from pipelines.store.urls import StoreError, open_file_system

RETRY_SECONDS = 60.0
_CHUNK = 4 << 20  # bytes of a file in memory at a time while it is hashed
# Stores whose put, or completed multipart upload, makes an object appear whole. Everywhere else we write beside and move.
_WHOLE_PUTS = {
    "s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "adl", "oci", "ocilake", "oss", "tos", "memory", "hf", "lakefs",
}  # fmt: skip
_S3 = {"s3", "s3a"}

Result = TypeVar("Result")

__all__ = ["PRIVATE", "Entry", "OutsideError", "Store", "StoreError", "version_of"]


class Store:
    """A root folder on some file system. Paths are relative to the root, with `/`.

    Reading, listing and writing try again what fails in passing; then they raise `retries.RetriesExhaustedError`, an OSError.

    Args:
        url: local folder or fsspec URL; credentials come from fsspec's own configuration or the environment.
        retry_seconds: for how long a passing failure is tried again.

    Raises:
        StoreError: the URL's protocol is unknown, needs a package that is missing, holds credentials, or its store refuses us.
    """

    def __init__(self, url: str, retry_seconds: float = RETRY_SECONDS) -> None:
        self.url = url
        self.retry_seconds = retry_seconds
        self.fs, self.root = open_file_system(url)
        protocols = self.fs.protocol if isinstance(self.fs.protocol, tuple) else (self.fs.protocol,)
        # A subclass may be something else behind a local face; only the file system itself renames as we need it.
        self.local = type(self.fs) is LocalFileSystem
        self.s3 = bool(_S3 & set(protocols))
        self.whole_puts = bool(_WHOLE_PUTS & set(protocols))
        if self.s3:
            self.fs.retries = 1  # ours count the seconds; theirs would multiply them

    def __reduce__(self) -> tuple[type[Store], tuple[str, float]]:
        return Store, (self.url, self.retry_seconds)  # a worker opens the store again with its own credentials

    def key(self, path: str) -> str:
        """The file system's own name of a path.

        Raises:
            StoreError: the path would leave the root, or another path could mean the same.
        """
        if path and {"", ".", ".."} & set(path.split("/")):
            raise StoreError(
                f"path {path!r}: leaves the store {redact_url(self.url)}, or means another in it; rename it"
            )
        return f"{self.root}/{path}" if path else self.root

    def uri(self, path: str) -> str:
        """The URI of a path: the exact name, not percent-encoded."""
        return str(self.fs.unstrip_protocol(self.key(path)))

    def exists(self, path: str = "") -> bool:
        key = self.key(path)
        if self.s3:
            self.fs.invalidate_cache()  # a listing that another process has outdated

        def look() -> bool:
            try:
                self.fs.info(key)
            except (FileNotFoundError, NotADirectoryError):
                return False
            return True

        return self._retry(look, "looking for", path)

    def check_exists(self, role: str) -> None:
        """Refuse a store that is not there; `role` is `source` or `output`.

        Raises:
            StoreError: there is no such folder, or the store does not let us look.
        """
        try:
            there = self.exists()
        except OSError as error:
            advice = remedy(error, "check access" if isinstance(error, PermissionError) else "", s3=self.s3)
            if not advice:
                raise
            what = f"{role} {redact_url(self.url)}: cannot be looked at ({redact(str(error))})"
            raise StoreError(f"{what}; {advice}") from error
        if not there:
            raise StoreError(f"{role} {redact_url(self.url)}: there is no such folder; check the path")

    def list(self, under: str = "", on_refused: OnRefused | None = None) -> Iterator[Entry]:
        """Every file below a folder, streamed in order of path; nothing if the folder is missing.

        Args:
            under: the folder.
            on_refused: called with the path of a folder inside that may not be listed or leads out of the root; without it
                the first is a StoreError, and the second is passed over.

        Raises:
            StoreError: the store refuses to list.
        """
        root = self.key(under)

        def refused(path: str, error: OSError) -> None:
            if on_refused is not None:
                on_refused(path, error)
            elif not isinstance(error, OutsideError):
                raise error

        if self.local:
            entries = local_entries(self.root, root, refused, self.retry_seconds)
        elif self.s3:
            entries = s3_entries(self.fs, self.root, root, self.retry_seconds)
        else:
            entries = other_entries(self.fs, self.root, root, refused, self.retry_seconds)
        try:
            for entry in entries:
                if PARTIAL not in entry.path:
                    yield entry
        except (FileNotFoundError, NotADirectoryError):
            return
        except Exception as error:  # stores raise what they like
            text = redact(getattr(error, "strerror", None) or str(error) or type(error).__name__)
            what = f"store {redact_url(self.url)}: cannot be listed ({text})"
            raise StoreError(f"{what}; {remedy(error, 'check access', s3=self.s3)}") from error

    def info(self, path: str) -> Entry:
        """One file's entry. Raises FileNotFoundError."""
        info = self._retry(lambda: self.fs.info(self.key(path)), "looking at", path)
        return Entry(path, int(info.get("size") or 0), version_of(info))

    def read(self, path: str) -> bytes:
        """A whole file.

        Raises:
            OutsideError: it is a link out of the root.
            OSError: it cannot be read.
        """
        key = self.key(path)
        if self.local and not is_inside(os.path.realpath(key), os.path.realpath(self.root)):
            raise OutsideError(errno.EACCES, "a link out of the store", path)
        return self._retry(lambda: bytes(self.fs.cat_file(key)), "reading", path)

    def sha256(self, path: str) -> tuple[str, int]:
        """SHA-256 and size of a file, a few megabytes of it in memory at a time. Raises as `read`."""
        key = self.key(path)
        if self.local and not is_inside(os.path.realpath(key), os.path.realpath(self.root)):
            raise OutsideError(errno.EACCES, "a link out of the store", path)
        return self._retry(lambda: self._hash(key), "hashing", path)

    def _hash(self, key: str) -> tuple[str, int]:
        digest, size = hashlib.sha256(), 0
        # s3fs would fetch 50 MB ahead for each of several threads.
        with self.fs.open(key, "rb", block_size=_CHUNK) as file:
            while chunk := file.read(_CHUNK):
                digest.update(chunk)
                size += len(chunk)
        return digest.hexdigest(), size

    def publish_file(self, path: str, local: Path) -> None:
        """As `publish`, a file of any size that lies on this machine's disk, to a store that is not local. Raises OSError."""
        key = self.key(path)
        assert not self.local, "a local file is moved, not copied"

        def put() -> None:
            if self.whole_puts:
                self.fs.put_file(str(local), key)
            else:
                put_and_move(self.fs, key, local)

        self._retry(put, "writing", path)

    def publish(self, path: str, data: bytes) -> None:
        """Write a whole file so that no reader ever sees a part of it. Raises OSError.

        A local file is written beside its name, flushed to disk and renamed. On an object store one put, or a completed
        multipart upload, is already atomic; other stores get a temporary file that is moved.
        """
        key = self.key(path)
        self._retry(lambda: self._put(key, data), "writing", path)

    def _put(self, key: str, data: bytes) -> None:
        if self.local:
            with partial_beside(key) as partial:
                write_through(partial, data)
                partial.replace(key)
            flush_folder(partial.parent)
        elif self.whole_puts:
            self.fs.pipe_file(key, data)
        else:
            write_and_move(self.fs, key, data)

    def create(self, path: str, data: bytes) -> bool:
        """Publish a file that must not be there yet; False, and nothing written, if it is. Raises OSError.

        Of several that try at once exactly one succeeds: locally by a hard link, on an object store by a conditional put.
        """
        key = self.key(path)

        def put() -> bool:
            try:
                if self.local:
                    with partial_beside(key) as partial:
                        write_through(partial, data)
                        os.link(partial, key)
                    flush_folder(partial.parent)
                else:
                    self.fs.pipe_file(key, data, mode="create")
            except FileExistsError:
                # Ours, if an earlier try arrived although its answer did not.
                return self._retry(lambda: bytes(self.fs.cat_file(key)), "reading", path) == data
            return True

        return self._retry(put, "creating", path)

    def retract(self, path: str) -> None:
        """Delete a sidecar, so that its file no longer counts as done, or a mask or XMP; nothing happens if it is not there."""
        assert path.endswith((*BESIDE, XMP_SUFFIX)), path
        self._remove(path)

    def remove(self, path: str) -> None:
        """Delete a file of our own below `PRIVATE`; nothing happens if it is not there."""
        assert PurePosixPath(path).parts[:1] == (PRIVATE,), path
        self._remove(path)

    def remove_partial(self, path: str) -> None:
        """Delete a temporary file that a writer left; nothing happens if it is not there."""
        assert PurePosixPath(path).name.startswith(PARTIAL), path
        self._remove(path)

    def _remove(self, path: str) -> None:
        key = self.key(path)
        with suppress(FileNotFoundError):
            self._retry(lambda: self.fs.rm_file(key), "removing", path)

    def remove_folder(self, path: str) -> None:
        """Delete a folder of our own below `PRIVATE`; nothing else is ever deleted."""
        assert PurePosixPath(path).parts[:-1][:1] == (PRIVATE,), path
        if self.local:
            shutil.rmtree(self.key(path), ignore_errors=True)
            return
        for entry in list(self.list(path)):  # fsspec's recursive rm would take `[` or `*` in the root for a pattern
            self._remove(entry.path)

    def _retry(self, call: Callable[[], Result], doing: str, path: str) -> Result:
        what = f"{doing} {path or redact_url(self.url)}"
        try:
            return retry_transient(call, what, self.retry_seconds)
        except (OSError, ValueError, MemoryError):
            raise
        except Exception as error:  # botocore's, gcsfs's, azure's own: those who call us know OSError
            text = redact(f"{type(error).__name__}: {error}")
            raise OSError(errno.EPROTO, f"{what} failed ({text[:200]})") from error

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
            what = f"output {redact_url(self.url)}: cannot be written ({what_failed(error)})"
            raise StoreError(f"{what}; {remedy(error, 'check the path and permissions', s3=self.s3)}") from error
