"""The temporary database of a plan: its tables, what each holds, and the ways to fill and to ask them.

Tables with a schema are filled from Python; the others are made of them by a query, in the module that is named first.

what lies in the output store
    inventory     files, sidecars, records; adopted, which `orphans` fills
    orphans       to_read (path): sidecars that are to be read next
    strangers     loose (path): files without a sidecar; strangers (key): names that no result takes because of them
what is to be restored
    discover      sources, folders
under which name
    strangers     strangers_met, avoid (item_id): items whose plain name a stranger has; those of them that get another
    output_names  known: records and adopted together; holders (key, item_id, path): whose each output name is;
                  own (item_id, ext, output): the outputs that items have; fresh (item_id, path, key): sources without one;
                  folder_keys (key), blocked_folders (path, key): folders that stand in the way of files, and the reverse;
                  members (path), newcomers (path), candidates, given: sources that could meet another, and what they get;
                  named: `sources`, each with its output
done, or why not
    verdicts      prior, claimed: the row of a source in `records`, and in `adopted`; prior_verdicts and claimed_verdicts
                  (path, attempt_now, verdict, touched): what they say; hashed, damaged, beside, former, to_hash (path),
                  wanted (path);
                  decided (path, reason, attempt): what follows for each source
    same_names    refused (path): items that are not given another base name than their source's
    strangers     recorded; to_look_up (path, file, position): where the manifest tells of results that lost their sidecar
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa

from pipelines.manifest import scratch
from pipelines.rows import MANIFEST_SCHEMA
from pipelines.store.layout import PAGE_LIST

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

__all__ = [
    "ADOPTED_RECORDS", "BESIDE", "CANDIDATES", "DAMAGED", "FILES", "FOLDERS", "FORMER", "GIVEN", "HASHED", "RECORDED",
    "RECORDS", "RECORD_COLUMNS", "SIDECARS", "SOURCES", "STRANGERS", "PlanDatabase", "Table", "planned_sql",
]  # fmt: skip

_TEXT, _INT = pa.string(), pa.int64()


@dataclass(frozen=True)
class Table:
    """A table that is filled from Python."""

    name: str
    schema: pa.Schema


# Everything in the output store but sidecars and our own folder; and sidecars, by the path of the file that each is beside.
FILES = Table("files", pa.schema([("path", _TEXT), ("size", _INT)]))
SIDECARS = Table("sidecars", pa.schema([("path", _TEXT)]))

STRANGERS = Table("strangers", pa.schema([("key", _TEXT)]))  # folded
# Digests by source path of results that the manifest knows and that have no sidecar now.
RECORDED = Table("recorded", pa.schema([("path", _TEXT), ("sha256", _TEXT)]))

# What a plan needs of a manifest row.
RECORD_COLUMNS = (
    "item_id", "source_path", "source_size", "source_version", "source_sha256", "output_path", "output_size", "status",
    "attempt", "settings_digest", "model_digest", "seed", "error_code", "error_reason", "run_id", "damage_marks",
    "model_revision", "pages", "finished_at",
)  # fmt: skip
_RECORD_SCHEMA = pa.schema(
    [
        *(MANIFEST_SCHEMA.field(name) for name in RECORD_COLUMNS[:-1]),
        pa.field("finished_at", _INT),  # a number: the database would want a time zone
        pa.field("output_key", _TEXT),  # the folded output path that was planned, if it can be one
        pa.field("output_ext", _TEXT),
        pa.field("file", pa.int32()),
        pa.field("position", _INT),
    ]
)
# Every row that any run wrote, with the file and position where the whole of it is; and rows of sidecars that were read, whose
# position is in `OrphanSidecars.rows`.
RECORDS = Table("records", _RECORD_SCHEMA)
ADOPTED_RECORDS = Table("adopted", _RECORD_SCHEMA)

# Items to consider; numbered frames are one item, named by their pattern.
SOURCES = Table(
    "sources",
    pa.schema(
        [
            ("item_id", _TEXT),
            ("path", _TEXT),
            ("kind", _TEXT),
            ("size", _INT),
            ("version", _TEXT),
            ("output", _TEXT),  # the plain one, until names are given
            ("key", _TEXT),  # the same, folded
            ("ext", _TEXT),
            ("caption", _TEXT),
            ("digest", _TEXT),  # of the settings, where they differ from the run's
            ("choices", _TEXT),  # JSON of settings that people chose for it
            ("model", _TEXT),  # digest of the model that these ask for; empty where there is no such model
            ("seed", _INT),  # likewise
        ]
    ),
)
FOLDERS = Table("folders", pa.schema([("path", _TEXT), ("key", _TEXT)]))  # that outputs would lie in; `key` is folded

GIVEN = Table("given", pa.schema([("path", _TEXT), ("output", _TEXT)]))
CANDIDATES = Table("candidates", pa.schema([("folder", _TEXT), ("path", _TEXT), ("key", _TEXT)]))

HASHED = Table("hashed", pa.schema([("path", _TEXT), ("sha256", _TEXT)]))  # empty where a source cannot be read
DAMAGED = Table("damaged", pa.schema([("item_id", _TEXT)]))
# What is wanted beside a film's result: what its path adds, and whether the result is a sequence's.
BESIDE = Table("beside", pa.schema([("suffix", _TEXT), ("sequence", pa.bool_())]))
# Digests of settings that stood for the same restoration of films, and the digest that does now.
FORMER = Table("former", pa.schema([("digest", _TEXT), ("now", _TEXT)]))


def planned_sql(column: str) -> str:
    """An output path as it was planned, in SQL: what `layout.planned_output` says."""
    shorter = f"left({column}, length({column}) - {len(PAGE_LIST)})"
    return f"case when ends_with({column}, '{PAGE_LIST}') then {shorter} else {column} end"


class PlanDatabase:
    """The database that the tables lie in.

    Args:
        connection: to an empty temporary database.
    """

    def __init__(self, connection: DuckDBPyConnection) -> None:
        self._connection = connection

    def create(self, *tables: Table) -> None:
        """Make tables, empty."""
        for table in tables:
            scratch.create_table(self._connection, table.name, table.schema)

    def batch_insert(self, table: Table) -> scratch.BatchInsert:
        """A context that takes rows for a table, one at a time; all or none of them arrive."""
        return scratch.BatchInsert(self._connection, table.name, table.schema)

    def insert(self, table: Table, rows: pa.Table) -> None:
        """Append rows with the table's columns."""
        scratch.insert(self._connection, table.name, rows)

    def execute(self, statement: str, values: Mapping[str, object] | Sequence[object] | None = None) -> None:
        """Run a statement that answers nothing."""
        self._connection.execute(statement, values)

    def batches(self, query: str, rows: int = scratch.BATCH) -> Iterator[pa.Table]:
        """The result of a query, part by part; other queries may run meanwhile."""
        return scratch.batches(self._connection, query, rows)

    def count(self, query: str) -> int:
        """The one number that a query gives."""
        return scratch.count(self._connection, query)

    def column(self, query: str) -> list[str]:
        """The one column of a query's result."""
        return [value for table in self.batches(query) for value in table.column(0).to_pylist()]

    def numbers(self, query: str) -> list[int]:
        """The one column of a query's result, of whole numbers."""
        return [value for table in self.batches(query) for value in table.column(0).to_pylist()]

    def pairs(self, query: str) -> dict[str, str]:
        """The two columns of a query's result: the second by the first."""
        return {
            key: value
            for table in self.batches(query)
            for key, value in zip(table.column(0).to_pylist(), table.column(1).to_pylist(), strict=True)
        }
