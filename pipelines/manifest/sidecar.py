"""The sidecar beside each restored file: its manifest row as JSON, and the events that the row tells of.

File and valid sidecar together mean done. Reading takes the columns alone: events are worked out of them.
"""

from __future__ import annotations

import json
import re
from datetime import datetime
from typing import Any

from pipelines.manifest.events import events_of
from pipelines.manifest.sidecar_schema import SIDECAR_SCHEMA, SIDECAR_VERSION
from pipelines.rows import MANIFEST_SCHEMA, RESTORED, SCHEMA_VERSION, Row, columns_of, new_row, to_table

__all__ = ["ADDED", "NewerSidecarError", "SidecarError", "json_bytes", "parse_sidecar", "read_sidecar", "sidecar_bytes"]

_TIMES = ("started_at", "finished_at")
# Columns that sidecars of an earlier day do not have.
ADDED = (
    "model_revision", "film", "damage_share", "damage_marks", "damage_mask_sha256", "tone_curve", "seconds_damage",
    "disclosure", "extra_channels", "metadata", "pages", "page_facts",
    "lost_rows",
    "consistency_ssim", "consistency_colour", "consistency_worst_db", "needs_review",
    "trust", "trust_source", "trust_map_sha256", "seconds_trust", "sensitive",
)  # fmt: skip
_JSON_OR_NONE = ("model_revision", "film", "metadata", "tone_curve", "page_facts", "sensitive")
# Controls beyond those that JSON escapes by itself, line separators, and marks that change the direction of writing.
_MISLEADING = re.compile("[\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
# What no restored file can be without.
_REQUIRED = ("run_id", "item_id", "source_path", "source_sha256", "output_path", "output_sha256", "identity")
_ABOUT = "What was done to the source to make the file beside this one. Fields: FaithArchive manifest, version 1."


def sidecar_bytes(row: Row) -> bytes:
    """A finished row as a sidecar, readable by people and stable in order; `sidecar_schema` describes it."""
    record: dict[str, object] = {"about": _ABOUT, "schema": {"name": SIDECAR_SCHEMA, "version": SIDECAR_VERSION}}
    columns = columns_of(row)
    for name in MANIFEST_SCHEMA.names:
        value = columns[name]
        record[name] = value.isoformat() if isinstance(value, datetime) else value
    for name in ("settings", "software"):
        record[name] = json.loads(str(columns[name]))
    for name in _JSON_OR_NONE:
        if columns[name]:
            record[name] = json.loads(str(columns[name]))
    record["events"] = events_of(row)
    return json_bytes(record)


def json_bytes(record: object) -> bytes:
    """A record as JSON for people and programs: any script as it is, but nothing that moves a cursor or turns text around.

    Such characters stand as `\\uXXXX`: the value is the same, and `cat` shows what is there.
    """
    text = json.dumps(record, ensure_ascii=False, indent=1)
    return (_MISLEADING.sub(lambda found: f"\\u{ord(found[0]):04x}", text) + "\n").encode()


class SidecarError(ValueError):
    """The bytes are no sidecar that we can use; the message is the reason, without the file's name."""


class NewerSidecarError(SidecarError):
    """A sidecar of a later version of these columns: not damaged, only not ours to judge."""


def read_sidecar(data: bytes) -> Row | None:
    """The row of a sidecar, or None if it is not a whole sidecar of a version that we know."""
    try:
        return parse_sidecar(data)
    except SidecarError:
        return None


def parse_sidecar(data: bytes) -> Row:
    """The row of a sidecar.

    Raises:
        SidecarError: it is not a whole sidecar of a version that we know; says why.
    """
    try:
        record = json.loads(data)
        version, status = record["schema_version"], record["status"]
    except RecursionError as error:
        raise SidecarError("it is nested too deeply to be a sidecar") from error
    except (KeyError, TypeError) as error:
        raise SidecarError("it is JSON, but no sidecar") from error
    except ValueError as error:
        raise SidecarError(f"it is not whole JSON of {len(data)} bytes" if data else "it is empty") from error
    if type(version) is int and version > SCHEMA_VERSION:
        raise NewerSidecarError(
            f"it is of version {version}, which this FaithArchive does not know; update FaithArchive"
        )
    if version != SCHEMA_VERSION or status != RESTORED:
        raise SidecarError("it is JSON, but no sidecar of a restored file")
    try:
        return _row(record)
    except SidecarError:
        raise
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
        what = f"its field {error} is missing" if isinstance(error, KeyError) else "a field holds another type of value"
        raise SidecarError(what) from error


def _row(record: dict[str, Any]) -> Row:
    row = new_row()
    columns = columns_of(row)
    for name in MANIFEST_SCHEMA.names:
        columns[name] = record.get(name) if name in ADDED else record[name]
    for name in _REQUIRED:
        if not record[name]:
            raise SidecarError(f"its field {name!r} is empty")
    for name in _TIMES:
        columns[name] = datetime.fromisoformat(record[name])
    for name in ("settings", "software"):
        columns[name] = json.dumps(record[name], sort_keys=True)
    for name in _JSON_OR_NONE:
        if columns[name] is not None:
            columns[name] = json.dumps(columns[name], sort_keys=True)
    to_table([row])  # a value of another type would stop the manifest that it is adopted into
    return row
