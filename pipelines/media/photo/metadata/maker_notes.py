"""Maker notes of cameras: which of them stay whole when they come to lie elsewhere."""

from __future__ import annotations

__all__ = ["is_movable"]

# Notes that begin like this count from their own beginning (those whose entry in ExifTool's MakerNotes.pm has a base at its own
# start). Canon's, Sony's, Panasonic's and Casio's, and the first ones of Nikon and Olympus count from the beginning of EXIF.
_MOVABLE = (
    b"Apple iOS\0", b"Nikon\0\x02", b"FUJIFILM", b"GENERALE", b"ISLMAKERNOTE000\0", b"MOT\0", b"OLYMPUS\0", b"OM SYSTEM\0",
    b"LEICA0", b"PENTAX \0", b"RICOH\0II", b"RICOH\0MM",
)  # fmt: skip


def is_movable(note: bytes) -> bool:
    """Whether a maker note is known to count from nothing outside itself."""
    return note.startswith(_MOVABLE)
