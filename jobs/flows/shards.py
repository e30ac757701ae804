"""Flows of runs in shards: `restore-shard` drives one, `work-archive` takes what is free from a machine of its own.

A run in shards is the flow `restore-archive` as ever; `restore_in_shards` is what it does instead of driving all by itself.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TypedDict

import ray
from prefect import flow
from prefect.flow_engine import run_flow_in_subprocess
from prefect.runtime import flow_run
from prefect.settings import PREFECT_API_URL, temporary_settings
from ray.exceptions import RayError

from faithdiff_model.redaction import redact
from jobs.console.summary import Failure
from jobs.service.server import server_address
from pipelines.plan.header import PlanFileError, PlanHeader, check_shard, read_header
from pipelines.plan.plan import Plan
from pipelines.run.cluster import connected, own_address
from pipelines.run.coordinator import Coordinator, Driver, driver_settings, ray_settings, shards_at_once
from pipelines.run.outcome import Outcome
from pipelines.run.shard_board import FREE, Board
from pipelines.run.shards import FAILURES, run_shard
from pipelines.run.stop import Stop
from pipelines.settings import Settings
from pipelines.store.lease import Lease
from pipelines.store.lease_files import newest_lease
from pipelines.store.ownership import check_holds_records
from pipelines.store.store import Store, StoreError
from pipelines.store.stores import open_store

__all__ = ["ShardResult", "open_plan", "restore_in_shards", "restore_shard", "work_archive"]


class ShardResult(TypedDict):
    """What became of a shard in one driver's hands.

    Attributes:
        shard, shards: its number, and of how many.
        restored, failed, left: its items, also those of drivers before.
        stopped: why the driver ended early; empty if it did not.
        signal: number of the signal that ended it, or 0.
        fault: why it could not work, in one line; empty if it could.
    """

    shard: int
    shards: int
    restored: int
    failed: int
    left: int
    stopped: str
    signal: int
    fault: str


@flow(name="restore-shard", flow_run_name="shard-{shard}", persist_result=False)
def restore_shard(
    output: str,
    run_id: str,
    shard: int,
    changes: dict[str, object] | None = None,
    ray_at: str = "",
    apart: bool = False,
) -> ShardResult:
    """Drive one shard of a run in shards. What is wrong is told by the result, not raised: others may take the shard.

    Args:
        output: folder or URL of the results.
        run_id: that planned.
        shard: its number, from 1.
        changes: settings that are this machine's own.
        ray_at: address of a Ray that was started for the run on this machine.
        apart: leave the terminal's group of processes: its Ctrl-C is for the run, which passes on what it wants.
    """
    if apart:
        os.setpgid(0, 0)
    result = ShardResult(shard=shard, shards=0, restored=0, failed=0, left=0, stopped="", signal=0, fault="")
    try:
        store = open_store(output)
        header = read_header(store, run_id)
        settings = _settings_here(header, store, changes or {})
        result["shards"] = header.shards
        end = run_shard(store, header, shard, settings, ray_at=ray_at, flow_run_id=str(flow_run.id or ""))
    except (ValueError, OSError, RayError) as error:
        result["fault"] = redact(" ".join(str(error).split()) or type(error).__name__)
        return result
    result["restored"], result["failed"], result["left"] = end.restored, end.failed, end.left
    result["stopped"], result["signal"], result["fault"] = end.stopped, end.signal, end.fault
    return result


def _settings_here(header: PlanHeader, store: Store, changes: Mapping[str, object]) -> Settings:
    """The run's settings with this machine's own.

    Raises:
        StoreError: a store is elsewhere here, so that rows would name what is not there.
        ValueError: a change is none.
    """
    # The time budget is the run's: it drains all drivers.
    settings = Settings(**{**header.settings.model_dump(), "budget_hours": 0.0, **changes})
    theirs = open_store(header.settings.output)
    if theirs.uri("") != store.uri(""):
        raise StoreError(
            f"output {store.uri('')}: the run writes to {theirs.uri('')}; mount it at the same place on every machine"
        )
    open_store(header.settings.source).check_exists("source")
    return settings


@flow(name="work-archive", persist_result=False)
def work_archive(output: str, shard: int = 0, changes: dict[str, object] | None = None) -> list[ShardResult]:
    """Take shards of the run that is on in an archive, one after the other, until none is free.

    Args:
        output: folder or URL of the results.
        shard: this one alone; 0 takes all that are free.
        changes: settings that are this machine's own, such as `ray_address`; the others are the run's.

    Raises:
        ValueError: no run in shards is on, or it has no such shard.
    """
    return work_through(output, shard, changes or {}, restore_shard)


def work_through(
    output: str, shard: int, changes: dict[str, object], drive: Callable[..., ShardResult]
) -> list[ShardResult]:
    """What `work_archive` does; `drive` is the flow `restore_shard`, or what takes its place."""
    store = open_store(output)
    header = open_plan(store)
    if shard:
        check_shard(header, shard)
        return [drive(output, header.run_id, shard, changes)]
    board, done, tried = Board(store, header), list[ShardResult](), set[int]()
    while True:
        board.look()
        free = [each.shard for each in board.of(FREE) if each.shard not in tried]
        if not free or (done and (done[-1]["signal"] or done[-1]["stopped"])):
            return done
        # Not all machines at the first one: each begins at another place, and goes round.
        first = (os.getpid() + len(tried)) % len(free)
        tried.add(free[first])
        done.append(drive(output, header.run_id, free[first], changes))


def open_plan(store: Store) -> PlanHeader:
    """The plan of the run that is on in an output.

    Raises:
        StoreError: there is none, or it is not in shards; says what to do.
        PlanFileError: its header is damaged or another version's.
    """
    check_holds_records(store)
    lease = newest_lease(store)[1]
    begin = "begin one by faitharchive restore SOURCE OUTPUT --shards N, and work on it from here while it is on"
    if lease is None or not lease.blocks():
        raise StoreError(f"output {store.uri('')}: no run is on, so there is no shard to take; {begin}")
    try:
        return read_header(store, lease.run_id)
    except PlanFileError as error:
        if not isinstance(error.__cause__, FileNotFoundError):
            raise
        raise StoreError(
            f"output {store.uri('')}: run {lease.run_id} has no shards to take: it still plans, is in one piece, or is another "
            f"command; try again in a moment, or {begin}"
        ) from error


def restore_in_shards(
    plan: Plan,
    settings: Settings,
    lease: Lease,
    stop: Stop,
    shards: int,
    tell: Callable[[int, int], None],
) -> tuple[Outcome, list[Failure]]:
    """Carry a plan out in shards, each a flow within this one, in a process of its own.

    Args:
        plan, settings: as of a run in one piece.
        lease: of the output.
        stop: asks the run to end.
        shards: how many.
        tell: called with the items that are done and those that failed.
    """
    at_once = shards_at_once(settings, shards)
    run_of_all = Coordinator(plan, settings, lease, stop, shards, str(flow_run.id or ""))
    with _local_ray(settings, at_once) as (ray_at, on_cpus):
        own = driver_settings(settings, at_once, on_cpus=on_cpus)
        changes = {name: value for name, value in own.model_dump().items() if value != getattr(settings, name)}
        outcome = run_of_all.go(lambda header, shard: _start(header, shard, changes, ray_at), tell, at_once)
    failures = [Failure(**each) for each in run_of_all.failures[:FAILURES]]  # type: ignore[typeddict-item]
    return outcome, failures


@contextmanager
def _local_ray(settings: Settings, drivers: int) -> Iterator[tuple[str, bool]]:
    """A Ray on this machine that its drivers share: where it is, and whether it has no GPU. A cluster is joined by each."""
    if settings.ray_address != "local":
        yield "", False
        return
    with connected(ray_settings(settings, drivers)):
        yield own_address(), not ray.cluster_resources().get("GPU")


def _start(header: PlanHeader, shard: int, changes: dict[str, object], ray_at: str) -> Driver:
    """A process with a flow in it, which is shown within this one."""
    parameters = {"output": header.settings.output, "run_id": header.run_id, "shard": shard, "changes": changes}
    parameters |= {"ray_at": ray_at, "apart": True}
    address = server_address()
    # The server that Prefect started for this process alone is the child's, too; it would start one of its own.
    with temporary_settings({PREFECT_API_URL: address} if address else {}):
        return run_flow_in_subprocess(restore_shard, parameters=parameters)
