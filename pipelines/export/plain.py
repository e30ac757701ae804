"""Scans and results with their paths, beside one table that names them all: for systems that take none of the other forms."""

from __future__ import annotations

import csv
import io

from pipelines.export.entry import Entry, Finish, entry_of
from pipelines.export.item import Item, Role
from pipelines.export.package import Package
from pipelines.manifest.spreadsheet import spreadsheet_text
from pipelines.rows import Row

__all__ = ["PlainTable"]

_ROLES: tuple[Role, ...] = ("scan", "restored", "mask", "sidecar", "credentials")
_COLUMNS = (
    "source_path", "title", "kind", "identity", "disclosure", "preset", "restored_at", "width", "height",
)  # fmt: skip


class PlainTable:
    """The profile: `index.csv`, with a path, a size and a SHA-256 for each file of an item."""

    name = "csv"
    folder = "csv"
    holds_credentials = True
    threads = 4

    def excuse(self, row: Row) -> str:
        """Nothing is left out."""
        return ""

    def place(self, item: Item, package: Package) -> Entry:
        """Copy an item's files. Raises NotExportedError and OSError."""
        scan_folder = _folder(item.row["source_path"])
        result_folder = _folder(item.row["output_path"])
        placed = []
        for file in item.files:
            where = f"scans/{scan_folder}" if file.role == "scan" else f"restored/{result_folder}"
            placed.append(package.copy(file, f"{where}{file.name}"))
        return entry_of(item, placed)

    def finish(self, entries: Finish, package: Package) -> None:
        """Write the table. Raises OSError."""

        def write(file: io.TextIOWrapper) -> None:
            table = csv.writer(file)
            table.writerow([*_COLUMNS, *(f"{role}_{what}" for role in _ROLES for what in ("path", "size", "sha256"))])
            for entry in entries():
                files = [entry["files"].get(role) for role in _ROLES]
                facts: list[object] = [entry[name] for name in _COLUMNS]  # type: ignore[literal-required]
                facts += [one[what] if one else "" for one in files for what in ("path", "size", "sha256")]
                table.writerow([spreadsheet_text(one) if isinstance(one, str) else one for one in facts])

        package.write_text("index.csv", write)


def _folder(path: str) -> str:
    folder = path.rpartition("/")[0]
    return f"{folder}/" if folder else ""
