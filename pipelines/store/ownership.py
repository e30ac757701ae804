"""Whether a store is one that results are written to: by its folder of records, and by what that says of its own place."""

from __future__ import annotations

import json

from faithdiff_model.redaction import redact_url
from pipelines.store.layout import CLAIM, PRIVATE
from pipelines.store.store import Store, StoreError

__all__ = ["check_holds_records", "claim_output", "holds_records", "is_claimed", "publish_new"]


def holds_records(store: Store) -> bool:
    """Whether there is anything in our own folder; one request. Raises StoreError where the store cannot be listed."""
    return any(True for _ in store.list(PRIVATE))


def check_holds_records(store: Store) -> None:
    """Refuse a store that is not there, or that no run has written to: a command that looks at results makes nothing in it.

    Raises:
        StoreError: there is no such folder, or no record of ours in it.
    """
    store.check_exists("output")
    if not holds_records(store):
        raise StoreError(
            f"output {redact_url(store.url)}: holds no {PRIVATE}/ folder, so no run has been here; check the path, or run "
            "faitharchive restore first"
        )


def publish_new(store: Store, path: str, data: bytes) -> bool:
    """Write a whole file where none lies; False, and nothing written, where one lies that holds other bytes. Raises OSError.

    Locally and on S3 one step both looks and writes. Elsewhere it is looked first.
    """
    if store.local or store.s3:
        return store.create(path, data)
    if store.exists(path):
        return store.read(path) == data
    store.publish(path, data)
    return True


def is_claimed(store: Store) -> bool:
    """Whether a run has found that this very store may be written to. A copy of its records says so of another place.

    Raises:
        StoreError: it cannot be read.
    """
    try:
        record = json.loads(store.read(CLAIM))
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return False
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise StoreError(
            f"output {redact_url(store.url)}: {CLAIM} cannot be read ({reason}); check access, then run again"
        ) from error
    return isinstance(record, dict) and record.get("output") == store.uri("")


def claim_output(store: Store) -> None:
    """Say of a store, in itself, that results are written to it. Raises OSError."""
    about = "FaithArchive writes results here. A copy of this folder at another place says nothing of that place."
    store.publish(CLAIM, (json.dumps({"about": about, "output": store.uri("")}, indent=1) + "\n").encode())
