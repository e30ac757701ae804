"""What all readers of untrusted files share: nothing but `ItemError` comes out of them, and it names the file."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from pipelines.errors import ItemError
from pipelines.media.limits import DecodeLimits
from pipelines.media.photo.header import RECOPY

__all__ = ["guarded", "label"]

Result = TypeVar("Result")


def guarded(read: Callable[[bytes, DecodeLimits], Result], data: bytes, name: str, limits: DecodeLimits) -> Result:
    """Call a reader so that only `ItemError` comes out, naming the file.

    Args:
        read: the reader.
        data: the whole file.
        name: of the file, its path below the source.
        limits: sizes above which it is refused; that of bytes is checked here.

    Raises:
        ItemError: "empty", "too_many_bytes", "too_many_pixels", "corrupt", and what the reader raised.
    """
    try:
        if not data:
            raise ItemError("empty", f"the file has no bytes; {RECOPY}")
        if len(data) > limits.max_bytes:
            limit = f"the limit of {limits.max_bytes}; raise --max-bytes if it is genuine"
            raise ItemError("too_many_bytes", f"{len(data)} bytes are more than {limit}")
        return read(data, limits)
    except ItemError as error:
        code, reason = error.code, error.reason
    except MemoryError:
        code, reason = "too_many_pixels", "not enough memory to decode it; lower --max-pixels or use a larger machine"
    except Exception as error:  # a crafted structure that no reader foresaw
        code, reason = "corrupt", f"{type(error).__name__}: {error}; {RECOPY}"
    raise ItemError(code, f"{label(name)}: {reason}")


def label(path: str) -> str:
    """A path fit for a reason: whole, for names alone are often of many files."""
    return path.encode("utf-8", "backslashreplace").decode()
