"""Files that appear whole and stay where the store does not see to it: written beside their name, then moved to it.

On a local disk each step is flushed, first the file and at last its folder.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from pipelines.store.layout import PARTIAL

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

__all__ = ["flush_folder", "partial_beside", "put_and_move", "write_and_move", "write_through"]


@contextmanager
def partial_beside(key: str) -> Iterator[Path]:
    """A name for a partial file in the folder of a file, made if missing; gone at the end whatever happened."""
    folder = Path(key).parent
    folder.mkdir(parents=True, exist_ok=True)
    partial = folder / f"{PARTIAL}{uuid.uuid4().hex[:12]}"
    try:
        yield partial
    finally:
        partial.unlink(missing_ok=True)


def write_through(path: Path, data: bytes) -> None:
    """Write a file to disk, not only to the system's memory."""
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def flush_folder(folder: Path) -> None:
    """Make a rename durable, which it is once its folder is."""
    with suppress(OSError):  # some network file systems cannot, and need not
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def write_and_move(fs: AbstractFileSystem, key: str, data: bytes) -> None:
    """Write a whole file where neither we nor the store can rename as a disk does, such as sftp or smb.

    Args:
        fs: an fsspec file system that can move.
        key: its name of the file; the folder is made if missing.
        data: the content.
    """
    _beside_and_move(fs, key, lambda partial: fs.pipe_file(partial, data))


def put_and_move(fs: AbstractFileSystem, key: str, local: Path) -> None:
    """The same with a file of this machine's disk."""
    _beside_and_move(fs, key, lambda partial: fs.put_file(str(local), partial))


def _beside_and_move(fs: AbstractFileSystem, key: str, write: Callable[[str], None]) -> None:
    folder = key.rpartition("/")[0]
    partial = f"{folder}/{PARTIAL}{uuid.uuid4().hex[:12]}"
    fs.makedirs(folder, exist_ok=True)
    try:
        write(partial)
        fs.mv(partial, key)
    except BaseException:
        with suppress(Exception):  # a full store is not to be filled with halves
            fs.rm_file(partial)
        raise
