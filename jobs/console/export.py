"""Manifest rows chosen by status and written as CSV."""

from __future__ import annotations

import csv
import difflib
import fnmatch
import io
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import get_args

from rich.markup import escape

from faithdiff_model.redaction import redact_url
from jobs.console.messages import warn
from jobs.console.terminal import printable
from pipelines.errors import ERROR_CODES
from pipelines.manifest.current import newest_rows
from pipelines.manifest.decision import Decision, Standing, standing
from pipelines.manifest.decisions import DecisionLog
from pipelines.manifest.reader import read_rows
from pipelines.manifest.spreadsheet import spreadsheet_text
from pipelines.rows import FAILED, MANIFEST_COLUMNS, QUARANTINED, RESTORED, Row, columns_of
from pipelines.store.store import StoreError
from pipelines.store.stores import open_store

__all__ = ["DECISION_COLUMNS", "decisions_of", "select", "to_csv"]

# Columns behind the manifest's: what was decided about the result in a review.
DECISION_COLUMNS = {
    "decision": "decision",
    "decision_settings": "settings",
    "decision_note": "note",
    "decision_reviewer": "reviewer",
    "decided_at": "decided_at",
}


def select(
    output: str,
    *,
    status: str = "",
    code: str = "",
    path: str = "",
    run: str = "",
    decision: str = "",
    every: bool = False,
) -> list[Row]:
    """Rows that match all filters that are not empty, by source path: of each item the newest, or `every` one.

    Args:
        output: URL of the store.
        status, code, run: a row's own.
        path: glob of source paths.
        decision: `accept`, `reject` or `redo`: what was decided about the row's result; `none`: nothing about a restored one.
        every: rows that are not current any more, too.

    Raises:
        StoreError: there is no manifest.
        ValueError: there is no such status, code or decision.
    """
    _check_word("--status", status, (RESTORED, FAILED, QUARANTINED))
    _check_word("--code", code, ERROR_CODES)
    if decision not in ("", *get_args(Standing)):
        raise ValueError(f"--decision {decision!r}: choose {', '.join(get_args(Standing))}")
    rows = read_rows(open_store(output)).to_pylist()
    if not rows:
        raise StoreError(f"output {redact_url(output)}: has no manifest yet; run faitharchive restore first")
    chosen = rows if every else list(newest_rows(rows).values())
    matching = [
        row
        for row in chosen
        if (not status or row["status"] == status)
        and (not code or row["error_code"] == code)
        and (not run or row["run_id"] == run)
        and (not path or fnmatch.fnmatchcase(row["source_path"], path))
    ]
    if path and not any(fnmatch.fnmatchcase(row["source_path"], path) for row in chosen):
        one = printable(chosen[0]["source_path"])
        warn("note:", escape(f"--path {path!r} matches none of {len(chosen)} sources; they are written like {one!r}"))
    if decision:
        decided = decisions_of(output, matching)
        matching = [row for row, made in zip(matching, decided, strict=True) if _stands(row, made) == decision]
    return sorted(matching, key=lambda row: (row["source_path"], row["run_id"]))


def _check_word(flag: str, word: str, known: Collection[str]) -> None:
    """Refuse a word that no row has, and name the one that was meant."""
    if word and word not in known:
        near = difflib.get_close_matches(word, known, n=1)
        hint = f"did you mean {near[0]}?" if near else f"choose one of {', '.join(known)}"
        raise ValueError(f"{flag} {word!r} is not known; {hint}")


def decisions_of(output: str, rows: Sequence[Row]) -> list[Decision | None]:
    """What was decided about each row's result, in their order. Raises StoreError."""
    current = DecisionLog(open_store(output)).current()
    found = (current.get(row["item_id"]) for row in rows)
    return [made if made and made.is_about(row) else None for row, made in zip(rows, found, strict=True)]


def _stands(row: Row, made: Decision | None) -> str:
    """As `select` has it: a row without a result that nobody decided about is no undecided result."""
    return "" if made is None and row["status"] != RESTORED else standing(made, row)


def to_csv(rows: list[Row], decisions: Sequence[Decision | None] | None = None, *, visible: bool = False) -> str:
    """CSV text; lists are joined by `; `, times are ISO 8601.

    Args:
        rows: whole manifest rows.
        decisions: of `decisions_of`, for the columns behind the manifest's.
        visible: for eyes and not for programs: control characters are made visible.
    """
    buffer = io.StringIO()
    names = [column.name for column in MANIFEST_COLUMNS]
    writer = csv.writer(buffer)  # lines end as in RFC 4180; so a lone carriage return in a name is quoted, too
    writer.writerow([*names, *DECISION_COLUMNS])
    for row, made in zip(rows, decisions or [None] * len(rows), strict=True):
        decided = [made and getattr(made, name) for name in DECISION_COLUMNS.values()]
        writer.writerow([_cell(value, visible) for value in (*(columns_of(row)[name] for name in names), *decided)])
    return buffer.getvalue()


def _cell(value: object, visible: bool) -> object:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, list):
        value = "; ".join(value)
    if isinstance(value, str):
        value = spreadsheet_text(value)
        if visible:
            value = printable(value)
    return value
