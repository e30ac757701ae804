"""The sidecar beside each restored file: its manifest row as JSON. File and valid sidecar together mean done."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import platform
from datetime import datetime
from functools import lru_cache
from typing import Any

from pipelines.naming import SIDECAR_SUFFIX
from pipelines.rows import MANIFEST_SCHEMA, RESTORED, SCHEMA_VERSION, Row, new_row, to_table

_TIMES = ("started_at", "finished_at")
_ABOUT = "What was done to the source to make the file beside this one. Fields: FaithArchive manifest, version 1."


def sidecar_path(output_path: str) -> str:
    """Where the sidecar of a restored file is."""
    return output_path + SIDECAR_SUFFIX


def sidecar_bytes(row: Row) -> bytes:
    """A finished row as a sidecar, readable by people and stable in order."""
    record: dict[str, Any] = {"about": _ABOUT}
    for name in MANIFEST_SCHEMA.names:
        value = row[name]
        record[name] = value.isoformat() if isinstance(value, datetime) else value
    for name in ("settings", "software"):
        record[name] = json.loads(row[name])
    return (json.dumps(record, ensure_ascii=False, indent=1) + "\n").encode()


def read_sidecar(data: bytes) -> Row | None:
    """The row of a sidecar, or None if it is not a whole sidecar of a version that we know."""
    try:
        record = json.loads(data)
        if record["schema_version"] != SCHEMA_VERSION or record["status"] != RESTORED:
            return None
        row = new_row()
        for name in MANIFEST_SCHEMA.names:
            row[name] = record[name]
        for name in _TIMES:
            row[name] = datetime.fromisoformat(record[name])
        for name in ("settings", "software"):
            row[name] = json.dumps(record[name], sort_keys=True)
        to_table([row])  # a value of another type would stop the manifest that it is adopted into
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return None
    return row


def identity(source_sha256: str, settings_digest: str, model_digest: str, seed: int) -> str:
    """What determines a result (DESIGN.md, contract 3), as 64 hexadecimal digits."""
    return hashlib.sha256(f"{source_sha256}\n{settings_digest}\n{model_digest}\n{seed}".encode()).hexdigest()


@lru_cache(maxsize=1)
def software_versions() -> str:
    """JSON of what a result may depend on."""
    names = ("faitharchive", "torch", "diffusers", "transformers", "pillow", "opencv-python-headless", "numpy", "ray")
    versions = {"python": platform.python_version(), "platform": platform.machine()}
    for name in names:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            versions[name] = "not installed"
    return json.dumps(versions, sort_keys=True)
