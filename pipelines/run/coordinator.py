"""Carries out a plan in shards: writes the slices, has their drivers started, takes up what died, and counts it all together.

The run that planned holds the output for all of them. Its shards are driven by processes that it starts on its own machine, and
by whoever takes one on another; it knows of both from what they leave in the store.
"""

from __future__ import annotations

import logging
import os
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Protocol

from pipelines.plan.header import PlanHeader
from pipelines.plan.plan import Plan
from pipelines.plan.slices import write_slices
from pipelines.run.driver import run
from pipelines.run.outcome import Outcome
from pipelines.run.pools import local_replicas
from pipelines.run.shard_board import DONE, FREE, HELD, Board, ShardEnd, ShardState
from pipelines.run.shards import settle_shard
from pipelines.run.stop import DrainTimeout, Stop, handle_signals, time_budget
from pipelines.settings import Settings
from pipelines.store.cleanup import clear_unfinished
from pipelines.store.layout import plan_folder
from pipelines.store.lease import Lease
from pipelines.store.ownership import claim_output
from pipelines.store.store import Store, StoreError
from pipelines.store.stores import open_store
from pipelines.telemetry import logs
from pipelines.telemetry.progress import DRAINING, ENDED, Progress, Publisher

__all__ = ["Coordinator", "Driver", "Start", "driver_settings", "ray_settings", "shards_at_once"]

_MOST_FAULTS = 3  # of a shard's drivers: then the fault is not theirs
_LATER = 3.0  # seconds that drivers get beyond their own time to drain
_POLL = 0.2
_LOOK = 5.0  # seconds between two looks at the store, or a sixth of the lease's time if that is less
_CORES_A_DRIVER = 4
_MOST_DRIVERS = 8
_LOST = "another run has taken the output over, or it could not be reached for too long"


class Driver(Protocol):
    """A process of this machine that drives a shard, as `multiprocessing.Process` is one."""

    def is_alive(self) -> bool: ...
    def terminate(self) -> None: ...
    def kill(self) -> None: ...
    def join(self, timeout: float | None = None) -> None: ...


Start = Callable[[PlanHeader, int], Driver]


def shards_at_once(settings: Settings, shards: int) -> int:
    """How many shards one machine drives at a time."""
    chosen = settings.shards_at_once
    if not chosen and settings.ray_address != "local":
        chosen = min(_MOST_DRIVERS, (os.cpu_count() or 1) // _CORES_A_DRIVER)
    return max(1, min(chosen, shards))


def ray_settings(settings: Settings, drivers: int) -> Settings:
    """What a local Ray is started with that so many drivers share: room for the replicas of all of them."""
    each = settings.replicas // drivers if settings.replicas else local_replicas(settings)
    return settings if drivers == 1 else settings.model_copy(update={"replicas": drivers * max(1, each)})


def driver_settings(settings: Settings, drivers: int, *, on_cpus: bool) -> Settings:
    """The settings of one of so many drivers that share what the run may have.

    Replicas are limited for all together, but for one that each needs: to those that were asked for, or that this machine's
    cores carry. How many GPUs there are limits them by itself.

    Args:
        settings: of the run.
        drivers: on this machine at a time.
        on_cpus: whether a Ray that was started here has no GPU.
    """
    changes: dict[str, object] = {"budget_hours": 0.0, "shards": 1, "steal_lease": False}
    most = settings.replicas or (local_replicas(settings) if on_cpus else 0)
    if most and drivers > 1:
        each = max(1, most // drivers)
        changes |= {"replicas": each, "min_replicas": min(settings.min_replicas, each)}
    return settings.model_copy(update=changes)


class Coordinator:
    """One run in shards.

    Args:
        plan: from `make_plan`.
        settings: the same settings.
        lease: of the output, held by this run.
        stop: asks the run to end; SIGINT, SIGTERM and the end of `budget_hours` do, too.
        shards: how many there are to be.
        flow_run_id: Prefect's id.

    Attributes:
        failures: the first rows that failed, by column, once the run is over.
    """

    def __init__(
        self, plan: Plan, settings: Settings, lease: Lease, stop: Stop, shards: int, flow_run_id: str = ""
    ) -> None:
        self.plan, self.settings, self.lease, self.stop = plan, settings, lease, stop
        self.store: Store = open_store(settings.output, settings.retry_seconds)
        self.shards, self.flow_run_id = shards, flow_run_id
        self.failures: list[dict[str, str]] = []
        # By shard: the process, and how many drivers the shard had had when it was started.
        self._local: dict[int, tuple[Driver, int]] = {}
        self._unborn: Counter[int] = Counter()  # processes that ended before they took their shard
        self._given_up: dict[int, str] = {}
        self._next_look = 0.0
        self._told = False

    def go(self, start: Start, tell: Callable[[int, int], None], at_once: int) -> Outcome:
        """All of it.

        Args:
            start: starts a process on this machine that drives a shard.
            tell: called with the items that are done and those that failed, for progress.
            at_once: processes at a time on this machine.

        Raises:
            OSError: the store cannot be written or read.
        """
        if not self.plan.claimed:
            claim_output(self.store)
        outcome = self._final_rows()
        header = write_slices(self.store, self.plan, self.settings, self.lease, self.shards)
        board = Board(self.store, header)
        self.stop.when_requested(self.lease.drain)
        self.lease.when_lost(lambda: self.stop.request(_LOST))
        published = _Published(self, board)
        grace = self.settings.drain_seconds + _LATER
        with handle_signals(self.stop, grace), time_budget(self.stop, self.settings.budget_hours):
            try:
                while self._step(board, partial(start, header), at_once):
                    tell(*published.beat())
            except DrainTimeout:
                self.stop.request("interrupted")
            finally:
                self._end_local()
            if not self.lease.lost:
                board.look()
        self._finish(board, header, outcome)
        published.end()
        return outcome

    def _final_rows(self) -> Outcome:
        """What needs no shard is recorded first."""
        plan = replace(self.plan, pending=self.plan.pending.select(()), claimed=True)
        if not plan.final_rows:
            return Outcome()
        own = self.settings.model_copy(update={"budget_hours": 0.0})
        return run(plan, own, run_id=self.lease.run_id, flow_run_id=self.flow_run_id, lease=self.lease)

    def _step(self, board: Board, start: Callable[[int], Driver], at_once: int) -> bool:
        """Look, and start what is free; whether there is something to wait for."""
        self._look_if_due(board)
        if self.stop.requested:
            return self._drains(board)
        for each in board.of(FREE):
            if each.shard in self._local or each.shard in self._given_up:
                continue
            faults = each.faults + self._unborn[each.shard]
            if faults >= _MOST_FAULTS:
                why = each.end.fault if each.end is not None and each.end.fault else "its process died"
                self._given_up[each.shard] = f"shard {each.shard} of {self.shards} failed {faults} times ({why})"
                logs.event(logging.WARNING, "shard given up", run_id=self.lease.run_id, shard=each.shard, reason=why)
            elif len(self._local) < at_once:
                self._local[each.shard] = start(each.shard), each.tries
        waiting = [each for each in board.shards if each.state != DONE and each.shard not in self._given_up]
        if not waiting and not self._local and self._given_up:
            self.stop.request("; ".join(self._given_up.values()))
        time.sleep(_POLL if waiting or self._local else 0)
        return bool(waiting or self._local)

    def _look_if_due(self, board: Board) -> None:
        ended = [shard for shard, (driver, _) in self._local.items() if not driver.is_alive()]
        if not ended and time.monotonic() < self._next_look:
            return
        try:
            board.look()
        except (OSError, StoreError) as error:  # a store that does not answer: the lease says when that is too long
            logs.event(logging.WARNING, "shards not seen", run_id=self.lease.run_id, reason=str(error))
            return
        self._next_look = time.monotonic() + min(_LOOK, self.settings.lease_seconds / 6)
        for shard in ended:
            _, tries = self._local.pop(shard)
            self._unborn[shard] += board.shards[shard - 1].tries == tries

    def _drains(self, board: Board) -> bool:
        """Whether somebody still finishes what was begun."""
        if not self._told:
            self._told = True
            for driver, _ in self._local.values():
                driver.terminate()
        time.sleep(_POLL)
        return bool(self._local) or (not self.lease.lost and any(board.of(HELD)))

    def _end_local(self) -> None:
        """Leave no process behind: whatever still runs has had its time."""
        drivers = [driver for driver, _ in self._local.values() if driver.is_alive()]
        for driver in drivers:
            driver.terminate()
        until = time.monotonic() + _LATER
        for driver in drivers:
            driver.join(max(0.0, until - time.monotonic()))
            if driver.is_alive():
                driver.kill()
                driver.join()

    def _finish(self, board: Board, header: PlanHeader, outcome: Outcome) -> None:
        """Count, and clear up; nothing is written where the output is another run's by now."""
        outcome.stopped, outcome.signal = self.stop.reason, self.stop.signal
        for each in board.shards:
            end = each.end
            if each.tries and not (end and end.counted) and each.state != HELD and not self.lease.lost:
                end = self._settled(header, each)
            if end is None or not end.counted:
                outcome.left += each.rows
                continue
            end.add_to(outcome)
            self.failures += end.failures
        if self.lease.lost or any(board.of(HELD)):
            return  # whoever takes the output next clears up
        self.store.remove_folder(plan_folder(header.run_id))
        if any(each.faults for each in board.shards):
            clear_unfinished(self.store, 0)

    def _settled(self, header: PlanHeader, each: ShardState) -> ShardEnd | None:
        """What drivers that died had done of a shard; None where that cannot be found out now, and the next plan will."""
        try:
            return settle_shard(self.store, header, each.shard, driver_settings(self.settings, 1, on_cpus=False))
        except (ValueError, OSError) as error:
            logs.event(logging.WARNING, "shard not settled", shard=each.shard, reason=str(error))
            return None


class _Published:
    """The run's progress: of all shards together, in the store and for whoever looks on.

    Args:
        of: the run.
        board: its shards.
    """

    def __init__(self, of: Coordinator, board: Board) -> None:
        self._of, self._board = of, board
        planned = len(of.plan.pending)
        self._progress = Progress(run_id=of.lease.run_id, planned=planned, started_at=time.time())
        self._publisher = Publisher(of.store, lambda: self._progress)

    def beat(self) -> tuple[int, int]:
        """Publish if it is time; items that are done, and those of them that failed."""
        progress, shards = self._progress, self._board.shards
        failed = sum(each.failed_rows for each in shards)
        done = max(progress.done, sum(each.done_rows for each in shards))
        if done > progress.done:
            progress.last_done_at = time.time()
        progress.failed, progress.restored = failed, max(0, done - failed)
        progress.parts = sum(each.progress.parts for each in shards if each.progress is not None)
        progress.stopping = self._of.stop.reason
        progress.state = DRAINING if progress.stopping else progress.state
        self._publisher.beat()
        return done, failed

    def end(self) -> None:
        """Publish the last word, unless the output is another run's."""
        if not self._of.lease.lost:
            self.beat()
            self._progress.state = ENDED
            self._publisher.publish()
