"""A task for Islandora Workbench: `metadata.csv` with the columns that it reserves, `create.yml` to edit, and the files.

The scan is the item's file, as its master; the result is an additional file, of the use Service File. Columns: `id`, `file`,
`title`, `field_model`, `field_description`, and `restored`, which `additional_files` of the configuration names. No other
column would pass Workbench's check; what else is known of a result stands in the result itself, and in the description.
"""

from __future__ import annotations

import csv
import io

from pipelines.export.entry import Entry, Finish, entry_of
from pipelines.export.item import Item
from pipelines.export.package import Package
from pipelines.manifest.spreadsheet import spreadsheet_text
from pipelines.rows import Row

__all__ = ["IslandoraTask"]

# Islandora Models, by the URIs of their terms.
_MODELS = {
    "photo": "http://purl.org/coar/resource_type/c_c513",  # Image
    "film": "http://purl.org/coar/resource_type/c_12ce",  # Video
}
_CONFIGURATION = """\
# Islandora Workbench: edit host and user, give the password by --password or ISLANDORA_WORKBENCH_PASSWORD, then run
#   ./workbench --config create.yml --check
task: create
host: https://islandora.example.org
username: workbench
input_dir: .
input_csv: metadata.csv
# field_model is given by the URI of its term.
additional_files:
  - restored: http://pcdm.org/use#ServiceFile
"""


class IslandoraTask:
    """The profile."""

    name = "islandora"
    folder = "islandora"
    holds_credentials = False
    threads = 4

    def excuse(self, row: Row) -> str:
        """Nothing is left out."""
        return ""

    def place(self, item: Item, package: Package) -> Entry:
        """Copy an item's files. Raises NotExportedError and OSError."""
        files = [file for file in item.files if file.role in ("scan", "restored")]
        placed = [package.copy(file, f"files/{item.name}/{file.role}/{file.name}") for file in files]
        return entry_of(item, placed)

    def finish(self, entries: Finish, package: Package) -> None:
        """Write table and configuration. Raises OSError."""

        def write(file: io.TextIOWrapper) -> None:
            table = csv.writer(file)
            table.writerow(["id", "file", "title", "field_model", "field_description", "restored"])
            for entry in entries():
                title, about = spreadsheet_text(entry["title"]), spreadsheet_text(entry["description"])
                scan, result = (entry["files"][role]["path"] for role in ("scan", "restored"))
                table.writerow([entry["name"], scan, title, _MODELS[entry["kind"]], about, result])

        package.write_text("metadata.csv", write)
        package.write("create.yml", _CONFIGURATION.encode())
