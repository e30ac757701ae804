"""What writers that died leave behind: temporary files, and on S3 uploads that were never completed."""

from __future__ import annotations

import errno
import logging
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import PurePosixPath
from typing import TypedDict

from faithdiff_model.redaction import redact
from pipelines.store.layout import PARTIAL
from pipelines.store.listing import Entry, local_entries, other_entries
from pipelines.store.retries import retry_transient
from pipelines.store.store import Store

__all__ = ["clear_unfinished"]

logger = logging.getLogger(__name__)


class _Upload(TypedDict):
    Key: str
    UploadId: str
    Initiated: datetime


class _UploadsPage(TypedDict, total=False):
    """What S3 answers to ListMultipartUploads."""

    Uploads: list[_Upload]
    IsTruncated: bool
    NextKeyMarker: str
    NextUploadIdMarker: str


def clear_unfinished(store: Store, older_than_seconds: float) -> int:
    """Delete it, everywhere below the store's root and nowhere else.

    Args:
        store: an output store.
        older_than_seconds: younger ones may belong to a writer at work, and stay.

    Returns:
        How many there were.

    Raises:
        OSError: the store kept failing.
    """
    before = time.time() - older_than_seconds
    if store.s3:
        return _abort_uploads(store, datetime.fromtimestamp(before, UTC))
    if store.whole_puts:
        return 0
    count = 0
    with suppress(FileNotFoundError):
        for entry in _everything(store):
            if PurePosixPath(entry.path).name.startswith(PARTIAL) and _change_time(entry) <= before:
                store.remove_partial(entry.path)
                count += 1
    return count


def _everything(store: Store) -> Iterator[Entry]:
    """All files, also those that `Store.list` keeps to itself."""

    def refused(path: str, error: OSError) -> None:
        pass  # what may not be listed we did not write

    if store.local:
        return local_entries(store.root, store.root, refused, store.retry_seconds)
    return other_entries(store.fs, store.root, store.root, refused, store.retry_seconds)


def _abort_uploads(store: Store, before: datetime) -> int:
    bucket, _, prefix = store.root.partition("/")
    count = 0
    more: dict[str, str] = {}

    def call(method: str, **named: str) -> _UploadsPage:
        ask = partial(store.fs.call_s3, method, Bucket=bucket, **named)
        answer: _UploadsPage = retry_transient(ask, f"clearing uploads to {store.url}", store.retry_seconds)
        return answer

    while True:
        try:
            page = call("list_multipart_uploads", Prefix=prefix and f"{prefix}/", **more)
        except OSError as error:
            if not isinstance(error, PermissionError | FileNotFoundError) and error.errno != errno.ENOSYS:
                raise
            # No reader ever sees an upload: a run that may not clear them can still do its work.
            logger.warning("unfinished uploads to %s cannot be cleared: %s", store.url, redact(str(error)))
            return count
        for upload in page.get("Uploads", ()):
            if upload["Initiated"] <= before:
                with suppress(FileNotFoundError):  # gone meanwhile
                    call("abort_multipart_upload", Key=upload["Key"], UploadId=upload["UploadId"])
                    count += 1
        if not page.get("IsTruncated"):
            return count
        more = {"KeyMarker": page["NextKeyMarker"], "UploadIdMarker": page["NextUploadIdMarker"]}


def _change_time(entry: Entry) -> float:
    """When a file was changed, in seconds since 1970; long ago where the store does not say."""
    with suppress(ValueError):
        return float(entry.version)
    with suppress(ValueError):
        moment = datetime.fromisoformat(entry.version)  # as sftp and hdfs say it
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    return 0.0
