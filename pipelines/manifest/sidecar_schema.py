"""The JSON schema of sidecars, made of the manifest's columns, so that neither can be without the other.

`faitharchive manifest schema` prints it, for whoever checks sidecars with other programs.
"""

from __future__ import annotations

import pyarrow as pa

from pipelines.manifest.events import EVENT_TYPES
from pipelines.rows import MANIFEST_COLUMNS, RESTORED, SCHEMA_VERSION, Column

__all__ = ["SIDECAR_SCHEMA", "SIDECAR_VERSION", "sidecar_schema"]

SIDECAR_SCHEMA = "FaithArchive sidecar"  # the name by which a sidecar says what it is
SIDECAR_VERSION = "1.1"  # 1.0 had neither `schema` nor `events`; a reader of 1.0 passes over both

# What a sidecar holds as JSON of its own, and the manifest as text.
_NESTED = {"settings": "object", "software": "object"}
_NESTED_OR_NONE = ("model_revision", "film", "metadata", "tone_curve", "page_facts")
_NEVER_EMPTY = ("run_id", "item_id", "source_path", "source_sha256", "output_path", "output_sha256", "identity")
_TIMES = ("started_at", "finished_at")


def sidecar_schema() -> dict[str, object]:
    """The schema of sidecars as they are written now, in JSON Schema 2020-12."""
    columns = {column.name: _property(column) for column in MANIFEST_COLUMNS}
    properties = {
        "about": {"type": "string"},
        "schema": {
            "description": "what this file is, and which version of it",
            "type": "object",
            "properties": {"name": {"const": SIDECAR_SCHEMA}, "version": {"const": SIDECAR_VERSION}},
            "required": ["name", "version"],
            "additionalProperties": False,
        },
        **columns,
        "events": {"description": "what was done, in order", "type": "array", "minItems": 2, "items": _event()},
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"{SIDECAR_SCHEMA}, version {SIDECAR_VERSION}",
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _property(column: Column) -> dict[str, object]:
    name, about = column.name, {"description": column.meaning}
    if name == "schema_version":
        return {**about, "const": SCHEMA_VERSION}
    if name == "status":
        return {**about, "const": RESTORED}
    if name in _NESTED:
        return {**about, "type": _NESTED[name]}
    if name in _NESTED_OR_NONE:
        return {**about, "type": ["object", "array", "null"]}
    if name in _TIMES:
        return {**about, "type": "string", "format": "date-time"}
    if name in _NEVER_EMPTY:
        return {**about, "type": "string", "minLength": 1}
    return {**about, **_type(column.type)}


def _type(kind: pa.DataType) -> dict[str, object]:
    if pa.types.is_list(kind):
        return {"type": ["array", "null"], "items": {"type": "string"}}
    if pa.types.is_timestamp(kind):
        return {"type": ["string", "null"], "format": "date-time"}
    if pa.types.is_boolean(kind):
        return {"type": ["boolean", "null"]}
    if pa.types.is_integer(kind):
        return {"type": ["integer", "null"]}
    return {"type": ["number", "null"]} if pa.types.is_floating(kind) else {"type": ["string", "null"]}


def _event() -> dict[str, object]:
    agent: dict[str, object] = {
        "name": {"type": "string"},
        "type": {"enum": ["software", "organization"]},
        "version": {"type": "string"},
    }
    link: dict[str, object] = {
        "role": {"description": "what the object was to the event", "enum": ["source", "outcome"]},
        "what": {"enum": ["source", "result", "damage mask"]},
        "path": {"description": "below the source root of a source, else below the output root", "type": "string"},
        "sha256": {"type": "string"},
    }
    return _closed(
        {
            "type": {"enum": list(EVENT_TYPES)},
            "time": {"description": "ISO 8601 moment, or an interval begin/end that it lies in", "type": "string"},
            "seconds": {"description": "how long it took, where it was measured", "type": ["number", "null"]},
            "agent": _closed(agent),
            "outcome": {"enum": ["success", "warning"]},
            "detail": {"type": "string"},
            "objects": {"type": "array", "minItems": 1, "items": _closed(link)},
        }
    )


def _closed(properties: dict[str, object]) -> dict[str, object]:
    """An object with these properties, all of them and no other."""
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}
