"""Drives the assembly: every planned item ends as one manifest row, whatever dies on the way, or stays for the next run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial

from ray.exceptions import RayError

from faithdiff_model.redaction import redact
from pipelines.manifest.writer import ManifestWriter
from pipelines.plan.pending import PendingRows
from pipelines.plan.plan import Plan
from pipelines.rows import FAILED, HELD_BACK, RESTORED, Row, fail, whole_row
from pipelines.run.assembly import build_stream, final_rows
from pipelines.run.feeder import Feeder
from pipelines.run.flow import Flow, gone
from pipelines.run.frame_counts import FrameCounts, OnFrames
from pipelines.run.joiner import Joiner
from pipelines.run.outage import OutageWatch
from pipelines.run.outcome import Outcome
from pipelines.run.pools import cluster_pools, replicas_for, replicas_now
from pipelines.run.row_feed import RowFeed
from pipelines.run.run_observer import Observer
from pipelines.run.stage_runner import RunContext
from pipelines.run.stall import StallWatch
from pipelines.run.stop import DrainTimeout, Stop, handle_signals, time_budget
from pipelines.run.streaming import StreamOptions, open_stream
from pipelines.settings import Settings
from pipelines.store.lease import Lease, hold_lease
from pipelines.store.ownership import claim_output
from pipelines.store.store import Store
from pipelines.store.stores import open_store
from pipelines.store.urls import absolute_store

__all__ = ["OnRow", "run"]

OnRow = Callable[[Row], None]

_MOST_STREAMS = 4  # if the cluster fails, or nodes go, a stream is over, and another is begun
_LOST = "another run has taken the output over, or it could not be reached for too long"
_LEAST_JOINED = 2  # items joined at a time, or as many as there are replicas


def run(
    plan: Plan,
    settings: Settings,
    *,
    run_id: str,
    flow_run_id: str = "",
    on_row: OnRow | None = None,
    on_part: OnRow | None = None,
    on_frames: OnFrames | None = None,
    lease: Lease | None = None,
    stop: Stop | None = None,
) -> Outcome:
    """Restore a plan's pending rows and write their manifest rows as they become final.

    Every planned item ends as exactly one row, also one whose processes all died, unless the run is stopped: then what is in
    flight may finish for `drain_seconds`, and the rest is left.

    Args:
        plan: from `make_plan`.
        settings: the same settings.
        run_id: names the run and its manifest files.
        flow_run_id: Prefect's id.
        on_row: called with each final row, for progress.
        on_part: called with the row of each part that became durable.
        on_frames: called about once a second with the frames that are restored of the film that moved last.
        lease: of the output; taken for the run if not given.
        stop: asks the run to end; SIGINT, SIGTERM and the end of `budget_hours` do, too.

    Raises:
        LeaseError: another run holds the output.
        RayError: the cluster failed and nothing came through.
    """
    store = open_store(settings.output, settings.retry_seconds)
    if lease is None:
        with hold_lease(store, run_id=run_id, seconds=settings.lease_seconds, steal=settings.steal_lease) as own:
            given = partial(run, plan, settings, run_id=run_id, flow_run_id=flow_run_id, lease=own, stop=stop)
            return given(on_row=on_row, on_part=on_part, on_frames=on_frames)
    if not plan.claimed and plan.pending:
        claim_output(store)
    stop = stop or Stop()
    stop.when_requested(lease.drain)
    lease.when_lost(lambda: stop.request(_LOST))
    observer = Observer(plan, settings, store, lease, stop)
    with handle_signals(stop, settings.drain_seconds), time_budget(stop, settings.budget_hours), observer:
        stamp = {"run_id": run_id, "flow_run_id": flow_run_id}
        return _Run(plan, settings, store, lease, stop, observer, (on_row, on_part, on_frames), stamp).go()


class _Run:
    """The state of one run: what waits, what was counted."""

    def __init__(
        self,
        plan: Plan,
        settings: Settings,
        store: Store,
        lease: Lease,
        stop: Stop,
        observer: Observer,
        told: tuple[OnRow | None, OnRow | None, OnFrames | None],
        stamp: dict[str, str],
    ) -> None:
        self.plan, self.settings = plan, settings.with_absolute_paths(absolute_store)
        self.lease, self.stop, self.stamp, self.observer = lease, stop, stamp, observer
        self.on_row, self.on_part, self.on_frames = told
        self.writer = ManifestWriter(store, stamp["run_id"])
        self.outages = OutageWatch(settings)
        self.outcome = Outcome()
        self.handed_out: list[str] = []
        self.waiting: set[str] = set(plan.pending.table["item_id"].to_pylist())

    def go(self) -> Outcome:
        """All of it; the manifest gets what is final, however this ends."""
        outcome = self.outcome
        try:
            for row in self.plan.final_rows:
                self._record(whole_row({**row, **self.stamp}))
                if row["status"] == FAILED:  # what was adopted was restored by another run
                    outcome.count(row)
                    self.observer.refused(row)
            for settings, rows in self._by_settings() if self.waiting else ():
                if self.stop.requested:
                    break
                self._streams(settings, rows)
        except DrainTimeout:
            self.stop.request("interrupted")
        finally:
            self._safely(self.writer.flush)
        outcome.left = len(self.waiting)
        outcome.stopped, outcome.signal = self.stop.reason, self.stop.signal
        return outcome

    def _record(self, row: Row) -> None:
        self._safely(lambda: self.writer.add(row))

    def _safely(self, write: Callable[[], None]) -> None:
        """Write to the manifest. What does not get there is in the sidecars, where the next plan finds it."""
        try:
            write()
        except OSError as error:
            text = redact(error.strerror or type(error).__name__)
            self.stop.request(f"the manifest cannot be written ({text}); make space and check access")

    def _by_settings(self) -> Iterator[tuple[Settings, PendingRows]]:
        """What waits. Items that people chose settings for come last, the same settings together: they are in no hurry, and
        each choice loads its model anew."""
        for choice, chosen in self.plan.pending.by_choice():
            if chosen:
                settings = choice.settings.with_absolute_paths(absolute_store) if choice else self.settings
                yield settings, chosen

    def _streams(self, settings: Settings, rows: PendingRows) -> None:
        """Have rows restored by one stream, or by others where the cluster fails. If it does again and again, what was handed
        out last is lost, and the rest stays for the next run."""
        cause = ""
        fault: RayError | None = None
        for _ in range(_MOST_STREAMS):
            try:
                if not self._stream(settings, rows, alone=bool(cause)):
                    return
                fault, cause = None, "nodes went"
            except RayError as error:  # the stream broke: what it had finished is finished
                fault, cause = error, type(error).__name__
            rows = rows.select(self.waiting.intersection(rows.table["item_id"].to_pylist()))
            if not rows or self.stop.requested:
                return
        if fault is not None and not self.outcome.restored + self.outcome.failed:
            raise fault
        for row in rows.select(self.handed_out):
            self._finish_row(fail(row, "run", gone(row, cause)))
        if self.waiting:
            self.stop.request(f"the cluster failed again and again ({cause}); look at its nodes and logs")

    def _stream(self, settings: Settings, rows: PendingRows, *, alone: bool) -> bool:
        """Have rows restored by one stream, and join what was cut as soon as its parts are there. Whether another one must look
        at what is left."""
        resources = cluster_pools(settings)
        if settings.ray_address == "local":
            resources = replicas_for(resources, rows.table)
        # What went with a block is found missing, and tried alone.
        options = StreamOptions(skip_lost_blocks=True, limit_memory=settings.ray_address == "local")
        self.observer.replicas(resources.restore.most or 0)
        trace, kinds = self.observer.trace, sorted(set(rows.table["media_kind"].unique().to_pylist()))
        about = {"run_id": self.lease.run_id, "alone": alone, "media_kind": ", ".join(kinds), "items": len(rows)}
        counts = FrameCounts(self.on_frames if "film" in kinds else None)
        context = RunContext(self.lease.fence(), self.lease.run_id, trace.traceparent, counts.reporter)
        build = partial(
            build_stream,
            builder=rows.builder,
            stamp=self.stamp,
            settings=settings,
            resources=resources,
            context=context,
        )
        stream = open_stream(build, options)
        feeder = Feeder(rows, stream, partial(replicas_now, resources), alone=alone)
        joining = Joiner(settings, context, max(_LEAST_JOINED, resources.replicas))
        stall = StallWatch(settings.stall_minutes, resources)
        with trace.step("pass", **about), RowFeed(final_rows(stream)) as feed:
            flow = Flow(rows, stream, feeder, feed, joining, stall, self.stop, self.waiting, self._part)
            try:
                for row in flow.items(counts.look):
                    self._finish_row(row)
            finally:
                self.handed_out = feeder.missing
                feeder.stop()
        return flow.doubtful

    def _part(self, row: Row) -> None:
        self.observer.part(row)
        if self.on_part:
            self.on_part(row)

    def _finish_row(self, row: Row) -> None:
        """A row that came out: final, or held back."""
        assert row["status"] in (RESTORED, FAILED, HELD_BACK), row["status"]
        if row["status"] == HELD_BACK:
            if row["error_reason"]:
                self.stop.request(row["error_reason"])
            return
        if row["error_code"] == "no_space":  # no fault of the item's: it stays as if never tried
            self.stop.request(f"the output store is full ({row['error_reason']})")
            return
        self.waiting.remove(row["item_id"])
        row = whole_row({**row, **self.stamp, "finished_at": row["finished_at"] or datetime.now(UTC)})
        self._record(row)
        self.outcome.count(row)
        self.observer.row(row)
        if self.on_row:
            self.on_row(row)
        outage = self.outages.see(row)
        if outage:
            self.stop.request(outage)
