"""Photographs, films and frame sequences, distinguished by their names: what discovery looks for."""

from __future__ import annotations

import re
from typing import Literal

__all__ = [
    "FRAME_SUFFIXES",
    "MAYBE_FRAME_SUFFIXES",
    "PHOTO_SUFFIXES",
    "is_sequence",
    "kind_of",
    "looks_numbered",
    "plain_stem",
    "suffix",
]

pass


Kind = Literal["photo", "film"]

# Lower-case extensions that discovery takes for films. What a file is, its content decides later.
FILM_SUFFIXES = frozenset(
    {
        ".mkv", ".mov", ".qt", ".mp4", ".m4v", ".avi", ".mpg", ".mpeg", ".mpe", ".m2v", ".vob", ".ts", ".m2ts", ".mts",
        ".mxf", ".webm", ".wmv", ".asf", ".dv", ".dif", ".ogv", ".flv", ".3gp",
    }
)  # fmt: skip
# Files that are single frames of a film, always.
FRAME_SUFFIXES = frozenset({".dpx", ".exr"})
# Files that may be: scans are numbered, too, so an archive says where (setting `sequences`).
MAYBE_FRAME_SUFFIXES = frozenset({".tif", ".tiff", ".png"})
# The place of the number in the name of a sequence, as printf has it.
_PLACE = re.compile(r"(?<!%)(?:%%)*(%(?:0\d+)?d)")


def suffix(path: str) -> str:
    """The extension of the last component, lower case, with its dot; or nothing."""
    name = path.rpartition("/")[2]
    dot = name.rfind(".")
    return name[dot:].lower() if 0 < dot < len(name) - 1 else ""


def is_sequence(path: str) -> bool:
    """Whether an item is a frame sequence: named by a pattern such as `reel/shot.%06d.dpx`, or a lone DPX or EXR."""
    return suffix(path) in FRAME_SUFFIXES or looks_numbered(path)


def looks_numbered(path: str) -> bool:
    """Whether the last component holds the place of a number, such as `%06d`."""
    return _PLACE.search(path.rpartition("/")[2]) is not None


def kind_of(path: str) -> Kind | None:
    """What an item is by its name; None if it is nothing that we restore."""
    if is_sequence(path) or suffix(path) in FILM_SUFFIXES:
        return "film"
    return "photo" if suffix(path) in PHOTO_SUFFIXES else None


def plain_stem(name: str) -> str:
    """A sequence's name without the place of its number and its extension: `shot` of `shot.%06d.dpx`."""
    end = len(suffix(name))
    stem = _PLACE.sub("", name[: len(name) - end] if end else name).replace("%%", "%")
    return stem.rstrip(" ._-") or "frames"


# Lower-case extensions that discovery takes for photographs, and the format that each stands for.
PHOTO_SUFFIXES: dict[str, str] = {
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".jpe": "JPEG",
    ".jfif": "JPEG",
    ".jif": "JPEG",
    ".jfi": "JPEG",
    ".mpo": "JPEG",  # stereo pairs and their like: JPEG, one behind the other
    ".jps": "JPEG",
    ".png": "PNG",
    ".apng": "PNG",
    ".tif": "TIFF",
    ".tiff": "TIFF",
    ".webp": "WEBP",
    ".jp2": "JPEG2000",
    ".j2k": "JPEG2000",
    ".jpx": "JPEG2000",
    ".j2c": "JPEG2000",
    ".jpf": "JPEG2000",
    ".jpc": "JPEG2000",
    ".avif": "AVIF",
    ".bmp": "BMP",
    ".dib": "BMP",
    ".gif": "GIF",
    ".tga": "TGA",
}
