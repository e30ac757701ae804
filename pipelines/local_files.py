"""Local files that appear whole and stay: written beside their name, flushed to disk, renamed, the folder flushed."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

PARTIAL = ".faitharchive-partial-"


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
