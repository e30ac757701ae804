"""The files of review decisions: Parquet below `_faitharchive/reviews/`, one a batch, each written once and never changed.

Since people decide one by one, there can be thousands of them. So now and then one more is written that holds the rows of all
before it and their names: whoever opens the folder reads that one, and the batches that came after it. A row that is met twice
counts once, by its id; nothing is lost with such a summary, as the batches stay.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import TypedDict

import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.manifest.writer import parquet_bytes
from pipelines.store.layout import REVIEWS

__all__ = ["DECISION_SCHEMA", "SUMMARY", "DecisionRow", "batch_path", "encode", "parse", "summary_path"]

_TEXT = pa.string()
# Columns may be added; none is renamed.
DECISION_SCHEMA = pa.schema(
    [
        ("decision_id", _TEXT),  # names the decision; random
        ("item_id", _TEXT),  # of the manifest
        ("output_path", _TEXT),  # of the result that was looked at; empty where there was none
        ("output_sha256", _TEXT),  # likewise
        ("settings_digest", _TEXT),  # likewise: what it was made with
        ("decision", _TEXT),  # accept, reject, redo or undo
        ("settings", _TEXT),  # JSON of what was chosen for redo; empty otherwise
        ("undoes", _TEXT),  # id of the decision that an undo takes back; empty otherwise
        ("note", _TEXT),
        ("reviewer", _TEXT),
        ("decided_at", pa.timestamp("us", tz="UTC")),
    ]
)
SUMMARY = "all-"  # begins the names of files that hold the rows of many
_COVERS = b"faitharchive covers"


class DecisionRow(TypedDict):
    """A row of `DECISION_SCHEMA`."""

    decision_id: str
    item_id: str
    output_path: str
    output_sha256: str
    settings_digest: str
    decision: str
    settings: str
    undoes: str
    note: str
    reviewer: str
    decided_at: datetime


def batch_path(ids: Iterable[str], first: datetime) -> str:
    """Where a batch lies: by its time and by what it holds, so that writing it again is writing the same file.

    Args:
        ids: of its decisions.
        first: when the first of them was made.
    """
    return f"{REVIEWS}/{_moment(first)}-{_digest(ids)}.parquet"


def summary_path(names: Iterable[str], now: datetime) -> str:
    """Where the rows of files of these names lie together; later ones sort behind earlier ones."""
    return f"{REVIEWS}/{SUMMARY}{_moment(now)}-{_digest(names)}.parquet"


def encode(rows: Sequence[DecisionRow], covers: Sequence[str] = ()) -> bytes:
    """Rows as a Parquet file.

    Args:
        rows: the decisions.
        covers: names of the files that hold them one by one.
    """
    table = pa.Table.from_pylist(list(rows), schema=DECISION_SCHEMA)
    if covers:
        table = table.replace_schema_metadata({_COVERS: json.dumps(sorted(covers)).encode()})
    return parquet_bytes(table)


def parse(data: bytes) -> tuple[list[DecisionRow], list[str]]:
    """The rows of a file, and the names of the files that it stands for. Texts that are missing are empty.

    Raises:
        ArrowException, OSError or ValueError: the bytes are no such file.
    """
    file = pq.ParquetFile(io.BytesIO(data))
    present = file.schema_arrow.names
    missing = [name for name in ("decision_id", "item_id", "decision", "decided_at") if name not in present]
    if missing:
        raise ValueError(f"it has no column {missing[0]}")
    table = file.read(columns=[name for name in DECISION_SCHEMA.names if name in present])
    for name in DECISION_SCHEMA.names:
        if name not in table.column_names:
            table = table.append_column(name, pa.nulls(table.num_rows, DECISION_SCHEMA.field(name).type))
    table = table.select(DECISION_SCHEMA.names).cast(DECISION_SCHEMA)
    table.validate(full=True)
    rows: list[DecisionRow] = table.to_pylist()
    for row in rows:
        for name, value in row.items():
            if value is None and name != "decided_at":
                row[name] = ""  # type: ignore[literal-required]
    covers = json.loads((file.schema_arrow.metadata or {}).get(_COVERS, b"[]"))
    if not isinstance(covers, list):
        raise ValueError("what it stands for is no list of names")
    return rows, [str(name) for name in covers]


def _moment(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y%m%dT%H%M%S.%f}Z"


def _digest(texts: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(sorted(texts)).encode()).hexdigest()[:16]
