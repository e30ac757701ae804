"""Drives the assembly: every planned item ends as one manifest row, whatever dies on the way, or stays for the next run."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial

from ray.data import Dataset
from ray.exceptions import RayError

from faithdiff_model.redaction import redact
from pipelines.errors import ItemError
from pipelines.manifest.writer import ManifestWriter
from pipelines.plan.pending import PendingRows
from pipelines.plan.plan import Plan
from pipelines.rows import FAILED, HELD_BACK, PART_DONE, PENDING, RESTORED, Row, fail, whole_row
from pipelines.run.assembly import build_film_stream, build_stream, final_rows
from pipelines.run.cluster import alive_nodes
from pipelines.run.frame_counts import FrameCounts, OnFrames
from pipelines.run.joiner import Joiner
from pipelines.run.outage import OutageWatch
from pipelines.run.outcome import Outcome
from pipelines.run.pools import cluster_pools
from pipelines.run.row_feed import RowFeed
from pipelines.run.run_observer import Observer
from pipelines.run.stage_runner import RunContext
from pipelines.run.stall import StallWatch
from pipelines.run.stop import DrainTimeout, Stop, handle_signals, time_budget
from pipelines.run.streaming import StreamOptions
from pipelines.settings import Settings
from pipelines.store.lease import Lease, hold_lease
from pipelines.store.ownership import claim_output
from pipelines.store.store import Store
from pipelines.store.stores import open_store
from pipelines.store.urls import absolute_store

__all__ = ["Build", "OnRow", "run"]

OnRow = Callable[[Row], None]
Build = Callable[..., Dataset]

# All together first; then what was lost, each row alone; again if the cluster failed or lost nodes meanwhile, so that no
# photograph is blamed for a machine.
_MOST_PASSES = 4
# Rows that go into Ray Data at once: each photograph above 1 MiB costs the driver 52 KB there, and each wave loads the model
# anew. On many GPUs so few would be over too soon.
_WAVE_ROWS = 20_000
_WAVE_ROWS_A_REPLICA = 200
_LOST = "another run has taken the output over, or it could not be reached for too long"
_LEAST_JOINED = 2  # items joined at a time, or as many as there are replicas
_LOOK = 0.2  # seconds between two looks at what was joined


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
            for build, settings, rows in self._waves() if self.waiting else ():
                if self.stop.requested:
                    break
                self._passes(build, settings, rows)
                gc.collect()  # its blocks lie in cycles, 8 KB each (measured: tests/benchmarks/scale.py)
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

    def _waves(self) -> Iterator[tuple[Build, Settings, PendingRows]]:
        """What waits, photographs before films, in slices that a driver can hold as blocks. Items that people chose settings
        for come last, the same settings together: they are in no hurry, and each choice loads its model anew."""
        for choice, chosen in self.plan.pending.by_choice():
            settings = choice.settings.with_absolute_paths(absolute_store) if choice else self.settings
            most = max(_WAVE_ROWS, _WAVE_ROWS_A_REPLICA * cluster_pools(settings).replicas)
            for kind, build in (("photo", build_stream), ("film", build_film_stream)):
                for rows in chosen.of_kind(kind).waves(most):
                    yield build, settings, rows

    def _passes(self, build: Build, settings: Settings, rows: PendingRows) -> None:
        fault: RayError | None = None
        isolated = nodes_went = False
        for _ in range(_MOST_PASSES):
            before = alive_nodes()
            try:
                fault = None
                self._pass(build, settings, rows, isolated=isolated)
            except RayError as error:  # the stream broke: what it had finished is finished
                fault = error
            rows = rows.select(self.waiting.intersection(rows.table["item_id"].to_pylist()))
            if not rows or self.stop.requested:
                return
            nodes_went = not before <= alive_nodes()
            if isolated and not fault and not nodes_went:
                break  # what is still missing took its processes along by itself
            isolated = True
        if fault is not None and not self.outcome.restored + self.outcome.failed:
            raise fault
        cause = type(fault).__name__ if fault else "nodes went" if nodes_went else ""
        for row in rows:
            self._finish_row(fail(row, "run", _gone(row, cause)))
        if fault is not None and self.waiting:
            self.stop.request(
                f"the cluster failed again and again ({type(fault).__name__}); look at its nodes and logs"
            )

    def _pass(self, build: Build, settings: Settings, rows: PendingRows, *, isolated: bool) -> None:
        """Stream a wave's rows, and join what was cut as soon as its parts are there."""
        resources = cluster_pools(settings)
        # What went with a block is found missing, and tried alone.
        options = StreamOptions(skip_lost_blocks=True, limit_memory=settings.ray_address == "local")
        self.observer.replicas(resources.restore.most or 0)
        trace, kind = self.observer.trace, rows.table["media_kind"][0].as_py()
        about = {"run_id": self.lease.run_id, "alone": isolated, "media_kind": kind, "items": len(rows)}
        counts = FrameCounts(self.on_frames if kind == "film" else None)
        context = RunContext(self.lease.fence(), self.lease.run_id, trace.traceparent, counts.reporter)
        stream = partial(build, rows, self.stamp, settings, resources, context, isolated=isolated)
        joining = Joiner(settings, context, max(_LEAST_JOINED, resources.replicas))
        stall = StallWatch(settings.stall_minutes, resources)
        with trace.step("pass", **about), RowFeed(final_rows(stream, options)) as feed:
            for row in self._items(feed, joining, stall, rows, counts.look):
                self._finish_row(row)

    def _items(
        self, feed: RowFeed, joining: Joiner, stall: StallWatch, rows: PendingRows, look: Callable[[], None]
    ) -> Iterator[Row]:
        """Parts to items: an item's final row, once. Those whose parts are all durable are joined meanwhile, also while the run
        drains: else a night that always ends early would never show any."""
        durable: dict[str, set[int]] = {}
        while not (feed.ended and joining.idle):
            for joined in joining.finished(_LOOK if feed.ended else 0.0):
                stall.see()
                if joined["item_id"] in self.waiting:
                    yield joined
            look()
            row = feed.take(_LOOK)
            if row is None:
                self._end_stall(stall, joining, rows)
                continue
            stall.see()
            if row["item_id"] not in self.waiting:
                continue  # a sibling tile failed before, or its block came twice
            if row["status"] != PART_DONE:
                yield row
                continue
            self.observer.part(row)
            if self.on_part:
                self.on_part(row)
            parts = durable.setdefault(row["item_id"], set())
            whole = len(parts | {row["part"]}) == row["parts"] != len(parts)
            parts.add(row["part"])
            if whole:
                joining.add({**row, "status": PENDING})

    def _end_stall(self, stall: StallWatch, joining: Joiner, rows: PendingRows) -> None:
        """Leave a pass in which nothing happens any more."""
        if stall.is_over():
            left = rows.select(self.waiting).table["source_path"].to_pylist()
            self.stop.request(stall.reason(left, not joining.idle))
            raise DrainTimeout

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


def _gone(row: Row, cause: str) -> ItemError:
    """Why a row has no result after it was tried alone. `cause`: what of the cluster failed; empty if nothing did."""
    if cause:
        reason = f"no result came back from the cluster ({cause}); the next run tries it again"
        return ItemError("lost", f"{row['source_path']}: {reason}")
    reason = "each process that worked on it died; look at the file, or lower --max-pixels or add memory if it is large"
    return ItemError("crashed", f"{row['source_path']}: {reason}")
