"""The stores of an archive, its sources and its results, and the one door by which a process opens each of them once."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Protocol

from faithdiff_model.redaction import redact_url
from pipelines.store.store import RETRY_SECONDS, Store, StoreError

__all__ = ["ArchiveSettings", "Stores", "check_disjoint", "open_store", "stores_of"]


class ArchiveSettings(Protocol):
    """What settings say of the stores: `source` and `output` are URLs, `retry_seconds` is how long each is tried again."""

    @property
    def source(self) -> str: ...
    @property
    def output(self) -> str: ...
    @property
    def retry_seconds(self) -> float: ...


@dataclass(frozen=True)
class Stores:
    """Both stores of an archive.

    Attributes:
        source: the photographs and films; nothing is ever written there.
        output: the results, the manifest and the records of runs.
    """

    source: Store
    output: Store


def open_store(url: str, retry_seconds: float = RETRY_SECONDS) -> Store:
    """This process's store at a URL. Arguments and errors as `Store`; whether it is there is not looked at."""
    relative = "://" not in url and not Path(url).is_absolute()
    return _open_once(url, retry_seconds, str(Path.cwd()) if relative else "")


@lru_cache(maxsize=32)
def _open_once(url: str, retry_seconds: float, folder: str) -> Store:
    """`folder`: where a relative path begins; another one makes it another store."""
    return Store(url, retry_seconds)


def stores_of(settings: ArchiveSettings) -> Stores:
    """This process's stores of an archive. They are not looked at: `plan.stores.open_stores` checks them.

    Raises:
        StoreError: either URL cannot be used.
    """
    return Stores(*(open_store(url, settings.retry_seconds) for url in (settings.source, settings.output)))


def check_disjoint(read: Store, written: Store, roles: tuple[str, str] = ("source", "output")) -> None:
    """Refuse a store for writing that could touch one that is only read.

    Args:
        read: whose files stay as they are.
        written: the other.
        roles: what both are, for the message.

    Raises:
        StoreError: one lies inside the other, or they are equal.
    """
    if type(read.fs) is not type(written.fs):
        return
    first, second = _real(read), _real(written)
    for inner, outer, text in (
        (second, first, f"lies inside the {roles[0]}"),
        (first, second, f"holds the {roles[0]}"),
    ):
        if inner == outer or outer in inner.parents:
            raise StoreError(
                f"{roles[1]} {redact_url(written.url)}: {text} {redact_url(read.url)}, and {roles[0]}s are never written to; "
                f"choose a separate {roles[1]}"
            )


def _real(store: Store) -> PurePosixPath:
    return PurePosixPath(os.path.realpath(store.root) if store.local else store.root)
