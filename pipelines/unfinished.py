"""What writers that died leave behind: temporary files, and on S3 uploads that were never completed."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import Any

from pipelines.listing import Entry, local_entries, other_entries
from pipelines.storage import PARTIAL, Store


def clear_unfinished(store: Store, older_than_seconds: float) -> int:
    """Delete it, everywhere below the store's root and nowhere else.

    Args:
        store: an output store.
        older_than_seconds: younger ones may belong to a writer at work, and stay.

    Returns:
        How many there were.
    """
    before = time.time() - older_than_seconds
    if store.s3:
        return _abort_uploads(store, datetime.fromtimestamp(before, UTC))
    if store.whole_puts:
        return 0
    count = 0
    with suppress(FileNotFoundError):
        for entry in _everything(store):
            if PurePosixPath(entry.path).name.startswith(PARTIAL) and _changed(entry) <= before:
                store.remove_partial(entry.path)
                count += 1
    return count


def _everything(store: Store) -> Iterator[Entry]:
    """All files, also those that `Store.list` keeps to itself."""
    if store.local:
        return local_entries(store.root, store.root, lambda path, error: None)
    return other_entries(store.fs, store.root, store.root, store.retry_seconds)


def _abort_uploads(store: Store, before: datetime) -> int:
    bucket, _, prefix = store.root.partition("/")
    count = 0
    more: dict[str, Any] = {}
    while True:
        page: dict[str, Any] = store.fs.call_s3(
            "list_multipart_uploads", Bucket=bucket, Prefix=prefix and f"{prefix}/", **more
        )
        for upload in page.get("Uploads", ()):
            if upload["Initiated"] <= before:
                store.fs.call_s3(
                    "abort_multipart_upload", Bucket=bucket, Key=upload["Key"], UploadId=upload["UploadId"]
                )
                count += 1
        if not page.get("IsTruncated"):
            return count
        more = {"KeyMarker": page["NextKeyMarker"], "UploadIdMarker": page["NextUploadIdMarker"]}


def _changed(entry: Entry) -> float:
    """When a file was changed, in seconds since 1970; long ago where the store does not say it as a number."""
    try:
        return float(entry.version)
    except ValueError:
        return 0.0
