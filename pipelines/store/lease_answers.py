"""What a machine's processes know of a lease together: one of them asks the store, the others read its answer from a file.

The file is this user's own, in the machine's folder for temporary files. Times are of the machine's monotonic clock, which all
its processes share. Without such a folder each process asks by itself.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from filelock import FileLock, Timeout

__all__ = ["Answer", "NodeAnswers"]

_KEPT_SECONDS = 86_400.0  # of answers that nobody renews any more


@dataclass(frozen=True)
class Answer:
    """What the store said, and when.

    Attributes:
        state: of the lease.
        asked: when the store was last asked.
        sure: when it last answered.
    """

    state: str
    asked: float
    sure: float


class NodeAnswers:
    """The file of one lease.

    Args:
        url: of the output store.
        number: of the lease.
        owner: who took it, so that a lease of the same number in a store that was made anew is another.
    """

    def __init__(self, url: str, number: int, owner: str) -> None:
        name = hashlib.sha256(f"{url}\n{number}\n{owner}".encode("utf-8", "surrogatepass")).hexdigest()[:32]
        folder = _own_folder()
        self._path = folder / f"{name}.json" if folder else None

    def read(self) -> Answer | None:
        """The last answer; None where there is none that can be one."""
        if self._path is None:
            return None
        try:
            answer = Answer(**json.loads(self._path.read_bytes()))
            return answer if 0 <= answer.sure <= answer.asked <= time.monotonic() else None
        except (OSError, ValueError, TypeError):
            return None

    def write(self, answer: Answer) -> None:
        """Tell the others."""
        if self._path is None:
            return
        own = self._path.with_suffix(f".{os.getpid()}")
        with suppress(OSError):
            own.write_text(json.dumps(asdict(answer)))
            own.replace(self._path)

    @contextmanager
    def alone(self) -> Iterator[bool]:
        """A block that one process of the machine is in at a time: whether this one is. It does not wait."""
        if self._path is None:
            yield True
            return
        lock = FileLock(self._path.with_suffix(".lock"))
        try:
            lock.acquire(timeout=0)
        except (Timeout, OSError):
            yield False
            return
        try:
            yield True
        finally:
            lock.release()

    def tidy(self) -> None:
        """Remove what is left of leases of other days."""
        if self._path is None:
            return
        for path in self._path.parent.iterdir():
            with suppress(OSError):
                if time.time() - path.stat().st_mtime > _KEPT_SECONDS:
                    path.unlink()


def _own_folder() -> Path | None:
    """A folder that this user alone can write to; None where somebody else was there first, or there is no room."""
    folder = Path(tempfile.gettempdir()) / f"faitharchive-{os.getuid()}"
    with suppress(OSError):
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
        if stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and not found.st_mode & 0o077:
            return folder
    return None
