"""Where weights lie: local paths, fsspec URLs and hub ids, brought to a local path."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock

from faithdiff_model.redaction import redact_url
from faithdiff_model.weights.errors import WeightsError
from faithdiff_model.weights.hub import fetch, parse_hub
from faithdiff_model.weights.selection import Pick, pick_first

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

__all__ = ["WeightsError", "cache_folder", "exclusive", "resolve_file", "resolve_folder"]

FILE_SUFFIXES = (".safetensors", ".bin", ".pt", ".pth", ".ckpt")

logger = logging.getLogger(__name__)


def cache_folder() -> Path:
    """Where downloads and digests are kept: `FAITHARCHIVE_CACHE`, or `~/.cache/faitharchive`."""
    return Path(os.environ.get("FAITHARCHIVE_CACHE", "") or Path.home() / ".cache" / "faitharchive")


def resolve_folder(location: str, pick: Pick) -> Path:
    """A model folder as a local path; of a URL or a hub repository the files that are read are downloaded.

    Args:
        location: local folder, fsspec URL of a folder, or hub id (`owner/name`, `owner/name@revision`,
            `owner/name@revision/folder`).
        pick: which of its files are read.

    Raises:
        WeightsError: nothing there, or it could not be fetched.
    """
    path = Path(location).expanduser()
    if path.is_dir():
        return path
    hub = parse_hub(location)
    if hub is not None:
        return fetch(hub, pick)
    if "://" in location:
        return _download(location, pick)
    raise WeightsError(
        f"weights {location}: no such folder; give a local folder, a URL, or a hub id such as owner/name@revision"
    )


def resolve_file(location: str, names: Sequence[str]) -> Path:
    """A weights file as a local path.

    Args:
        location: local file, local folder holding one of `names`, fsspec URL of a file, or hub id, with
            `@revision/path` of a file or folder where `names` are not to be looked for in the repository itself.
        names: file names to look for in a folder or hub repository, best first.

    Raises:
        WeightsError: nothing there, or it could not be fetched.
    """
    path = Path(location).expanduser()
    if path.is_file():
        return path
    hub = parse_hub(location)
    if hub is not None and Path(hub.path).suffix in FILE_SUFFIXES:
        folder, _, name = hub.path.rpartition("/")
        return fetch(replace(hub, path=folder), pick_first([name])) / name
    if hub is None and "://" in location:
        return _download(location, None)
    found = resolve_folder(location, pick_first(names))
    for name in names:
        if (found / name).is_file():
            return found / name
    raise WeightsError(f"weights {location}: holds none of {', '.join(names)}; name the file itself")


def _download(url: str, pick: Pick | None) -> Path:
    """Copy a URL into the node's cache, once for each state of the remote files: of the processes of a node that want it at the
    same time, one fetches and the others wait. Without `pick` it is a file."""
    import fsspec

    try:
        store, root = fsspec.core.url_to_fs(url)
        files = (
            {os.path.relpath(name, root): name for name in sorted(store.find(root))}
            if pick
            else {Path(root).name: root}
        )
        wanted = pick(list(files)).files if pick else list(files)
        if not wanted:
            raise WeightsError(f"weights {redact_url(url)}: nothing there that is read; check the URL")
        states = [(files[name], store.info(files[name])) for name in wanted]
        known = [(name, info.get("size"), str(_version(info))) for name, info in states]
        target = cache_folder() / "weights" / hashlib.sha256(json.dumps([url, known]).encode()).hexdigest()[:24]
        with exclusive(target):
            for local, (name, size, _) in zip(wanted, known, strict=True):
                if not (target / local).exists():
                    _fetch(store, name, size, target / local)
        return target if pick else target / wanted[0]
    except (OSError, ImportError, ValueError) as error:
        if isinstance(error, WeightsError):
            raise
        raise WeightsError(
            f"weights {redact_url(url)}: could not be fetched ({type(error).__name__}); check the URL and credentials"
        ) from error


def _fetch(store: AbstractFileSystem, name: str, size: int | None, local: Path) -> None:
    """A file appears whole or not at all. Raises OSError: it came short."""
    local.parent.mkdir(parents=True, exist_ok=True)
    partial = local.with_name(f"{local.name}.{os.getpid()}.partial")
    started = time.monotonic()
    try:
        try:
            store.get_file(name, str(partial))
        except Exception as error:  # clients of stores raise what they like, as aiohttp does for a broken connection
            raise OSError(str(error) or type(error).__name__) from error
        came = partial.stat().st_size
        if size is not None and came != size:
            raise OSError(f"{came} of {size} bytes came")
        partial.replace(local)
    finally:
        partial.unlink(missing_ok=True)
    logger.info("fetched %s, %d bytes, in %.1f s", redact_url(local.name), came, time.monotonic() - started)


@contextmanager
def exclusive(place: Path) -> Iterator[None]:
    """Of all processes of this node, one at a time. The lock goes with the process that holds it, however it ends."""
    lock = place.with_name(f"{place.name}.lock")
    try:
        lock.parent.mkdir(parents=True, exist_ok=True)
        own = FileLock(lock)
        own.acquire()
    except OSError:  # a cache that cannot be written to has nothing to guard; what needs it says so
        yield
        return
    try:
        yield
    finally:
        own.release()


def _version(info: dict[str, object]) -> object:
    return info.get("ETag") or info.get("etag") or info.get("mtime") or info.get("LastModified") or ""
