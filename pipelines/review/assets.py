"""The page's own files, which travel in the package: read once, so that no request ever names a path."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable

__all__ = ["Asset", "page_files"]

_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
}


@dataclass(frozen=True)
class Asset:
    """A file of the page.

    Attributes:
        data: its bytes.
        kind: its media type.
    """

    data: bytes
    kind: str


def page_files() -> dict[str, Asset]:
    """The files that a browser may ask for, by path below the page's folder."""
    found: dict[str, Asset] = {}
    _collect(files("pipelines.review") / "web", "", found)
    return found


def _collect(folder: Traversable, prefix: str, found: dict[str, Asset]) -> None:
    for each in folder.iterdir():
        name = f"{prefix}{each.name}"
        if each.is_dir():
            _collect(each, f"{name}/", found)
        elif (kind := _TYPES.get(f".{name.rpartition('.')[2]}")) is not None:
            found[name] = Asset(each.read_bytes(), kind)
