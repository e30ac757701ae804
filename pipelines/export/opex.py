"""Preservica's Open Preservation Exchange: a folder an item, with an `.opex` document for each file and for each folder.

A file's document has its title, its description and its fixity; a folder's lists what is in it, which lets Preservica see that
all has arrived. Form: OPEX 1.2.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from xml.etree.ElementTree import Element, SubElement, indent, register_namespace, tostring
from xml.sax.saxutils import escape

from pipelines.export.entry import Entry, Finish, entry_of
from pipelines.export.item import Item
from pipelines.export.package import Package, Placed
from pipelines.export.premis import xml_text
from pipelines.rows import Row

__all__ = ["OpexFolders"]

_OPEX = "http://www.openpreservationexchange.org/opex/v1.2"
_FOLDERS = {
    "scan": "scan",
    "restored": "restored",
    "mask": "restored",
    "credentials": "restored",
    "sidecar": "restored",
}
_TITLES = {"scan": "scan", "restored": "restoration", "mask": "mask of damage", "sidecar": "record of the restoration"}

register_namespace("opex", _OPEX)


class OpexFolders:
    """The profile."""

    name = "opex"
    folder = "opex"
    holds_credentials = True
    threads = 4

    def excuse(self, row: Row) -> str:
        """Nothing is left out."""
        return ""

    def place(self, item: Item, package: Package) -> Entry:
        """Write an item's folder. Raises NotExportedError and OSError."""
        placed = [package.copy(file, f"{item.name}/{_FOLDERS[file.role]}/{file.name}") for file in item.files]
        for file in placed:
            package.write(f"{file.path}.opex", _file_document(item, file))
        for folder in ("scan", "restored"):
            inside = [file for file in placed if _FOLDERS[str(file.role)] == folder]
            path = f"{item.name}/{folder}"
            package.write(
                f"{path}/{folder}.opex", _folder_document(inside, title=folder, source=f"{item.name}/{folder}")
            )
        top = _folder_document(
            [], title=item.title, folders=("restored", "scan"), source=item.name, about=item.description
        )
        package.write(f"{item.name}/{item.name}.opex", top)
        return entry_of(item, placed)

    def finish(self, entries: Finish, package: Package) -> None:
        """Write the document of the folder that holds all. Raises OSError."""

        def write(file: io.TextIOWrapper) -> None:
            file.write(f'<?xml version="1.0" encoding="UTF-8"?>\n<opex:OPEXMetadata xmlns:opex="{_OPEX}">\n')
            file.write(" <opex:Transfer>\n  <opex:Manifest>\n   <opex:Folders>\n")
            for entry in entries():
                file.write(f"    <opex:Folder>{escape(entry['name'])}</opex:Folder>\n")
            file.write("   </opex:Folders>\n  </opex:Manifest>\n </opex:Transfer>\n</opex:OPEXMetadata>\n")

        package.write_text(f"{self.folder}.opex", write)


def _file_document(item: Item, file: Placed) -> bytes:
    root = Element(_name("OPEXMetadata"))
    transfer = SubElement(root, _name("Transfer"))
    fixities = SubElement(transfer, _name("Fixities"))
    SubElement(fixities, _name("Fixity"), {"type": "SHA-256", "value": file.sha256})
    what = _TITLES.get(str(file.role), str(file.role))
    _properties(root, f"{item.title} ({what})", item.description if file.role != "scan" else "", item.name)
    return _document(root)


def _folder_document(
    files: Sequence[Placed], *, title: str, source: str, folders: Sequence[str] = (), about: str = ""
) -> bytes:
    root = Element(_name("OPEXMetadata"))
    transfer = SubElement(root, _name("Transfer"))
    SubElement(transfer, _name("SourceID")).text = source
    manifest = SubElement(transfer, _name("Manifest"))
    if files:
        listed = SubElement(manifest, _name("Files"))
        for file in files:
            name = file.path.rpartition("/")[2]
            SubElement(listed, _name("File"), {"type": "content", "size": str(file.size)}).text = xml_text(name)
            SubElement(listed, _name("File"), {"type": "metadata"}).text = xml_text(f"{name}.opex")
    if folders:
        listed = SubElement(manifest, _name("Folders"))
        for folder in folders:
            SubElement(listed, _name("Folder")).text = folder
    _properties(root, title, about, "")
    return _document(root)


def _properties(root: Element, title: str, about: str, identifier: str) -> None:
    made = SubElement(root, _name("Properties"))
    SubElement(made, _name("Title")).text = xml_text(title)
    if about:
        SubElement(made, _name("Description")).text = xml_text(about)
    SubElement(made, _name("SecurityDescriptor")).text = "open"
    if identifier:
        identifiers = SubElement(made, _name("Identifiers"))
        SubElement(identifiers, _name("Identifier"), {"type": "faitharchive"}).text = identifier


def _document(root: Element) -> bytes:
    indent(root)
    return tostring(root, encoding="UTF-8", xml_declaration=True) + b"\n"


def _name(name: str) -> str:
    return f"{{{_OPEX}}}{name}"
