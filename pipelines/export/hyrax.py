"""An import for Bulkrax, and so for Hyrax and Hyku: `import.csv` beside `files/`, as its CSV parser wants them.

Columns: `source_identifier`, `model`, `title`, `description`, `file`. Bulkrax splits values at `;`, `:` and `|` and takes `_`
for each space of a file's name, so files are called by their item's name, which has neither.
"""

from __future__ import annotations

import csv
import io

from pipelines.export.entry import Entry, Finish, entry_of
from pipelines.export.item import Item, ItemFile
from pipelines.export.package import Package
from pipelines.manifest.spreadsheet import spreadsheet_text
from pipelines.rows import Row

__all__ = ["HyraxImport"]

_MODEL = "GenericWork"  # the work type that every Hyrax has
_SEPARATOR = "|"  # the one of Bulkrax's that no URL and no sentence has


class HyraxImport:
    """The profile: scan, result, mask and sidecar are the files of one work."""

    name = "hyrax"
    folder = "hyrax"
    holds_credentials = False
    threads = 4

    def excuse(self, row: Row) -> str:
        """Nothing is left out."""
        return ""

    def place(self, item: Item, package: Package) -> Entry:
        """Copy an item's files. Raises NotExportedError and OSError."""
        placed = [package.copy(file, f"files/{item.name}_{file.role}{_extension(file)}") for file in item.files]
        return entry_of(item, placed)

    def finish(self, entries: Finish, package: Package) -> None:
        """Write the table. Raises OSError."""

        def write(file: io.TextIOWrapper) -> None:
            table = csv.writer(file)
            table.writerow(["source_identifier", "model", "title", "description", "file"])
            for entry in entries():
                names = [one["path"].removeprefix("files/") for one in entry["files"].values()]
                title, about = spreadsheet_text(entry["title"]), spreadsheet_text(entry["description"])
                table.writerow([entry["name"], _MODEL, title, about, _SEPARATOR.join(names)])

        package.write_text("import.csv", write)


def _extension(file: ItemFile) -> str:
    """The file's extension where it is plain letters and digits."""
    _, dot, extension = file.name.rpartition(".")
    return f".{extension}" if dot and extension.isascii() and extension.isalnum() else ""
