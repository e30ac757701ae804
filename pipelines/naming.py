"""Where a restored file goes: the source's relative path and stem, a new extension, no two sources on one name."""

from __future__ import annotations

import hashlib
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath

SIDECAR_SUFFIX = ".restoration.json"
_MAX_NAME_BYTES = 255 - len(SIDECAR_SUFFIX)  # of one path component, on every common file system
_EXTENSIONS = {"png": ".png", "tiff": ".tif", "jpeg": ".jpg", "webp": ".webp"}
_TIFF_SUFFIXES = {".tif", ".tiff"}


def output_format(path: str, choice: str) -> str:
    """The result's format: `choice`, or for `auto` TIFF for TIFF names and PNG for the rest."""
    if choice != "auto":
        return choice
    return "tiff" if PurePosixPath(path).suffix.lower() in _TIFF_SUFFIXES else "png"


def item_id(path: str) -> str:
    """Names a source by its path: 24 hexadecimal digits."""
    return hashlib.sha256(path.encode("utf-8", "surrogateescape")).hexdigest()[:24]


def assign_outputs(paths: Iterable[str], choice: str, owned: Mapping[str, str]) -> dict[str, str]:
    """Give every source an output path.

    A source keeps the output that it already has. Otherwise it gets `folder/stem.ext` if no other source could want that and
    it is no folder of another's (names differing in letter case only count as equal: not every file system tells them
    apart), else `folder/name.with.its.extension.ext`. What a source gets does not depend on the order of `paths`.

    Args:
        paths: source paths below the root.
        choice: the `format` setting.
        owned: output path by source path, from earlier runs.

    Returns:
        Output path by source path.
    """
    paths = sorted(paths)
    plain = {path: _named(path, PurePosixPath(path).stem, choice) for path in paths}
    wanted = Counter(_folded(output) for output in plain.values())
    assigned = {path: owned[path] for path in paths if _reusable(path, owned, choice)}
    owners = {_folded(output): path for path, output in owned.items()}
    taken = {_folded(output) for output in assigned.values()}
    # A name cannot be both a file and a folder of the output store.
    taken |= {_folded(str(folder)) for path in paths for folder in PurePosixPath(path).parents}
    for path in paths:
        if path in assigned:
            continue
        output = plain[path]
        if wanted[_folded(output)] > 1 or owners.get(_folded(output), path) != path or _folded(output) in taken:
            output = _named(path, PurePosixPath(path).name, choice)
        if _folded(output) in taken or owners.get(_folded(output), path) != path:
            output = _named(path, f"{PurePosixPath(path).name}~{item_id(path)[:8]}", choice)
        taken.add(_folded(output))
        assigned[path] = output
    return assigned


def _reusable(path: str, owned: Mapping[str, str], choice: str) -> bool:
    return path in owned and PurePosixPath(owned[path]).suffix == _EXTENSIONS[output_format(path, choice)]


def _named(path: str, stem: str, choice: str) -> str:
    extension = _EXTENSIONS[output_format(path, choice)]
    room = _MAX_NAME_BYTES - len(extension)
    encoded = stem.encode("utf-8", "surrogateescape")  # a name that is not UTF-8 fails alone, later
    if len(encoded) > room:
        mark = f"~{item_id(path)[:8]}"
        stem = encoded[: room - len(mark)].decode(errors="ignore") + mark
    return str(PurePosixPath(path).parent / (stem + extension))


def _folded(path: str) -> str:
    return unicodedata.normalize("NFC", path).casefold()
