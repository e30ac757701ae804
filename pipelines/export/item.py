"""One item as an export sees it: its row, the files that belong together, and what each of them must hash to."""

from __future__ import annotations

import hashlib
import mimetypes
import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from pipelines.manifest.sidecar import SidecarError, parse_sidecar
from pipelines.rows import Row
from pipelines.store.layout import damage_path, sidecar_path
from pipelines.store.retries import what_failed
from pipelines.store.store import Store

__all__ = ["Item", "ItemFile", "NotExportedError", "Role", "item_of", "media_type", "package_name", "safe_name"]

Role = Literal["scan", "restored", "mask", "sidecar", "credentials"]

_SLUG = 80  # characters of a path that a package's name keeps
_DIGITS = 16  # of the digest that makes it unique
# What BagIt escapes, and readers of bags unescape each in their own way; control characters besides.
_UNSAFE = re.compile(r"[%\x00-\x1f\x7f-\x9f]")
_TYPES = {
    ".png": "image/png", ".tif": "image/tiff", ".tiff": "image/tiff", ".jpg": "image/jpeg", ".jpeg": "image/jpeg",
    ".webp": "image/webp", ".jp2": "image/jp2", ".mkv": "video/x-matroska", ".mov": "video/quicktime", ".mp4": "video/mp4",
    ".json": "application/json", ".xml": "application/xml", ".c2pa": "application/c2pa",
}  # fmt: skip


class NotExportedError(ValueError):
    """An item that was not exported; the message is one line that names it and says what to do."""


@dataclass(frozen=True, kw_only=True)
class ItemFile:
    """A file of an item: in a store, or in memory where it is small and made here.

    Attributes:
        role: what it is to the item.
        name: as it is called in a package: the last part of its path, where that is safe everywhere.
        sha256: what its bytes must hash to.
        size: bytes, or None where nobody recorded it.
        store, path: where it lies; or
        data: its bytes.
    """

    role: Role
    name: str
    sha256: str
    size: int | None = None
    store: Store | None = None
    path: str = ""
    data: bytes = b""


@dataclass(frozen=True, kw_only=True)
class Item:
    """A restored item and its files, scan and result first.

    Attributes:
        row: its manifest row.
        name: a name in ASCII letters, digits, `.`, `_` and `-` that no other result in the world has.
        files: what belongs to it.
    """

    row: Row
    name: str
    files: tuple[ItemFile, ...]

    def file(self, role: Role) -> ItemFile | None:
        """The file of a role, if there is one."""
        return next((file for file in self.files if file.role == role), None)

    @property
    def title(self) -> str:
        """What it is called: its catalogue's or captioner's text, or its file's name without the extension."""
        name = self.row["source_path"].rpartition("/")[2]
        return (self.row["caption"] or name.rpartition(".")[0] or name)[:255]

    @property
    def description(self) -> str:
        """One line for people: that it was restored by machine, by what, from what."""
        row = self.row
        return (
            f"Restored by machine (FaithArchive, preset {row['model_preset']}) from the scan {row['source_path']}, "
            f"SHA-256 {row['source_sha256']}"
        )


def package_name(row: Row) -> str:
    """The name of a result's package: of its source's path, and unique for the result: another result is another package."""
    plain = unicodedata.normalize("NFKD", row["source_path"]).encode("ascii", "ignore").decode()
    slug = re.sub(r"[^A-Za-z0-9._]+", "-", plain).strip("-.")[-_SLUG:].strip("-.")
    digest = hashlib.sha256(f"{row['item_id']}\n{row['identity']}\n{row['output_sha256']}".encode()).hexdigest()
    return f"{slug}-{digest[:_DIGITS]}" if slug else digest[:_DIGITS]


def safe_name(path: str) -> str:
    """The last part of a path, with what packages cannot hold replaced by `_`."""
    return _UNSAFE.sub("_", path.rpartition("/")[2])


def media_type(name: str) -> str:
    """The IANA media type of a file by its name's extension."""
    extension = name[name.rfind(".") :].lower() if "." in name else ""
    return _TYPES.get(extension) or mimetypes.guess_type(name)[0] or "application/octet-stream"


def item_of(row: Row, source: Callable[[Row], Store], output: Store) -> Item:
    """The item of a restored row.

    Args:
        row: with all columns.
        source: gives the store that a row's source lies in.
        output: the output store.

    Raises:
        NotExportedError: its sidecar is missing, damaged or of another result.
    """
    sidecar = _sidecar(row, output)
    files = [
        ItemFile(
            role="scan",
            name=safe_name(row["source_path"]),
            sha256=row["source_sha256"],
            size=row["source_size"],
            store=source(row),
            path=row["source_path"],
        ),
        ItemFile(
            role="restored",
            name=safe_name(row["output_path"]),
            sha256=row["output_sha256"] or "",
            size=row["output_size"],
            store=output,
            path=row["output_path"],
        ),
        ItemFile(
            role="sidecar",
            name=safe_name(sidecar_path(row["output_path"])),
            sha256=hashlib.sha256(sidecar).hexdigest(),
            size=len(sidecar),
            data=sidecar,
        ),
    ]
    if row["damage_mask_sha256"]:
        path = damage_path(row["output_path"], row["pages"])
        files.append(
            ItemFile(role="mask", name=safe_name(path), sha256=row["damage_mask_sha256"], store=output, path=path)
        )
    return Item(row=row, name=package_name(row), files=tuple(files))


def _sidecar(row: Row, output: Store) -> bytes:
    """The sidecar's bytes, once they are known to be this result's. Nobody recorded their hash: what they say is compared."""
    path = sidecar_path(row["output_path"])
    remedy = "run faitharchive verify --repair, then export again"
    try:
        data = output.read(path)
        told = parse_sidecar(data)
    except SidecarError as error:
        raise NotExportedError(f"{path}: {error}; {remedy}") from error
    except OSError as error:
        raise NotExportedError(f"{path}: cannot be read ({what_failed(error)}); {remedy}") from error
    if (told["item_id"], told["output_sha256"]) != (row["item_id"], row["output_sha256"]):
        raise NotExportedError(f"{path}: it is the sidecar of another result than the manifest's; {remedy}")
    return data
