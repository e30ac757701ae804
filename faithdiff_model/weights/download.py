"""Where weights lie: local paths, fsspec URLs and hub ids, brought to a local path; and the digest that names them."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock

from faithdiff_model.redaction import redact_url

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

__all__ = ["WeightsError", "cache_folder", "files_digest", "resolve_file", "resolve_folder"]

_HUB_ID = re.compile(r"^[\w.-]+/[\w.-]+$")

logger = logging.getLogger(__name__)


class WeightsError(ValueError):
    """Weights are missing, incomplete or unsafe; the message names them and says what to do."""


def cache_folder() -> Path:
    """Where downloads and digests are kept: `FAITHARCHIVE_CACHE`, or `~/.cache/faitharchive`."""
    return Path(os.environ.get("FAITHARCHIVE_CACHE", "") or Path.home() / ".cache" / "faitharchive")


def resolve_folder(location: str, patterns: Sequence[str]) -> Path:
    """A model folder as a local path, downloaded if it is a URL or a hub id.

    Args:
        location: local folder, fsspec URL of a folder, or hub id (`owner/name`).
        patterns: which files of a hub repository are wanted.

    Raises:
        WeightsError: nothing there, or it could not be fetched.
    """
    path = Path(location).expanduser()
    if path.is_dir():
        return path
    if "://" in location:
        return _download(location, folder=True)
    if _HUB_ID.match(location):
        return _from_hub(location, patterns)
    raise WeightsError(
        f"weights {location}: no such folder; give a local folder, a URL, or a hub id such as owner/name"
    )


def resolve_file(location: str, names: Sequence[str]) -> Path:
    """A weights file as a local path.

    Args:
        location: local file, local folder holding one of `names`, fsspec URL of a file, or hub id.
        names: file names to look for in a folder or hub repository, best first.

    Raises:
        WeightsError: nothing there, or it could not be fetched.
    """
    path = Path(location).expanduser()
    if path.is_file():
        return path
    if "://" in location:
        return _download(location, folder=False)
    folder = resolve_folder(location, names)
    for name in names:
        if (folder / name).is_file():
            return folder / name
    raise WeightsError(f"weights {location}: holds none of {', '.join(names)}; name the file itself")


def _from_hub(repo: str, patterns: Sequence[str]) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(repo, allow_patterns=list(patterns)))
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        raise WeightsError(
            f"weights {repo}: neither a local folder nor to be had from the hub ({type(error).__name__}); download it on a "
            "connected machine and give the folder"
        ) from error


def _download(url: str, *, folder: bool) -> Path:
    """Copy a URL into the node's cache, once for each state of the remote files: of the processes of a node that want it at the
    same time, one fetches and the others wait."""
    import fsspec

    try:
        store, root = fsspec.core.url_to_fs(url)
        files = sorted(store.find(root)) if folder else [root]
        if not files:
            raise WeightsError(f"weights {redact_url(url)}: nothing there; check the URL")
        states = [(name, store.info(name).get("size"), str(_version(store.info(name)))) for name in files]
        target = cache_folder() / "weights" / hashlib.sha256(json.dumps([url, states]).encode()).hexdigest()[:24]
        with _exclusive(target):
            for name, size, _ in states:
                local = target / (Path(name).name if not folder else os.path.relpath(name, root))
                if not local.exists():
                    _fetch(store, name, size, local)
        return target if folder else target / Path(files[0]).name
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
def _exclusive(place: Path) -> Iterator[None]:
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


def files_digest(config_digest: str, files: Iterable[tuple[str, Path]]) -> str:
    """SHA-256 over a configuration and weights files.

    File digests are remembered by path, size and modification time, since hashing SDXL takes most of a minute.

    Args:
        config_digest: what the weights are loaded into.
        files: (name within the model, local path).
    """
    total = hashlib.sha256(config_digest.encode())
    named = sorted(files)
    if not named:
        return total.hexdigest()
    store = cache_folder() / "digests.json"
    with _exclusive(store):  # so that of a node's replicas, which start together, one hashes for all
        memory = _DigestMemory(store)
        for name, path in named:
            total.update(f"{name}\0{memory.digest(path)}\n".encode())
        memory.save()
    return total.hexdigest()


class _DigestMemory:
    """SHA-256 of files, remembered between runs."""

    def __init__(self, store: Path) -> None:
        self._store = store
        try:
            self._known: dict[str, str] = json.loads(store.read_text())
        except (OSError, ValueError):
            self._known = {}
        self._changed = False

    def digest(self, path: Path) -> str:
        real = path.resolve()
        stat = real.stat()
        key = f"{real}|{stat.st_size}|{stat.st_mtime_ns}"
        if key not in self._known:
            started = time.monotonic()
            with real.open("rb") as file:
                self._known[key] = hashlib.file_digest(file, "sha256").hexdigest()
            logger.info("hashed %s, %d bytes, in %.1f s", real.name, stat.st_size, time.monotonic() - started)
            self._changed = True
        return self._known[key]

    def save(self) -> None:
        if not self._changed:
            return
        try:
            self._store.parent.mkdir(parents=True, exist_ok=True)
            partial = self._store.with_name(f"{self._store.name}.{os.getpid()}.partial")
            partial.write_text(json.dumps(self._known, indent=0))
            partial.replace(self._store)
        except OSError:
            pass  # a memory that cannot be kept costs time only
