"""What an export remembers of each item it exported: enough to write the tables and lists that name all of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol, TypedDict

from pipelines.export.item import Item
from pipelines.export.package import Package, Placed
from pipelines.rows import Row

__all__ = ["Entry", "EntryFile", "Finish", "Profile", "entry_of"]


class EntryFile(TypedDict):
    """An exported file, as `package.Placed`."""

    path: str
    sha256: str
    size: int


class Entry(TypedDict):
    """One exported item; JSON.

    Attributes:
        name: of its package.
        source_path, output_path: in the archive.
        kind: photo or film.
        title, description: texts for people.
        identity: of the result.
        disclosure: IPTC Digital Source Type that the result states, or empty.
        preset: the network.
        restored_at: when the result was published, ISO 8601.
        width, height: of the result, pixels.
        files: by role.
    """

    name: str
    source_path: str
    output_path: str
    kind: str
    title: str
    description: str
    identity: str
    disclosure: str
    preset: str
    restored_at: str
    width: int
    height: int
    files: dict[str, EntryFile]


Finish = Callable[[], Iterator[Entry]]


class Profile(Protocol):
    """A form of export.

    Attributes:
        name: as `--profile` has it.
        folder: of the destination, which is the profile's own.
        holds_credentials: whether it has a place for C2PA manifests.
        threads: items at a time; few where each takes much memory.
    """

    @property
    def name(self) -> str: ...
    @property
    def folder(self) -> str: ...
    @property
    def holds_credentials(self) -> bool: ...
    @property
    def threads(self) -> int: ...

    def excuse(self, row: Row) -> str:
        """Why the profile cannot take an item; empty where it can."""

    def place(self, item: Item, package: Package) -> Entry:
        """Write an item's files; again after a crash, to the same end. Raises NotExportedError and OSError."""

    def finish(self, entries: Finish, package: Package) -> None:
        """Write what names all items; `entries` gives them by source path, anew at each call. Raises OSError."""


def entry_of(item: Item, placed: Sequence[Placed]) -> Entry:
    """What is remembered of an item and its files."""
    row = item.row
    return {
        "name": item.name,
        "source_path": row["source_path"],
        "output_path": row["output_path"],
        "kind": row["media_kind"],
        "title": item.title,
        "description": item.description,
        "identity": row["identity"],
        "disclosure": row["disclosure"] or "",
        "preset": row["model_preset"] or "",
        "restored_at": row["finished_at"].isoformat(),
        "width": row["output_width"],
        "height": row["output_height"],
        "files": {str(file.role): {"path": file.path, "sha256": file.sha256, "size": file.size} for file in placed},
    }
