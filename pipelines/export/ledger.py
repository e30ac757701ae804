"""What an export has done already: files of lines in the destination, each published whole, so that it goes on after any death.

They lie in `_faitharchive/export/<profile>/`: `export.json` says whose export this is, `done/` has a file a block of items, a
JSON object a line.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import pyarrow as pa

from faithdiff_model.redaction import redact_url
from pipelines.export.entry import Entry
from pipelines.manifest.scratch import BatchInsert, create_table
from pipelines.rows import Row
from pipelines.store.layout import PRIVATE
from pipelines.store.store import Store, StoreError

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

__all__ = ["Claim", "Ledger"]

_SCHEMA = pa.schema([("item_id", pa.string()), ("result", pa.string()), ("path", pa.string()), ("entry", pa.string())])
_HIDDEN = pa.schema([("item_id", pa.string())])  # items that were exported once and are in no table any more
_FETCH = 1000


@dataclass(frozen=True, kw_only=True)
class Claim:
    """Whose export a destination holds.

    Attributes:
        profile: its name.
        folder: the profile's folder in the destination.
        output: URI of the archive that is exported.
        base_url: that IIIF documents name themselves by; empty for other profiles.
    """

    profile: str
    folder: str
    output: str
    base_url: str = ""


class Ledger:
    """The record of one profile's export to one destination; whoever uses it holds the destination's lease.

    Args:
        store: the destination.
        claim: whose export it is.
        run_id: names the files that are added.
        database: an empty temporary one.

    Attributes:
        resumed: whether an earlier call has begun this export.

    Raises:
        StoreError: the destination holds another export, or a stranger's files where this one would write.
    """

    def __init__(self, store: Store, claim: Claim, run_id: str, database: DuckDBPyConnection) -> None:
        self.store, self.folder, self.run_id = store, f"{PRIVATE}/export/{claim.profile}", run_id
        self._database, self._blocks = database, 0
        self.resumed = self._take(claim)
        create_table(database, "ledger", _SCHEMA)
        create_table(database, "hidden", _HIDDEN)
        with BatchInsert(database, "ledger", _SCHEMA) as rows:
            for entry in store.list(f"{self.folder}/done"):
                for line in store.read(entry.path).decode().splitlines():
                    self._add(rows, json.loads(line))

    def _take(self, claim: Claim) -> bool:
        """Whether the place is this export's already; else it becomes so."""
        record = {"profile": claim.profile, "output": claim.output, "base_url": claim.base_url}
        data = (json.dumps(record, indent=1, ensure_ascii=False) + "\n").encode()
        path, where = f"{self.folder}/export.json", redact_url(self.store.url)
        if not self.store.exists(path):
            stranger = next(iter(self.store.list(claim.folder)), None)
            if stranger is not None:
                raise StoreError(
                    f"destination {where}: {stranger.path} is there, and no export has begun in it; choose an empty place"
                )
            self.store.publish(path, data)
            return False
        if self.store.read(path) != data:
            raise StoreError(
                f"destination {where}: it holds another export ({self.store.uri(path)} says which: other archive or base URL); "
                "choose another place"
            )
        return True

    def undone(self, rows: Sequence[Row]) -> list[Row]:
        """Those of some rows whose results are not exported yet."""
        known = self._database.execute(
            "select item_id, result from ledger where list_contains(?, item_id)", [[row["item_id"] for row in rows]]
        ).fetchall()
        done = set(known)
        return [row for row in rows if (row["item_id"], _result(row)) not in done]

    def add(self, exported: Sequence[tuple[Row, Entry]]) -> None:
        """Remember a block of items that are exported. Raises OSError."""
        if not exported:
            return
        lines: list[dict[str, object]] = [
            {"item_id": row["item_id"], "result": _result(row), "path": row["source_path"], "entry": entry}
            for row, entry in exported
        ]
        text = "".join(json.dumps(line, ensure_ascii=True) + "\n" for line in lines)
        self.store.publish(f"{self.folder}/done/{self.run_id}-{self._blocks:06d}.jsonl", text.encode())
        self._blocks += 1
        with BatchInsert(self._database, "ledger", _SCHEMA) as rows:
            for line in lines:
                self._add(rows, line)

    def hide(self, item_ids: Collection[str]) -> int:
        """Leave items out of `entries`; how many of them were exported. Their files stay: nothing is ever deleted there."""
        with BatchInsert(self._database, "hidden", _HIDDEN) as rows:
            for item in item_ids:
                rows.add(item)
        found = "select count(distinct item_id) from ledger where list_contains(?, item_id)"
        return int(self._database.execute(found, [list(item_ids)]).fetchall()[0][0])

    def entries(self) -> Iterator[Entry]:
        """Every exported item once that is not hidden, its newest result, by source path."""
        found = self._database.cursor().execute(
            "select entry from ledger where item_id not in (select item_id from hidden) "
            "qualify row_number() over (partition by item_id order by rowid desc) = 1 order by path"
        )
        while batch := found.fetchmany(_FETCH):
            for (entry,) in batch:
                yield cast(Entry, json.loads(entry))

    @staticmethod
    def _add(rows: BatchInsert, line: dict[str, object]) -> None:
        rows.add(line["item_id"], line["result"], line["path"], json.dumps(line["entry"]))


def _result(row: Row) -> str:
    """What a result is known by: another result of the same item is exported anew."""
    return f"{row['identity']} {row['output_sha256']}"
