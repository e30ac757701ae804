"""IIIF Presentation 3: a manifest an item, with scan and result as a `Choice` on one canvas, and image tiles of both.

All files are static. `collection.json` names all manifests. The scan comes first in the choice: it is the record.
"""

from __future__ import annotations

import hashlib
import io
import json

from pipelines.errors import ItemError
from pipelines.export.entry import Entry, Finish, entry_of
from pipelines.export.item import Item, ItemFile, NotExportedError
from pipelines.export.package import Package, Placed
from pipelines.export.tiles import image_files, shown_size
from pipelines.media.limits import DecodeLimits
from pipelines.media.photo.decode import Photo, decode
from pipelines.rows import Row
from pipelines.store.retries import what_failed

__all__ = ["IiifManifests", "manifest_of"]

_CONTEXT = "http://iiif.io/api/presentation/3/context.json"
_LABELS = {"scan": "Scan", "restored": "Restoration by machine"}
_LIMITS = DecodeLimits(max_bytes=8 << 30, max_pixels=1 << 31)  # the archive's own files, which restoring has limited


class IiifManifests:
    """The profile.

    Args:
        base_url: under which the profile's folder will be served, such as https://archive.example/iiif.

    Raises:
        ValueError: it is no address that IIIF documents can name.
    """

    name = "iiif"
    folder = "iiif"
    holds_credentials = False
    threads = 1

    def __init__(self, base_url: str) -> None:
        if not base_url.startswith(("https://", "http://")) or any(mark in base_url for mark in " #?"):
            raise ValueError(
                "--base-url: IIIF documents name themselves by their address; give the one under which DEST/iiif will be "
                "served, such as https://archive.example/iiif"
            )
        self.base_url = base_url.rstrip("/")

    def excuse(self, row: Row) -> str:
        """Films are left out: what they are kept in plays in no browser."""
        return "" if row["media_kind"] == "photo" else "it is a film, which this profile does not take; use bag or csv"

    def place(self, item: Item, package: Package) -> Entry:
        """Write tiles and manifest of one item. Raises NotExportedError and OSError."""
        placed, pictures = [], {}
        for role in ("scan", "restored"):
            file = next(one for one in item.files if one.role == role)
            photo = _decoded(file)
            folder = f"{item.name}/{role}"
            for path, data in image_files(photo.pixels, photo.icc_profile, f"{self.base_url}/{folder}"):
                package.write(f"{folder}/{path}", data)
            pictures[role] = (photo.pixels.shape[1], photo.pixels.shape[0])
            placed.append(Placed(role=role, path=f"{folder}/info.json", sha256=file.sha256, size=file.size or 0))
        manifest = manifest_of(item, pictures, f"{self.base_url}/{item.name}")
        package.write(
            f"{item.name}/manifest.json", (json.dumps(manifest, indent=1, ensure_ascii=False) + "\n").encode()
        )
        return entry_of(item, placed)

    def finish(self, entries: Finish, package: Package) -> None:
        """Write the collection, an item at a time. Raises OSError."""
        head = {
            "@context": _CONTEXT,
            "id": f"{self.base_url}/collection.json",
            "type": "Collection",
            "label": {"en": ["Restored archive"]},
        }

        def write(file: io.TextIOWrapper) -> None:
            file.write(json.dumps(head)[:-1] + ', "items": [')
            separator = "\n"
            for entry in entries():
                url = f"{self.base_url}/{entry['name']}/manifest.json"
                one = {"id": url, "type": "Manifest", "label": {"none": [entry["title"]]}}
                file.write(separator + json.dumps(one, ensure_ascii=False))
                separator = ",\n"
            file.write("\n]}\n")

        package.write_text("collection.json", write)


def manifest_of(item: Item, pictures: dict[str, tuple[int, int]], url: str) -> dict[str, object]:
    """The manifest of an item.

    Args:
        item: what it is about.
        pictures: width and height of `scan` and `restored`.
        url: of the item's folder.
    """
    row = item.row
    width, height = pictures["restored"]
    canvas = f"{url}/canvas"
    choices = [_picture(role, f"{url}/{role}", *pictures[role]) for role in ("scan", "restored")]
    facts = {
        "Source": row["source_path"],
        "SHA-256 of the scan": row["source_sha256"],
        "SHA-256 of the restoration": row["output_sha256"] or "",
        "Digital Source Type": row["disclosure"] or "",
        "Restored by": f"FaithArchive, preset {row['model_preset']}, model sha256:{row['model_digest']}",
        "Restored on": row["finished_at"].isoformat(),
        "Identity": row["identity"],
    }
    page = {
        "id": f"{canvas}/page",
        "type": "AnnotationPage",
        "items": [
            {
                "id": f"{canvas}/annotation",
                "type": "Annotation",
                "motivation": "painting",
                "body": {"type": "Choice", "items": choices},
                "target": canvas,
            }
        ],
    }
    return {
        "@context": _CONTEXT,
        "id": f"{url}/manifest.json",
        "type": "Manifest",
        "label": {"none": [item.title]},
        "summary": {"en": [item.description]},
        "metadata": [{"label": {"en": [name]}, "value": {"none": [value]}} for name, value in facts.items() if value],
        "items": [
            {
                "id": canvas,
                "type": "Canvas",
                "label": {"none": [item.title]},
                "width": width,
                "height": height,
                "items": [page],
            }
        ],
    }


def _picture(role: str, url: str, width: int, height: int) -> dict[str, object]:
    """One of the pictures of the choice: a file that is there, and the service that has all of its tiles."""
    across, down = shown_size(width, height)
    return {
        "id": f"{url}/full/{across},{down}/0/default.jpg",
        "type": "Image",
        "format": "image/jpeg",
        "label": {"en": [_LABELS[role]]},
        "width": across,
        "height": down,
        "service": [{"id": url, "type": "ImageService3", "profile": "level0"}],
    }


def _decoded(file: ItemFile) -> Photo:
    """A file's picture, once its bytes are known to be those that were recorded."""
    assert file.store is not None
    remedy = "run faitharchive verify"
    try:
        data = file.store.read(file.path)
    except OSError as error:
        raise NotExportedError(f"{file.path}: cannot be read ({what_failed(error)}); {remedy}") from error
    found = hashlib.sha256(data).hexdigest()
    if found != file.sha256:
        raise NotExportedError(
            f"{file.path}: its bytes are not those that were recorded (SHA-256 {file.sha256} expected, {found} found in "
            f"{len(data)} bytes); {remedy}"
        )
    try:
        return decode(data, file.name, _LIMITS)
    except ItemError as error:
        raise NotExportedError(f"{file.path}: no picture to be shown ({error.reason})") from error
