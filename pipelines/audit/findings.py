"""What a verification found: counts, the first problems, what would mend them; and its record in the output store."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime

import pyarrow as pa

from pipelines.audit.fixity import (
    ALTERED,
    BEHIND,
    CHANGED,
    DAMAGED,
    DISAGREES,
    MANIFEST_ROW,
    MAP,
    MASK,
    MISSING,
    NOT_RESTORED,
    PROBLEM_SCHEMA,
    RESULT,
    SIDECAR,
    SOURCE,
    UNREADABLE,
    Answer,
    Problem,
)
from pipelines.manifest.runs import new_run_id
from pipelines.manifest.sidecar import json_bytes
from pipelines.manifest.writer import parquet_bytes
from pipelines.store.layout import VERIFICATIONS
from pipelines.store.store import Store

__all__ = ["PUBLISH_SIDECAR", "RECORD_ROW", "REDO", "RESTORE", "Findings", "write_record"]

_FIRST = 1000  # problems kept to be shown
_RECORDED = 100  # of them in the JSON record; all are in the Parquet files
_FLUSH_PROBLEMS = 10_000

# How a problem is mended.
PUBLISH_SIDECAR, RECORD_ROW, REDO, RESTORE = "publish sidecar", "record row", "redo", "restore"
_REMEDIES = {
    (SIDECAR, MISSING): PUBLISH_SIDECAR,
    (SIDECAR, DAMAGED): PUBLISH_SIDECAR,
    (SIDECAR, DISAGREES): PUBLISH_SIDECAR,
    (MANIFEST_ROW, BEHIND): RECORD_ROW,
    (RESULT, MISSING): REDO,
    (RESULT, ALTERED): REDO,
    (MASK, MISSING): REDO,
    (MASK, ALTERED): REDO,
    (MAP, MISSING): REDO,
    (MAP, ALTERED): REDO,
    (RESULT, NOT_RESTORED): RESTORE,
    (SOURCE, CHANGED): RESTORE,
}


class Findings:
    """Collects the answers of a verification. Of sound items only counts stay in memory, of others their ids.

    Args:
        store: the output store, which gets the problems as Parquet while they come; None keeps counts alone.
        verification_id: names the record; a new one by default.

    Attributes:
        items: checked.
        unsound: of them with problems, by id.
        bytes: read.
        counts: problems by what and kind, such as `source missing`.
        first: the first thousand problems, as dicts of `PROBLEM_SCHEMA`.
        remedies: ids of items by what would mend them.
        altered_sources: ids of items whose source's bytes are not those that were restored, though size and time are.
    """

    def __init__(self, store: Store | None = None, verification_id: str = "") -> None:
        self.started_at = datetime.now(UTC)
        self.id = verification_id or new_run_id(self.started_at)
        self.items = self.bytes = 0
        self.unsound: set[str] = set()
        self.counts: Counter[str] = Counter()
        self.first: list[Problem] = []
        self.remedies: dict[str, set[str]] = {name: set() for name in (PUBLISH_SIDECAR, RECORD_ROW, REDO, RESTORE)}
        self.altered_sources: set[str] = set()
        self._store = store
        self._waiting: list[Problem] = []
        self._files = 0

    def add(self, answer: Answer) -> None:
        """Take an item's answer."""
        self.items += 1
        self.bytes += answer["bytes"]
        problems = answer["problems"]
        if not problems:
            return
        self.unsound.add(answer["item_id"])
        self._note_remedy(answer["item_id"], problems)
        for problem in problems:
            self.counts[f"{problem['what']} {problem['problem']}"] += 1
            if len(self.first) < _FIRST:
                self.first.append(problem)
        if self._store is not None:
            self._waiting += problems
            if len(self._waiting) >= _FLUSH_PROBLEMS:
                self.flush()

    def _note_remedy(self, name: str, problems: list[Problem]) -> None:
        found = {(problem["what"], problem["problem"]) for problem in problems}
        if (SOURCE, ALTERED) in found:
            self.altered_sources.add(name)
        for kind in found & set(_REMEDIES):
            # Without its source nothing can be made again, and from a damaged one nothing should be.
            if _REMEDIES[kind] != REDO or not found & {(SOURCE, MISSING), (SOURCE, UNREADABLE), (SOURCE, ALTERED)}:
                self.remedies[_REMEDIES[kind]].add(name)

    def flush(self) -> None:
        """Publish the problems that were taken since the last time."""
        if self._store is None or not self._waiting:
            return
        data = parquet_bytes(pa.Table.from_pylist(self._waiting, schema=PROBLEM_SCHEMA))
        self._store.publish(f"{VERIFICATIONS}/{self.id}/problems-{self._files:05d}.parquet", data)
        self._files += 1
        self._waiting = []

    def record(self, **about: object) -> dict[str, object]:
        """The verification as plain values, for JSON, with whatever else is to be said `about` it."""
        return {
            "id": self.id,
            "started_at": self.started_at.isoformat(),
            "finished_at": datetime.now(UTC).isoformat(),
            "items": self.items,
            "items_with_problems": len(self.unsound),
            "bytes_read": self.bytes,
            "problems": dict(sorted(self.counts.items())),
            **about,
            "problem_files": self._files,
            "first_problems": self.first[:_RECORDED],
        }


def write_record(store: Store, record: Mapping[str, object]) -> str:
    """Publish a verification's record; returns its URI. Raises OSError."""
    path = f"{VERIFICATIONS}/{record['id']}.json"
    store.publish(path, json_bytes(record))
    return store.uri(path)
