"""Bags: a folder an item in the form of BagIt 1.0 (RFC 8493), with scan, result, mask, sidecar and a PREMIS description.

`bagit.txt` is written last: a folder without it is no bag yet, and the next export finishes it.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from pipelines.export.entry import Entry, Finish, entry_of
from pipelines.export.item import Item, Role
from pipelines.export.package import Package, Placed
from pipelines.export.premis import premis_xml
from pipelines.rows import Row

__all__ = ["Bags"]

_FOLDERS: dict[Role, str] = {
    "scan": "scan", "restored": "restoration", "mask": "restoration", "credentials": "restoration", "sidecar": "metadata",
}  # fmt: skip
_DECLARATION = b"BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n"


class Bags:
    """The profile: each bag is whole by itself and may be moved by itself."""

    name = "bag"
    folder = "bags"
    holds_credentials = True
    threads = 4

    def excuse(self, row: Row) -> str:
        """Why an item cannot be taken; bags take all that is one file."""
        return ""

    def place(self, item: Item, package: Package) -> Entry:
        """Write one bag. Raises NotExportedError and OSError."""
        data = f"{item.name}/data"
        placed = [package.copy(file, f"{data}/{_FOLDERS[file.role]}/{file.name}") for file in item.files]
        moment = datetime.now(UTC)
        inside = [_inside(file, item.name) for file in placed]
        premis = package.write(f"{data}/metadata/premis.xml", premis_xml(item, inside, moment))
        inside.append(_inside(premis, item.name))
        tags = [
            package.write(f"{item.name}/bag-info.txt", _info(item, inside, moment)),
            package.write(f"{item.name}/manifest-sha256.txt", _lines(inside)),
        ]
        # The tag manifest names all other tag files, among them bagit.txt, whose bytes never change.
        declaration = f"{item.name}/bagit.txt"
        listed = [*(_inside(tag, item.name) for tag in tags), _declared()]
        package.write(f"{item.name}/tagmanifest-sha256.txt", _lines(listed))
        package.write(declaration, _DECLARATION)
        return entry_of(item, placed)

    def finish(self, entries: Finish, package: Package) -> None:
        """Nothing: a bag needs no list of bags."""


def _inside(file: Placed, bag: str) -> Placed:
    """The same file with its path as the bag's own files name it."""
    return Placed(role=file.role, path=file.path.removeprefix(f"{bag}/"), sha256=file.sha256, size=file.size)


def _declared() -> Placed:
    import hashlib

    digest = hashlib.sha256(_DECLARATION).hexdigest()
    return Placed(role="tag", path="bagit.txt", sha256=digest, size=len(_DECLARATION))


def _lines(files: Sequence[Placed]) -> bytes:
    return "".join(f"{file.sha256}  {file.path}\n" for file in files).encode()


def _info(item: Item, files: Sequence[Placed], moment: datetime) -> bytes:
    """bag-info.txt: the names that RFC 8493 reserves, a value a line."""
    total, count = sum(file.size for file in files), len(files)
    lines = {
        "Bagging-Date": f"{moment:%Y-%m-%d}",
        "Bag-Software-Agent": f"FaithArchive {_version()}",
        "Payload-Oxum": f"{total}.{count}",
        "External-Identifier": item.row["source_path"],
        "External-Description": item.description,
        "Internal-Sender-Identifier": item.row["identity"],
    }
    return "".join(f"{name}: {_one_line(value)}\n" for name, value in lines.items()).encode()


def _one_line(value: str) -> str:
    """A value that cannot begin a line of its own, whatever a file is called."""
    return " ".join(value.split()) or "-"


def _version() -> str:
    from importlib.metadata import version

    return version("faitharchive")
