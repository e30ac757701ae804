"""Where a restored file goes: the source's relative path and stem, a new extension, no two sources on one name."""

from __future__ import annotations

import hashlib
import unicodedata
from collections import Counter
from collections.abc import Collection, Container, Iterable, Iterator, Mapping

from pipelines.media.kinds import is_sequence, kind_of, plain_stem
from pipelines.setting_types import Formats
from pipelines.store.layout import BESIDE, DAMAGE_SUFFIX, FRAME_LIST, FRAMES_SUFFIX, PAGE_LIST, TRUST_SUFFIX

__all__ = [
    "EXTENSIONS", "assign_outputs", "folded", "folders_of", "frames_folder", "is_mask_name", "item_id", "occupied_by",
    "output_extension", "output_format", "plain_output", "possible_outputs", "refusal", "suffix_of", "visible",
]  # fmt: skip

_MAX_PART_BYTES = 255  # of one component of a path, on every common file system
EXTENSIONS = {
    "png": ".png", "tiff": ".tif", "jpeg": ".jpg", "webp": ".webp", "jp2": ".jp2",
    "ffv1": ".mkv", "prores": ".mov", "h264": ".mp4",
    "sequence": FRAME_LIST,
}  # fmt: skip
_TIFF_SUFFIXES = {".tif", ".tiff"}


def output_format(path: str, formats: Formats) -> str:
    """The result's format.

    Args:
        path: of the source.
        formats: that are wanted. `auto` is TIFF for TIFF names and PNG for other photographs, a sequence for sequences and FFV1
            for other films.
    """
    if kind_of(path) != "film":
        if formats.photo != "auto":
            return formats.photo
        return "tiff" if suffix_of(path).lower() in _TIFF_SUFFIXES else "png"
    if formats.film == "auto":
        return "sequence" if is_sequence(path) else "ffv1"
    return formats.film


def frames_folder(output_path: str) -> str:
    """Where the frames of a restored sequence lie, beside the list of them that `output_path` is."""
    return output_path.removesuffix(FRAME_LIST) + FRAMES_SUFFIX


def is_mask_name(output_path: str) -> bool:
    """Whether a result of this name could be taken for the mask of another one's damage, its map of trust or the list of its
    pages, and so is not given to any."""
    return folded(output_path).endswith((DAMAGE_SUFFIX, TRUST_SUFFIX, PAGE_LIST))


def output_extension(path: str, formats: Formats) -> str:
    """The result's extension, with its dot."""
    return EXTENSIONS[output_format(path, formats)]


def item_id(path: str) -> str:
    """Names a source by its path: 24 hexadecimal digits."""
    return hashlib.sha256(_name_bytes(path)).hexdigest()[:24]


def suffix_of(path: str) -> str:
    """The extension of the last component with its dot, or nothing; a name that begins with its only dot has none."""
    name = path.rpartition("/")[2]
    dot = name.rfind(".")
    return name[dot:] if 0 < dot < len(name) - 1 else ""


def folded(path: str) -> str:
    """What paths have in common that some file system takes for one."""
    return path.lower() if path.isascii() else unicodedata.normalize("NFC", path).casefold()


def visible(path: str) -> str:
    r"""A name as it can be recorded and shown: bytes that are not UTF-8 as `\xNN`, and NUL likewise."""
    return _name_bytes(path).decode("utf-8", "backslashreplace").replace("\0", "\\x00")


def refusal(path: str, room: int) -> str | None:
    """Why a source of this name cannot be restored, and what to do; None for a usable name.

    The rules are the same for all stores, so that an archive can move from one kind to another.

    Args:
        path: below the source root, as the store gives it.
        room: bytes that the output store has for a path below its root.
    """
    try:
        length = len(path) if path.isascii() else len(path.encode())
    except UnicodeEncodeError:
        return "its name is not valid UTF-8; rename it"
    parts = path.split("/")
    if any(part in ("", ".", "..") for part in parts):
        return "a part of its name is empty, '.' or '..', which no file can be called; rename it"
    if "\0" in path:
        return "its name holds the character NUL; rename it"
    if length > _MAX_PART_BYTES and any(len(part.encode()) > _MAX_PART_BYTES for part in parts[:-1]):
        return f"the name of a folder that it is in is longer than {_MAX_PART_BYTES} bytes; shorten it"
    if length > room:
        return f"its path of {length} bytes is longer than the {room} that the output has room for; shorten it"
    return None


def plain_output(path: str, formats: Formats) -> str:
    """The output that a source gets where nothing stands in the way: `folder/stem.ext`."""
    return _named(path, path.rpartition("/")[0], _stem(path), formats)


def folders_of(path: str) -> Iterator[str]:
    """The folders that a path is in, the nearest first, without the root."""
    while path := path.rpartition("/")[0]:
        yield path


def possible_outputs(path: str, formats: Formats, files: Container[str]) -> tuple[str, str, str]:
    """What a source may be given, the first that is free.

    Args:
        path: of the source.
        formats: see `output_format`.
        files: folded names that are files of the output store, and so cannot be folders of it.
    """
    folder, _, name = path.rpartition("/")
    stems = (_stem(path), name, f"{name}~{item_id(path)[:8]}")
    folder = _free_folder(folder, files)
    first, second, third = (_named(path, folder, stem, formats) for stem in stems)
    return first, second, third


def occupied_by(folders: Iterable[str]) -> set[str]:
    """Folded names of files that folders (folded, too) stand in the way of: a file with what lies beside it needs several."""
    keys = set(folders)
    return keys | {key.removesuffix(suffix) for key in keys for suffix in BESIDE}


def assign_outputs(
    paths: Iterable[str],
    formats: Formats,
    owned: Mapping[str, str],
    *,
    held: Mapping[str, str] | None = None,
    folders: Collection[str] = (),
) -> dict[str, str]:
    """Give every source an output path.

    A source keeps the output that it already has. Otherwise it gets `folder/stem.ext` if no other source could want that and
    it is no folder of another's (names differing in letter case only count as equal: not every file system tells them
    apart), else `folder/name.with.its.extension.ext`. A folder whose name is a result's already gets a mark. What a source
    gets does not depend on the order of `paths`.

    Args:
        paths: source paths below the root.
        formats: see `output_format`.
        owned: output path by source path, from earlier runs.
        held: other results that are there: source path by folded output path.
        folders: folded names of further folders that outputs lie in.

    Returns:
        Output path by source path.
    """
    paths = sorted(paths)
    owners = {**(held or {}), **{folded(output): path for path, output in owned.items()}}
    files = owners.keys() | {key + suffix for key in owners for suffix in BESIDE}
    assigned = {path: owned[path] for path in paths if _reusable(path, owned, owners, formats)}
    possible = {path: possible_outputs(path, formats, files) for path in paths}
    wanted = Counter(folded(names[0]) for names in possible.values())
    # A name cannot be both a file and a folder of the output store.
    taken = occupied_by(folders) | occupied_by({folded(folder) for path in paths for folder in folders_of(path)})
    for path in paths:
        if path in assigned:
            continue

        def is_free(output: str, path: str = path) -> bool:
            return folded(output) not in taken and owners.get(folded(output), path) == path

        first, second, third = possible[path]
        output = first if wanted[folded(first)] == 1 and is_free(first) else second if is_free(second) else third
        taken.add(folded(output))
        assigned[path] = output
    return assigned


def _reusable(path: str, owned: Mapping[str, str], owners: Mapping[str, str], formats: Formats) -> bool:
    return (
        path in owned
        and not is_mask_name(owned[path])
        and suffix_of(owned[path]) == output_extension(path, formats)
        and owners[folded(owned[path])] == path
    )


def _free_folder(folder: str, files: Container[str]) -> str:
    """The folder, with a mark on each component whose name is a file's already."""
    if not any(folded(part) in files for part in (folder, *folders_of(folder)) if part):
        return folder
    names = []
    for part in [*reversed([*folders_of(folder)]), folder]:
        name = part.rpartition("/")[2]
        names.append(_shortened(name, "~" + item_id(part)[:8], _MAX_PART_BYTES) if folded(part) in files else name)
    return "/".join(names)


def _stem(path: str) -> str:
    name = path.rpartition("/")[2]
    return plain_stem(name) if is_sequence(path) else name.removesuffix(suffix_of(path))


def _named(path: str, folder: str, stem: str, formats: Formats) -> str:
    extension = output_extension(path, formats)
    room = _MAX_PART_BYTES - max(map(len, BESIDE)) - len(extension)
    if is_mask_name(stem + extension):
        stem = _shortened(stem, f"~{item_id(path)[:8]}", room)
    if len(stem) * 4 > room and len(_name_bytes(stem)) > room:
        stem = _shortened(stem, f"~{item_id(path)[:8]}", room)
    return f"{folder}/{stem}{extension}" if folder else stem + extension


def _shortened(name: str, mark: str, room: int) -> str:
    """A name and a mark within some bytes; what is not UTF-8 fails alone, later."""
    encoded = _name_bytes(name)
    return (
        encoded[: room - len(mark)].decode(errors="ignore") + mark if len(encoded) + len(mark) > room else name + mark
    )


def _name_bytes(path: str) -> bytes:
    try:
        return path.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # half a pair of surrogates, which only a store without bytes can hold
        return path.encode("utf-8", "surrogatepass")
