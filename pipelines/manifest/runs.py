"""Records of runs: which began, which came to their end and which died, and whether the manifest knows of all results."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import TypedDict, cast

from pipelines.store.layout import MANIFEST, RUNS, STARTED, whole_run
from pipelines.store.store import Store

__all__ = [
    "RunHistory", "RunRecord", "all_runs_ended", "may_have_leftovers", "new_run_id", "newest_not_taken", "read_run_record",
    "run_history", "write_run_record", "write_run_start",
]  # fmt: skip


class RunRecord(TypedDict, total=False):
    """What is read of the record of a run that came to its end. Others may have written it, so any field may be missing."""

    started_at: str
    finished_at: str
    seconds: float
    only: str  # the pattern of the sources that it was about; empty for all
    stopped: str  # why it ended before its end; empty if it did not
    restored: int
    failed: int
    left: int
    already_done: int
    quarantined: int
    items_per_hour: float
    with_warnings: int
    not_taken: list[dict[str, object]]  # patterns of names, with `files`, `kind` and `advice`


@dataclass(frozen=True)
class RunHistory:
    """The runs of an output store, by their ids.

    Attributes:
        begun: runs that said that they began, or left something else behind.
        ended: runs that came to their end and wrote their record.
    """

    begun: frozenset[str]
    ended: frozenset[str]

    @property
    def newest_first(self) -> list[str]:
        """All runs; ids sort by time."""
        return sorted(self.begun | self.ended, reverse=True)

    def died(self, run_id: str) -> bool:
        """Whether a run that is not on any more never came to its end."""
        return run_id not in self.ended


def run_history(store: Store, *, also_begun: Iterable[str] = ()) -> RunHistory:
    """What the records of an output store say.

    Args:
        store: the output store.
        also_begun: runs of which something else tells, such as a lease; they may have died before they wrote that they began.

    Raises:
        StoreError: the store cannot be listed.
    """
    ended = frozenset(PurePosixPath(entry.path).stem for entry in store.list(RUNS))
    begun = frozenset(PurePosixPath(entry.path).stem for entry in store.list(STARTED))
    return RunHistory(frozenset(whole_run(run_id) for run_id in begun.union(also_begun)), ended)


def new_run_id(now: datetime | None = None) -> str:
    """A run's id: its time of start, so that ids sort by time, and six random digits."""
    moment = now or datetime.now(UTC)
    return f"{moment:%Y%m%dT%H%M%S.%f}"[:-3] + f"Z-{secrets.token_hex(3)}"


def write_run_start(store: Store, run_id: str, record: Mapping[str, object]) -> None:
    """Publish that a run has begun; without an end record beside it, the run died."""
    _publish(store, f"{STARTED}/{run_id}.json", record)


def all_runs_ended(store: Store) -> bool:
    """Whether no earlier run died, so that the manifest knows of all results.

    A run that planned the whole archive and came to its end settles all that was before it. A run has died if it has begun,
    or left manifest rows, and has no end record; older stores have no start records.
    """
    left_rows = (PurePosixPath(entry.path).parent.name.removeprefix("run=") for entry in store.list(MANIFEST))
    history = run_history(store, also_begun=left_rows)
    for run_id in history.newest_first:
        if history.died(run_id):
            return False
        if _settles(store, run_id):
            return True
    return True


def may_have_leftovers(store: Store, *, claimed: bool) -> bool:
    """Whether an earlier run may have left a result without its sidecar: one died, or was stopped before its end.

    Args:
        store: the output store.
        claimed: whether a run has written here; runs that the flow did not start leave no records.
    """
    history = run_history(store)
    if not history.newest_first:
        return claimed
    for run_id in history.newest_first:
        try:
            record = None if history.died(run_id) else read_run_record(store, run_id)
        except OSError:
            return True
        if record is None or record.get("stopped"):
            return True
        if not record.get("only"):
            return False
    return False


def _settles(store: Store, run_id: str) -> bool:
    """Whether a run's end record is whole and tells of a run over the whole archive."""
    try:
        record = read_run_record(store, run_id)
    except OSError:
        return False
    return record is not None and not record.get("only")


def read_run_record(store: Store, run_id: str) -> RunRecord | None:
    """The record of a run that came to its end; None if its file holds none. Raises OSError."""
    try:
        record = json.loads(store.read(f"{RUNS}/{run_id}.json"))
    except ValueError:
        return None
    return cast(RunRecord, record) if isinstance(record, dict) else None


def newest_not_taken(store: Store) -> tuple[str, list[dict[str, object]]]:
    """Run id and files that were not taken, of the newest run that says so of the whole archive; none if there is none.

    Raises:
        StoreError: the store cannot be listed.
        OSError: a record cannot be read.
    """
    for run_id in run_history(store).newest_first:
        try:
            record = read_run_record(store, run_id)
        except FileNotFoundError:  # it died
            continue
        if record is not None and isinstance(record.get("not_taken"), list) and not record.get("only"):
            return run_id, [found for found in record["not_taken"] if isinstance(found, dict)]
    return "", []


def write_run_record(store: Store, run_id: str, record: Mapping[str, object]) -> None:
    """Publish a run's summary as JSON: the mark of a run that came to its end."""
    _publish(store, f"{RUNS}/{run_id}.json", record)


def _publish(store: Store, path: str, record: Mapping[str, object]) -> None:
    store.publish(path, (json.dumps(record, indent=1, ensure_ascii=False) + "\n").encode())
