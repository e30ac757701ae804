"""Manifest rows as a file: CSV, JSON lines, Excel or Parquet, as its name says."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from pathlib import Path

from jobs.console.export import DECISION_COLUMNS, to_csv
from jobs.console.workbook import write_workbook
from pipelines.manifest.decision import Decision
from pipelines.rows import MANIFEST_SCHEMA, Row, columns_of

__all__ = ["write_rows"]

_SUFFIXES = (".csv", ".jsonl", ".ndjson", ".xlsx", ".parquet")
_INSTEAD = {".xls": ".xlsx", ".ods": ".xlsx", ".json": ".jsonl", ".tsv": ".csv", ".txt": ".csv", ".pq": ".parquet"}


def write_rows(rows: Sequence[Row], decided: Sequence[Decision | None], file: Path) -> None:
    """Write rows, and what was decided about each, in the format that a file's name ends in; without an ending CSV.

    Raises:
        ValueError: the ending is of another format, which would be a lie about the content.
        OSError: it cannot be written.
    """
    ending = file.suffix.lower()
    if ending and ending not in _SUFFIXES:
        instead = _INSTEAD.get(ending)
        hint = f"name it {file.with_suffix(instead).name}" if instead else f"choose one of {', '.join(_SUFFIXES)}"
        raise ValueError(f"{file}: {ending} is not written here; {hint}")
    if ending == ".parquet":
        _write_parquet(rows, decided, file)
    elif ending == ".xlsx":
        write_workbook(file, _cells(rows, decided))
    elif ending in (".jsonl", ".ndjson"):
        with file.open("w", encoding="utf-8", newline="") as lines:
            for values in _values(rows, decided):
                lines.write(json.dumps(values, ensure_ascii=False, default=datetime.isoformat) + "\n")
    else:
        file.write_text(to_csv([*rows], decided), encoding="utf-8", newline="")


def _values(rows: Sequence[Row], decided: Sequence[Decision | None]) -> Iterator[dict[str, object]]:
    """The columns of each row by name, in their order, those of its decision last."""
    for row, made in zip(rows, decided, strict=True):
        columns = columns_of(row)
        found = {name: columns[name] for name in MANIFEST_SCHEMA.names}
        yield found | {name: made and getattr(made, field) for name, field in DECISION_COLUMNS.items()}


def _write_parquet(rows: Sequence[Row], decided: Sequence[Decision | None], file: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = MANIFEST_SCHEMA
    for name in DECISION_COLUMNS:
        schema = schema.append(pa.field(name, pa.timestamp("us", tz="UTC") if name == "decided_at" else pa.string()))
    pq.write_table(pa.Table.from_pylist([*_values(rows, decided)], schema), file)


def _cells(rows: Sequence[Row], decided: Sequence[Decision | None]) -> Iterable[Iterable[object]]:
    """For a workbook, whose texts are never computed: nothing is put before them."""
    yield [*MANIFEST_SCHEMA.names, *DECISION_COLUMNS]
    for values in _values(rows, decided):
        yield [_cell(value) for value in values.values()]


def _cell(value: object) -> object:
    if isinstance(value, datetime):
        return value.isoformat()
    return "; ".join(value) if isinstance(value, list) else value
