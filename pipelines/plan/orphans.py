"""Sidecars of results that the manifest does not know: what a run that died had finished is taken over, not made again."""

from __future__ import annotations

from faithdiff_model.redaction import redact_url
from pipelines.manifest.naming import item_id
from pipelines.manifest.sidecar import read_sidecar
from pipelines.plan.inventory import as_records
from pipelines.plan.pending import ArrowSpill
from pipelines.plan.tables import ADOPTED_RECORDS, PlanDatabase
from pipelines.rows import MANIFEST_SCHEMA, Row, to_table
from pipelines.store.concurrency import map_threaded
from pipelines.store.layout import sidecar_path
from pipelines.store.retries import RetriesExhaustedError
from pipelines.store.store import Store, StoreError

__all__ = ["OrphanSidecars"]

_THREADS = 32  # a sidecar is a few kilobytes: reading it is waiting for the store
_BATCH = 1000


class OrphanSidecars:
    """Reads sidecars into the table `adopted`, each once.

    Args:
        database: with the tables of `inventory`.
        output: the output store.

    Attributes:
        rows: the whole rows, for those that turn out to cover their sources.
    """

    def __init__(self, database: PlanDatabase, output: Store) -> None:
        self._database, self._output = database, output
        self.rows = ArrowSpill(MANIFEST_SCHEMA)
        self._failures = 0

    def read_unlisted(self) -> None:
        """Read those that lie where no run says that it wrote: their rows were lost, or are of another archive."""
        self._read(
            "select path from sidecars where path not in (select output_path from records where output_path is not null)"
        )

    def read_wanted(self) -> None:
        """Read those of `wanted` (a table of output paths) that were not read before."""
        self._read(
            "select path from wanted semi join sidecars using (path) where path not in (select output_path from adopted)"
        )

    def _read(self, query: str) -> None:
        self._database.execute(f"create or replace table to_read as {query}")
        if not self._database.count("select count(*) from to_read"):
            return
        for table in self._database.batches("select path from to_read order by path", _BATCH):
            found = [row for row in map_threaded(self._row, table["path"].to_pylist(), _THREADS) if row is not None]
            if found:
                rows = to_table(found).select(MANIFEST_SCHEMA.names)
                positions = range(self.rows.rows, self.rows.rows + len(found))
                self._database.insert(ADOPTED_RECORDS, as_records(rows, -1, positions))
                self.rows.add(rows)

    def _row(self, path: str) -> Row | None:
        """The row of the sidecar beside `path`, if it is whole and of just that file."""
        try:
            data = self._output.read(sidecar_path(path))
        except RetriesExhaustedError as error:
            self._failures += 1
            if self._failures >= _THREADS:  # not a file, but the store
                raise StoreError(
                    f"output {redact_url(self._output.url)}: sidecars cannot be read ({error.strerror}); run again when it "
                    "answers"
                ) from error
            return None
        except OSError:
            return None  # gone since it was listed, or not to be read: then it covers nothing
        self._failures = 0
        row = read_sidecar(data)
        if row is None or row["output_path"] != path or row["item_id"] != item_id(row["source_path"] or ""):
            return None
        return row
