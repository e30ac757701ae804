"""Final rows that planning itself finds: they go to the manifest without any model work."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import groupby

import pyarrow as pa
import pyarrow.compute as pc

from pipelines.manifest.reader import read_manifest_file
from pipelines.plan.pending import PENDING_SCHEMA, ArrowSpill, CompactRows, RowBuilder, whole_rows
from pipelines.plan.tables import PlanDatabase
from pipelines.plan.verdicts import ADOPTED, DONE
from pipelines.rows import MANIFEST_SCHEMA, QUARANTINED, RESTORED, Row, columns_of, drop_payload, to_table
from pipelines.store.store import Store

__all__ = ["FinalRows"]

_BATCH = 1000
# Microseconds since 1970 of the years 1 and 9999, the range of Python's dates.
_FIRST_MOMENT, _LAST_MOMENT = -62135596800 * 10**6, 253402300799 * 10**6


class FinalRows:
    """Collects them.

    Args:
        database: with all tables of the plan, when they are needed.
        output: the output store.
        builder: of the plan's pending rows.
    """

    def __init__(self, database: PlanDatabase, output: Store, builder: RowBuilder) -> None:
        self._database, self._output, self._builder = database, output, builder
        self._spill = ArrowSpill(MANIFEST_SCHEMA)
        self._waiting: list[Row] = []

    def add(self, row: Row) -> None:
        """A row that is final."""
        self._waiting.append(row)
        if len(self._waiting) >= _BATCH:
            self._flush()

    def quarantine(self) -> None:
        """Rows of items that have failed too often, once."""
        query = (
            "select s.item_id, s.path as source_path, s.kind as media_kind, s.size as source_size, "
            "s.version as source_version, s.output as output_path, s.caption, s.digest as settings_digest, s.choices, "
            "p.attempt, d.reason, null as replaces, p.error_code, p.error_reason "
            "from decided d join named s on s.path = d.path join prior p on p.item_id = s.item_id "
            f"where d.reason = '{QUARANTINED}' and p.status is distinct from '{QUARANTINED}' order by s.path"
        )
        for table in self._database.batches(query, _BATCH):
            rows = self._builder(table.select(PENDING_SCHEMA.names))
            for row, code, reason in zip(
                rows, *(table[n].to_pylist() for n in ("error_code", "error_reason")), strict=True
            ):
                columns_of(row).update(
                    status=QUARANTINED,
                    output_uri=None,
                    output_path=None,
                    error_code=code,
                    error_stage="plan",
                    error_reason=f"failed in {row['attempt']} runs, last: {reason}; --redo tries it again",
                    finished_at=datetime.now(UTC),
                )
                self.add(drop_payload(row))

    def record_versions(self, manifest_files: Sequence[str]) -> None:
        """Rows of covered sources that were touched, with their new version: they are not read again next time."""
        query = (
            "select p.file, p.position, s.version from decided d join prior_verdicts v on v.path = d.path "
            "join sources s on s.path = d.path join prior p on p.item_id = s.item_id "
            f"where d.reason = '{DONE}' and v.touched and p.status = '{RESTORED}' order by p.file, p.position"
        )
        for table in self._database.batches(query, _BATCH):
            for file, places in groupby(table.to_pylist(), key=lambda place: place["file"]):
                chosen = list(places)
                rows = read_manifest_file(self._output, manifest_files[file], None)
                rows = rows.take([place["position"] for place in chosen])
                self._spill.add(_with_possible_times(_with_versions(rows, [place["version"] for place in chosen])))

    def adopt(self, rows: pa.Table) -> None:
        """Rows of sidecars that cover their sources.

        Args:
            rows: of all sidecars that were read, in the order of `adopted.position`.
        """
        query = (
            "select c.position, s.version from decided d join named s on s.path = d.path "
            f"join claimed c on c.item_id = s.item_id where d.reason = '{ADOPTED}' order by s.path"
        )
        for table in self._database.batches(query, _BATCH):
            self._spill.add(_with_versions(rows.take(table["position"]), table["version"].to_pylist()))

    def rows(self) -> CompactRows:
        """All of them, as the last thing."""
        self._flush()
        return CompactRows(self._spill.table(), whole_rows)

    def _flush(self) -> None:
        if self._waiting:
            self._spill.add(to_table(self._waiting))
            self._waiting = []


def _with_versions(rows: pa.Table, versions: list[str]) -> pa.Table:
    place = rows.schema.get_field_index("source_version")
    return rows.set_column(place, rows.schema.field(place), pa.array(versions, pa.string()))


def _with_possible_times(rows: pa.Table) -> pa.Table:
    """What another program wrote as a time may be none in any calendar; then it is left out."""
    for place, name in enumerate(rows.schema.names):
        if pa.types.is_timestamp(rows.schema.types[place]):
            number = rows[name].cast(pa.int64())
            possible = pc.and_(pc.greater_equal(number, _FIRST_MOMENT), pc.less_equal(number, _LAST_MOMENT))
            rows = rows.set_column(place, rows.schema.field(place), pc.if_else(possible, rows[name], None))
    return rows
