"""Whether a run is on in an output store and how far it is, or how the last one ended: from what the store itself says."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

from pipelines.store.layout import RUNS, STARTED
from pipelines.store.lease import DRAINING, RELEASED, Record, newest_lease
from pipelines.store.store import Store
from pipelines.telemetry.progress import ENDED, SECONDS, Progress, read_progress

# A run that holds its lease and has not written its progress for as long as this hangs, or cannot write.
STALLED_SECONDS = 12 * SECONDS


@dataclass(frozen=True, kw_only=True)
class RunStatus:
    """What is known of the run that is on, or else of the last one.

    Attributes:
        state: `none` (there was no run yet), `planning`, `running`, `draining`, `finishing` (writing its record), `stalled`,
            `ended`, `stopped` (of itself, before its end), `died`.
        run_id: the run.
        lease: of the run that is on, or of one that died.
        progress: as it last published it.
        record: of a run that came to its end.
        advice: what to do; empty if nothing need be done.
    """

    state: str
    run_id: str = ""
    lease: Record | None = None
    progress: Progress | None = None
    record: dict[str, Any] = field(default_factory=dict)
    advice: str = ""

    @property
    def live(self) -> bool:
        """Whether a run holds the output."""
        return self.state in ("planning", "running", "draining", "finishing", "stalled")


def run_status(store: Store) -> RunStatus:
    """Look at an output store.

    Raises:
        StoreError: it cannot be listed.
        OSError: it cannot be read.
    """
    number, lease = newest_lease(store)
    if number and lease is not None and lease.blocks():
        return _live(store, lease)
    ended = _stems(store, RUNS)
    begun = _stems(store, STARTED)
    if lease is not None and lease.state != RELEASED:
        begun.add(lease.run_id)  # it died before it wrote that it had begun
    if not begun | ended:
        return RunStatus(state="none", advice="no run has been here yet: faitharchive restore SCANS OUTPUT")
    run_id = max(begun | ended)
    progress = read_progress(store, run_id)
    if run_id not in ended:
        last = lease if lease is not None and lease.run_id == run_id else None
        advice = "what it had finished is kept: the same restore command continues"
        if newest_lease(store)[0] != number:  # another run has begun while we looked
            return run_status(store)
        if progress is not None and progress.stopping:
            advice = f"it was stopping ({progress.stopping}); {advice}"
        return RunStatus(state="died", run_id=run_id, lease=last, progress=progress, advice=advice)
    return _ended(run_id, _record(store, run_id), progress)


def _live(store: Store, lease: Record) -> RunStatus:
    progress = read_progress(store, lease.run_id)
    state, advice = "running", ""
    if progress is None:
        state = "planning"  # or another command that holds the output for a while, such as manifest rebuild
    elif progress.state == ENDED:
        state = "finishing"
    elif time.time() - progress.written_at > STALLED_SECONDS:
        state = "stalled"
        advice = (
            f"it holds the output but has told nothing for {time.time() - progress.written_at:.0f} s: look at process "
            f"{lease.process} on {lease.host}, and whether it can write to the store"
        )
    elif lease.state == DRAINING or progress.stopping:
        state = "draining"
    return RunStatus(state=state, run_id=lease.run_id, lease=lease, progress=progress, advice=advice)


def _ended(run_id: str, record: dict[str, Any], progress: Progress | None) -> RunStatus:
    if record.get("stopped"):
        advice = f"it stopped ({record['stopped']}): the same restore command continues"
        return RunStatus(state="stopped", run_id=run_id, record=record, progress=progress, advice=advice)
    advice = ""
    if record.get("failed"):
        advice = "see why by faitharchive manifest show OUTPUT --status failed; the next run tries them again"
    elif record.get("quarantined"):
        advice = "see why by faitharchive manifest show OUTPUT --status quarantined; --redo tries them again"
    return RunStatus(state="ended", run_id=run_id, record=record, progress=progress, advice=advice)


def _record(store: Store, run_id: str) -> dict[str, Any]:
    try:
        record = json.loads(store.read(f"{RUNS}/{run_id}.json"))
    except ValueError:
        return {}
    return record if isinstance(record, dict) else {}


def _stems(store: Store, folder: str) -> set[str]:
    return {PurePosixPath(entry.path).stem for entry in store.list(folder)}
