"""What the URL of a store names: a file system and a root on it. URLs that hold secrets are refused."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import fsspec

from faithdiff_model.redaction import redact_url
from pipelines.errors import first_line

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

__all__ = ["StoreError", "absolute_store", "open_file_system"]

_USER = re.compile(r"(\w+)://([^/]*)@")
_NO_HOST = {"file", "memory"}  # so no user: the @ is part of a name
_BUCKET_AT_HOST = {"abfs", "abfss", "adl", "az", "oci", "ocilake"}  # container@account
_PACKAGES = {
    **dict.fromkeys(("s3", "s3a"), "'faitharchive[s3]'"),
    **dict.fromkeys(("gs", "gcs"), "gcsfs"),
    **dict.fromkeys(("abfs", "abfss", "adl", "az"), "adlfs"),
    **dict.fromkeys(("sftp", "ssh"), "paramiko"),
    **dict.fromkeys(("http", "https"), "aiohttp requests"),
    "smb": "smbprotocol",
    "webdav": "webdav4",
}


class StoreError(ValueError):
    """A store cannot be used at all; the message names it and says what to do."""


def open_file_system(url: str) -> tuple[AbstractFileSystem, str]:
    """The file system of a local folder or fsspec URL, and the root on it, without a slash at its end.

    Raises:
        StoreError: the protocol is unknown or needs a package that is missing, or the URL holds credentials or a query.
    """
    user = _USER.search(url)
    if user and user[1] not in _NO_HOST and (":" in user[2] or user[1] not in _BUCKET_AT_HOST):
        raise StoreError(
            f"store {redact_url(url)}: its URL holds credentials, which would end up in logs; put them into fsspec's "
            "configuration or the environment"
        )
    if url.startswith(("http://", "https://")) and "?" in url:
        raise StoreError(f"store {redact_url(url)}: a URL with a query cannot hold files; give the folder's own URL")
    try:
        fs, root = fsspec.core.url_to_fs(absolute_store(url))
    except ImportError as error:
        protocol = url.partition("://")[0]
        package = _PACKAGES.get(protocol, f"the one that fsspec names for it ({first_line(error)})")
        raise StoreError(
            f"store {redact_url(url)}: the package for {protocol}:// is not installed; run: pip install {package}"
        ) from error
    except (ValueError, OSError, RuntimeError) as error:  # RuntimeError: ~ of an unknown user
        raise StoreError(
            f"store {redact_url(url)}: cannot be opened ({type(error).__name__}); check the URL"
        ) from error
    return fs, root.rstrip("/")


def absolute_store(url: str) -> str:
    """A store's local path, made absolute; a URL, and an empty one, as it is. Raises RuntimeError: ~ of an unknown user."""
    return url if not url or "://" in url or "::" in url else str(Path(url).expanduser().absolute())
