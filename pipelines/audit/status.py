"""Whether a run is on in an output store and how far it is, or how the last one ended: from what the store itself says."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from pipelines.manifest.review_counts import ReviewCounts
from pipelines.manifest.runs import RunRecord, read_run_record, run_history
from pipelines.store.lease_files import DRAINING, RELEASED, LeaseRecord, newest_lease
from pipelines.store.store import Store
from pipelines.telemetry.progress import ENDED, SECONDS, Progress, read_progress

__all__ = ["STALLED_SECONDS", "RunStatus", "run_status"]

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
        reviews: how far the review of the results is; None where nobody has decided anything.
    """

    state: str
    run_id: str = ""
    lease: LeaseRecord | None = None
    progress: Progress | None = None
    record: RunRecord = field(default_factory=RunRecord)
    advice: str = ""
    reviews: ReviewCounts | None = None

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
        return _live_status(store, lease)
    # A run whose lease was never released may have died before it wrote that it had begun.
    unreleased = [lease.run_id] if lease is not None and lease.state != RELEASED else []
    history = run_history(store, also_begun=unreleased)
    if not history.newest_first:
        return RunStatus(state="none", advice="no run has been here yet: faitharchive restore SCANS OUTPUT")
    run_id = history.newest_first[0]
    progress = read_progress(store, run_id)
    if history.died(run_id):
        last = lease if lease is not None and lease.run_id == run_id else None
        advice = "what it had finished is kept: the same restore command continues"
        if newest_lease(store)[0] != number:  # another run has begun while we looked
            return run_status(store)
        if progress is not None and progress.stopping:
            advice = f"it was stopping ({progress.stopping}); {advice}"
        return RunStatus(state="died", run_id=run_id, lease=last, progress=progress, advice=advice)
    return _ended_status(run_id, read_run_record(store, run_id) or {}, progress)


def _live_status(store: Store, lease: LeaseRecord) -> RunStatus:
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


def _ended_status(run_id: str, record: RunRecord, progress: Progress | None) -> RunStatus:
    if record.get("stopped"):
        advice = f"it stopped ({record['stopped']}): the same restore command continues"
        return RunStatus(state="stopped", run_id=run_id, record=record, progress=progress, advice=advice)
    advice = ""
    if record.get("failed"):
        advice = "see why by faitharchive manifest show OUTPUT --status failed; the next run tries them again"
    elif record.get("quarantined"):
        advice = "see why by faitharchive manifest show OUTPUT --status quarantined; --redo tries them again"
    return RunStatus(state="ended", run_id=run_id, record=record, progress=progress, advice=advice)
