"""One transfer for Archivematica: scans as originals, results as their manually normalized access copies.

As its documentation has it ("Manual normalization prior to transfer"): `manualNormalization/access/` holds the copies, and
`manualNormalization/normalization.csv` has three columns without a heading: original, access copy, preservation copy, as paths
below the objects. Archivematica takes a line whose first field holds `#` for a comment, and finds an original by the end of its
path: so `#` is replaced, and all originals lie below a folder of their own. Results are derivatives, never preservation copies.
`metadata/checksum.sha256` lets Archivematica check the transfer itself; it wants a line for each file outside `metadata/`.
"""

from __future__ import annotations

import csv
import io

from pipelines.export.entry import Entry, Finish, entry_of
from pipelines.export.item import Item
from pipelines.export.package import Package
from pipelines.rows import Row

__all__ = ["ArchivematicaTransfer"]

_ORIGINALS = "scans"
_ACCESS = "manualNormalization/access"
_LIST = "manualNormalization/normalization.csv"


class ArchivematicaTransfer:
    """The profile: one folder that is one transfer of type Standard."""

    name = "archivematica"
    folder = "transfer"
    holds_credentials = True
    threads = 4

    def excuse(self, row: Row) -> str:
        """Nothing is left out."""
        return ""

    def place(self, item: Item, package: Package) -> Entry:
        """Copy an item's files. Raises NotExportedError and OSError."""
        source, result = item.row["source_path"], item.row["output_path"]
        placed = []
        for file in item.files:
            if file.role == "scan":
                path = f"{_ORIGINALS}/{_path(source, item)}"
            elif file.role == "restored":
                path = f"{_ACCESS}/{_ORIGINALS}/{_path(result, item)}"
            else:
                path = f"metadata/faitharchive/{item.name}/{file.name.replace('#', '_')}"
            placed.append(package.copy(file, path))
        return entry_of(item, placed)

    def finish(self, entries: Finish, package: Package) -> None:
        """Write the two lists. Raises OSError."""

        def normalization(file: io.TextIOWrapper) -> None:
            table = csv.writer(file, lineterminator="\n")
            for entry in entries():
                table.writerow([entry["files"]["scan"]["path"], entry["files"]["restored"]["path"], ""])

        def checksums(file: io.TextIOWrapper) -> None:
            for entry in entries():
                for role in ("scan", "restored"):
                    one = entry["files"][role]
                    file.write(f"{one['sha256']}  {one['path']}\n")
            file.write(f"{package.store.sha256(package.at(_LIST))[0]}  {_LIST}\n")

        package.write_text(_LIST, normalization)
        package.write_text("metadata/checksum.sha256", checksums)


def _path(path: str, item: Item) -> str:
    """A path that no list misreads: the last part becomes the item's own name where anything in it would be."""
    if path.isprintable() and not set("#\\") & set(path):
        return path
    dot = path.rfind(".")
    extension = path[dot:] if dot > path.rfind("/") and path[dot:].isalnum() else ""
    return f"{item.name}{extension}"
