"""Records of runs: which began, which came to their end, and whether the manifest knows of all results."""

from __future__ import annotations

import json
import secrets
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import Any

from pipelines.store.layout import MANIFEST, RUNS, STARTED
from pipelines.store.store import Store


def new_run_id(now: datetime | None = None) -> str:
    """A run's id: its time of start, so that ids sort by time, and six random digits."""
    moment = now or datetime.now(UTC)
    return f"{moment:%Y%m%dT%H%M%S.%f}"[:-3] + f"Z-{secrets.token_hex(3)}"


def write_run_start(store: Store, run_id: str, record: dict[str, Any]) -> None:
    """Publish that a run has begun; without an end record beside it, the run died."""
    store.publish(f"{STARTED}/{run_id}.json", (json.dumps(record, indent=1, ensure_ascii=False) + "\n").encode())


def all_runs_ended(store: Store) -> bool:
    """Whether no earlier run died, so that the manifest knows of all results.

    A run that planned the whole archive and came to its end settles all that was before it. A run has died if it has begun,
    or left manifest rows, and has no end record; older stores have no start records.
    """
    ended = {PurePosixPath(entry.path).stem for entry in store.list(RUNS)}
    begun = {PurePosixPath(entry.path).stem for entry in store.list(STARTED)}
    begun |= {PurePosixPath(entry.path).parent.name.removeprefix("run=") for entry in store.list(MANIFEST)}
    for run_id in sorted(begun | ended, reverse=True):
        if run_id not in ended:
            return False
        if _settles(store, run_id):
            return True
    return True


def _settles(store: Store, run_id: str) -> bool:
    """Whether a run's end record is whole and tells of a run over the whole archive."""
    try:
        record = json.loads(store.read(f"{RUNS}/{run_id}.json"))
    except (OSError, ValueError):
        return False
    return isinstance(record, dict) and not record.get("only")


def write_run_record(store: Store, run_id: str, record: dict[str, Any]) -> None:
    """Publish a run's summary as JSON: the mark of a run that came to its end."""
    store.publish(f"{RUNS}/{run_id}.json", (json.dumps(record, indent=1, ensure_ascii=False) + "\n").encode())
