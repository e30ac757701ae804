"""The `sha256sum` listing of a sequence's files, and the digest that stands for all of them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

__all__ = ["Listing", "listing_line", "sequence_digest"]


def sequence_digest(lines: Iterable[tuple[str, str]]) -> str:
    """SHA-256, hex, of what `sha256sum` prints of files.

    Args:
        lines: SHA-256 in hex and file name of each, in order.
    """
    listing = Listing()
    for sha256, name in lines:
        listing.add(sha256, name)
    return listing.digest()


def listing_line(sha256: str, name: str) -> str:
    """A line of what `sha256sum` prints, with its end; characters that would break it are escaped as it does."""
    escaped = name.replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r")
    mark = "\\" if escaped != name else ""  # says that the name is escaped
    return f"{mark}{sha256}  {escaped}\n"


class Listing:
    """A `sha256sum` listing, hashed as it grows."""

    def __init__(self) -> None:
        self._sum = hashlib.sha256()

    def add(self, sha256: str, name: str) -> None:
        """One more file: its SHA-256 in hex, and its name."""
        self._sum.update(listing_line(sha256, name).encode("utf-8", "surrogateescape"))

    def digest(self) -> str:
        """SHA-256, hex, of the lines so far."""
        return self._sum.hexdigest()
