"""Photoshop's image resources (8BIM), in which JPEG and TIFF hold IPTC-IIM: taken apart, and put together again."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterator

__all__ = ["IPTC", "join_resources", "split_resources", "with_iptc"]

IPTC, _IPTC_DIGEST = 1028, 1061
# What stays true when the pixels are others: copyright flag, address, IPTC's digest, paths (which are fractions of the sides).
# Thumbnails, resolution, guides, slices, channels and layers describe the source's pixels.
_KEPT = {1034, 1035, _IPTC_DIGEST, *range(2000, 2999), 2999}
_MAX_RESOURCES = 10_000


def split_resources(block: bytes) -> tuple[bytes, bytes, bool]:
    """IPTC-IIM of a block of resources, the others that are kept, and whether all of it could be read."""
    iptc, kept, end = b"", b"", 0
    for number, raw, data, stop in _resources(block):
        end = stop
        if number == IPTC:
            iptc = iptc or data
        elif number in _KEPT:
            kept += raw
    return iptc, kept, not block[end:].strip(b"\0")


def join_resources(iptc: bytes, others: bytes) -> bytes:
    """One block of resources; empty where both are. A digest of other IPTC than this is left out."""
    digest = hashlib.md5(iptc, usedforsecurity=False).digest()
    kept = b"".join(
        raw for number, raw, data, _ in _resources(others) if number != _IPTC_DIGEST or (iptc and data == digest)
    )
    return (_resource(IPTC, iptc) if iptc else b"") + kept


def with_iptc(iptc: bytes) -> bytes:
    """A block of resources with IPTC-IIM alone."""
    return _resource(IPTC, iptc)


def _resource(number: int, data: bytes) -> bytes:
    return b"8BIM" + struct.pack(">H", number) + bytes(2) + struct.pack(">I", len(data)) + data + bytes(len(data) % 2)


def _resources(block: bytes) -> Iterator[tuple[int, bytes, bytes, int]]:
    """Number, raw bytes, data and end of each resource, as far as they can be followed."""
    at = 0
    for _ in range(_MAX_RESOURCES):
        if block[at : at + 4] not in (b"8BIM", b"MeSa", b"PHUT", b"AgHg", b"DCSR") or at + 7 > len(block):
            return
        (number,) = struct.unpack_from(">H", block, at + 4)
        name = block[at + 6] + 1
        start = at + 6 + name + name % 2
        if start + 4 > len(block):
            return
        (size,) = struct.unpack_from(">I", block, start)
        end = start + 4 + size
        if end > len(block):
            return
        padded = min(end + size % 2, len(block))
        yield number, block[at:end] + bytes(size % 2), block[start + 4 : end], padded
        at = padded
