"""What a reviewer can read of one item: description, settings, where it comes from, and what its files say of themselves."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime

from pipelines.errors import ERROR_CODES, ItemError
from pipelines.item_settings import choosable_schema
from pipelines.manifest.decision import Decision
from pipelines.manifest.events import events_of
from pipelines.media.film.facts import JsonObject
from pipelines.media.photo.metadata.read import read_metadata
from pipelines.media.photo.metadata.words import in_words
from pipelines.media.photo.sniff import recognise
from pipelines.review.pictures import count_of
from pipelines.rows import MANIFEST_COLUMNS, RESTORED, Row, columns_of
from pipelines.settings import Settings
from pipelines.store.layout import COMPARISON_SUFFIX, PAGE_LIST
from pipelines.store.retries import what_failed
from pipelines.store.store import Store

__all__ = ["clip_path", "decision_values", "details", "metadata_lines"]

_JSON = ("settings", "software", "film", "metadata", "model_revision", "tone_curve", "page_facts")
_META_BYTES = 256 << 20  # of a file that is read for its metadata


def details(row: Row, decisions: list[Decision]) -> JsonObject:
    """An item, as JSON values.

    Args:
        row: its current row, all columns.
        decisions: of it, oldest first.
    """
    columns: JsonObject = {}
    for name, value in columns_of(row).items():
        columns[name] = value.isoformat() if isinstance(value, datetime) else value
        if name in _JSON and isinstance(value, str):
            columns[name] = _loaded(value)
    kind = "film" if row["media_kind"] == "film" else "photo"
    settings = columns["settings"] if isinstance(columns["settings"], dict) else {}
    return {
        "columns": columns,
        "meanings": {column.name: column.meaning for column in MANIFEST_COLUMNS},
        "error": ERROR_CODES.get(row["error_code"] or "", ""),
        "events": events_of(row) if row["status"] == RESTORED and row["finished_at"] else [],
        "count": count_of(row),
        "clip": clip_path(row) is not None,
        "settings_of_others": {name: str(field.description) for name, field in Settings.model_fields.items()},
        "redo": {"fields": choosable_schema(kind), "now": settings},
        "history": [decision_values(each, row) for each in decisions],
    }


def _loaded(text: str) -> object:
    try:
        return json.loads(text)
    except ValueError:
        return text


def decision_values(decision: Decision, row: Row | None) -> JsonObject:
    """A decision as JSON values; `about_this` says whether it is about the result that the row tells of."""
    return {
        "id": decision.decision_id,
        "decision": decision.decision,
        "note": decision.note,
        "reviewer": decision.reviewer,
        "decided_at": decision.decided_at.isoformat(),
        "settings": decision.choices,
        "undoes": decision.undoes,
        "about_this": row is None or decision.is_about(row),
    }


def clip_path(row: Row) -> str | None:
    """Where a film's clip of source and result side by side is; None where there is none."""
    film = _loaded(row["film"] or "{}")
    outputs = film.get("outputs", []) if isinstance(film, dict) else []
    return next((each["path"] for each in outputs if str(each.get("path", "")).endswith(COMPARISON_SUFFIX)), None)


def metadata_lines(row: Row, source: Callable[[Row], Store], output: Store) -> JsonObject:
    """What scan and result say beside their pixels: `{"scan": {name: text}, "result": {...}, "problems": [...]}`."""
    found: JsonObject = {"scan": {}, "result": {}, "problems": []}
    if row["media_kind"] == "film":
        return found
    places: list[tuple[str, Callable[[], Store], str]] = [("scan", lambda: source(row), row["source_path"])]
    if row["output_path"] and not row["output_path"].endswith(PAGE_LIST):
        places.append(("result", lambda: output, row["output_path"]))
    for side, store, path in places:
        try:
            found[side] = _words(store(), path)
        except ItemError as error:
            found["problems"].append(error.reason)
        except OSError as error:
            found["problems"].append(f"{path}: cannot be read ({what_failed(error)})")
    return found


def _words(store: Store, path: str) -> dict[str, str]:
    if store.info(path).size > _META_BYTES:
        raise ItemError("too_many_bytes", f"{path}: too large for its metadata to be shown here")
    data = store.read(path)
    return in_words(read_metadata(data, recognise(data)))
