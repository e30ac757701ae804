"""The place that an export writes to: files are copied there whole, checked on the way, and never over another's."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from pipelines.export.item import ItemFile, NotExportedError, Role
from pipelines.store.large_files import opener, publishing
from pipelines.store.retries import is_transient, retry_transient, what_failed
from pipelines.store.store import Store

__all__ = ["Package", "Placed", "opened"]

_CHUNK = 4 << 20


@dataclass(frozen=True, kw_only=True)
class Placed:
    """A file where it was exported to.

    Attributes:
        role: what it is to its item.
        path: below the package's folder.
        sha256: of its bytes, computed as they were written.
        size: bytes.
    """

    role: Role | str
    path: str
    sha256: str
    size: int


class Package:
    """A folder of the destination.

    Args:
        store: the destination.
        folder: below its root.
    """

    def __init__(self, store: Store, folder: str) -> None:
        self.store, self.folder = store, folder

    def at(self, path: str) -> str:
        """A path below the package's folder, as the store has it."""
        return f"{self.folder}/{path}"

    def copy(self, file: ItemFile, path: str) -> Placed:
        """Copy a file whole, hashing what is copied; what is there already with the same bytes stays.

        Raises:
            NotExportedError: it cannot be read, its bytes are not those that were recorded, or another file is there. Nothing
                has appeared under the name then.
            OSError: the destination cannot be written.
        """
        there = self._there(path)
        if there is not None:
            if there.sha256 == file.sha256:
                return Placed(role=file.role, path=path, sha256=there.sha256, size=there.size)
            raise NotExportedError(
                f"{self.store.uri(self.at(path))}: another file is there, and nothing is overwritten; export to another place"
            )
        with publishing(self.store, self.at(path)) as local:
            sha256, size = retry_transient(
                lambda: self._fetch(file, local), f"copying {path}", self.store.retry_seconds
            )
            if sha256 != file.sha256:
                raise NotExportedError(
                    f"{file.path or file.name}: its bytes are not those that were recorded (SHA-256 {file.sha256} expected, "
                    f"{sha256} found in {size} bytes); run faitharchive verify"
                )
        return Placed(role=file.role, path=path, sha256=sha256, size=size)

    def write(self, path: str, data: bytes, role: str = "metadata") -> Placed:
        """Publish a small file that was made here. Raises OSError."""
        self.store.publish(self.at(path), data)
        return Placed(role=role, path=path, sha256=hashlib.sha256(data).hexdigest(), size=len(data))

    def write_text(self, path: str, write: Callable[[io.TextIOWrapper], None]) -> None:
        """Publish a text of any length, which `write` writes piece by piece; lines end as it says. Raises OSError."""
        with (
            publishing(self.store, self.at(path)) as local,
            local.open("w", encoding="utf-8", newline="") as file,
        ):
            write(file)

    def _there(self, path: str) -> Placed | None:
        """What lies at a path."""
        try:
            sha256, size = self.store.sha256(self.at(path))
        except FileNotFoundError:
            return None
        return Placed(role="", path=path, sha256=sha256, size=size)

    @staticmethod
    def _fetch(file: ItemFile, local: Path) -> tuple[str, int]:
        """Copy to a local file; SHA-256 and size of what was read."""
        digest, size = hashlib.sha256(), 0
        with local.open("wb") as target, opened(file) as origin:
            while True:
                with _reading(file):
                    chunk = origin.read(_CHUNK)
                if not chunk:
                    break
                digest.update(chunk)
                size += len(chunk)
                target.write(chunk)
        return digest.hexdigest(), size


@contextmanager
def opened(file: ItemFile) -> Iterator[BinaryIO]:
    """A file for reading and seeking.

    Raises:
        NotExportedError: it cannot be opened.
    """
    with _reading(file):
        stream = io.BytesIO(file.data) if file.store is None else _stream(opener(file.store, file.path)())
    with closing(stream):
        yield stream


def _stream(found: BinaryIO | str) -> BinaryIO:
    return Path(found).open("rb") if isinstance(found, str) else found


@contextmanager
def _reading(file: ItemFile) -> Iterator[None]:
    """What passes goes on, and the copy begins anew; anything else is this item's failure and not the destination's."""
    try:
        yield
    except Exception as error:  # stores raise what they like
        if is_transient(error):
            raise
        raise NotExportedError(
            f"{file.path}: cannot be read ({what_failed(error)}); check access, or run faitharchive verify"
        ) from error
