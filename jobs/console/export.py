"""Manifest rows chosen by status and written as CSV."""

from __future__ import annotations

import csv
import fnmatch
import io
from datetime import datetime

from faithdiff_model.redaction import redact_url
from jobs.console.terminal import printable
from pipelines.manifest.current import newest_rows
from pipelines.manifest.reader import read_rows
from pipelines.manifest.spreadsheet import spreadsheet_text
from pipelines.rows import MANIFEST_COLUMNS, Row, columns_of
from pipelines.store.store import StoreError
from pipelines.store.stores import open_store

__all__ = ["select", "to_csv"]


def select(
    output: str, *, status: str = "", code: str = "", path: str = "", run: str = "", every: bool = False
) -> list[Row]:
    """Rows that match all filters that are not empty, by source path: of each item the newest, or `every` one.

    Raises:
        StoreError: there is no manifest.
    """
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
    return sorted(matching, key=lambda row: (row["source_path"], row["run_id"]))


def to_csv(rows: list[Row], *, visible: bool = False) -> str:
    """CSV text; lists are joined by `; `, times are ISO 8601.

    Args:
        rows: whole manifest rows.
        visible: for eyes and not for programs: control characters are made visible.
    """
    buffer = io.StringIO()
    names = [column.name for column in MANIFEST_COLUMNS]
    writer = csv.writer(buffer)  # lines end as in RFC 4180; so a lone carriage return in a name is quoted, too
    writer.writerow(names)
    writer.writerows([_cell(columns_of(row)[name], visible) for name in names] for row in rows)
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
