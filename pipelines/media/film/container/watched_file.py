"""A file that FFmpeg reads through Python, whose errors are kept: FFmpeg takes an error for the end of the file."""

from __future__ import annotations

import errno
from typing import BinaryIO

__all__ = ["WatchedFile"]

_FAR = 1 << 60
_NOWHERE = -errno.EINVAL  # FFmpeg's way to say that there is no such place


class WatchedFile:
    """A binary file as PyAV reads it.

    Args:
        file: that seeks; whoever opened it closes it.

    Attributes:
        error: what went wrong last; None while nothing has.
    """

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        self.error: Exception | None = None

    def read(self, size: int = -1) -> bytes:
        try:
            return self.file.read(size)
        except Exception as error:
            self.error = error
            raise

    def seek(self, offset: int, whence: int = 0) -> int:
        # FFmpeg adds flags of its own; and a damaged file points anywhere.
        whence &= 3
        if whence == 0 and not 0 <= offset < _FAR:
            return _NOWHERE
        try:
            return self.file.seek(offset, whence)
        except Exception as error:
            if isinstance(error, ValueError) or getattr(error, "errno", None) == errno.EINVAL:
                return _NOWHERE
            self.error = error
            raise

    def tell(self) -> int:
        return self.file.tell()

    def seekable(self) -> bool:
        return True

    def readable(self) -> bool:
        return True
