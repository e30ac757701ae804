"""What a run's shards are at, from what their drivers leave in the output store: who holds which, what is done, what is free.

A shard's folder holds the leases of its drivers, numbered, and beside each how that driver ended. One listing of the plan's
folder tells all, whatever the number of items; the files of shards that are held are read at each look, all others once.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import PurePosixPath

from pipelines.plan.header import PlanHeader
from pipelines.run.outcome import Outcome
from pipelines.store.layout import PLANS, plan_folder, shard_folder, shard_run
from pipelines.store.lease import LeaseError
from pipelines.store.lease_files import newest_lease
from pipelines.store.store import Store
from pipelines.telemetry.progress import Progress, read_progress

__all__ = ["DONE", "FREE", "HELD", "Board", "ShardEnd", "ShardState", "clear_plans", "write_end"]

FREE, HELD, DONE = "free", "held", "done"
_LOOK = 0.5  # seconds between two looks at a driver that is awaited


@dataclass(kw_only=True)
class ShardEnd:
    """How a driver of a shard ended, with what all drivers of the shard have done together.

    Attributes:
        run_id: the driver's own, as in manifest rows.
        restored, failed, with_warnings: items.
        by_code: failed items by error code.
        warnings: the commonest, with the number of items that have each.
        left: items that nobody got to.
        stopped: why the driver ended before the shard's end; empty if it did not.
        signal: number of the signal that ended it, or 0.
        fault: why it could not work, in one line; another driver may be able to.
        failures: the first rows that failed, by column.
        counted: whether it came to count; else the numbers say nothing.
    """

    run_id: str
    restored: int = 0
    failed: int = 0
    with_warnings: int = 0
    by_code: dict[str, int] = field(default_factory=dict)
    warnings: dict[str, int] = field(default_factory=dict)
    left: int = 0
    stopped: str = ""
    signal: int = 0
    fault: str = ""
    failures: list[dict[str, str]] = field(default_factory=list)
    counted: bool = False

    def dumps(self) -> bytes:
        return (json.dumps(asdict(self), indent=1) + "\n").encode()

    @classmethod
    def loads(cls, data: bytes) -> ShardEnd | None:
        """How it ended, or None if the bytes do not say it: then it counts as died."""
        try:
            return cls(**json.loads(data))
        except (ValueError, TypeError):
            return None

    def add_to(self, outcome: Outcome) -> None:
        """Count the shard's items as a run's."""
        outcome.restored += self.restored
        outcome.failed += self.failed
        outcome.with_warnings += self.with_warnings
        outcome.left += self.left
        for code, items in self.by_code.items():
            outcome.by_code[code] = outcome.by_code.get(code, 0) + items
        for text, items in self.warnings.items():
            outcome.warnings.add([text], items)


@dataclass(kw_only=True)
class ShardState:
    """A shard at the last look.

    Attributes:
        shard: its number.
        rows: its items.
        state: `FREE` (nobody is at it), `HELD` or `DONE`.
        tries: drivers that took it.
        end: how the last of them ended; None if none has, or if it died.
        faults: drivers that died, or could not work.
        progress: of the driver that holds it, as it last told it.
    """

    shard: int
    rows: int
    state: str = FREE
    tries: int = 0
    end: ShardEnd | None = None
    faults: int = 0
    progress: Progress | None = None

    @property
    def done_rows(self) -> int:
        """Items that are final, as far as is known."""
        if self.progress is not None:
            return self.rows - self.progress.planned + self.progress.done
        return self.rows - self.end.left if self.end is not None else 0

    @property
    def failed_rows(self) -> int:
        """Items that failed, as far as is known."""
        if self.progress is not None:
            return self.progress.failed
        return self.end.failed if self.end is not None else 0


def _end_path(run_id: str, shard: int, number: int) -> str:
    return f"{shard_folder(run_id, shard)}/ended-{number:08d}.json"


def write_end(store: Store, run_id: str, shard: int, number: int, end: ShardEnd) -> None:
    """Say how driver `number` of a shard ended. Raises OSError."""
    store.publish(_end_path(run_id, shard, number), end.dumps())


class Board:
    """The shards of a run.

    Args:
        store: the output store.
        header: of the run's plan.

    Attributes:
        shards: as of the last look, in order.
    """

    def __init__(self, store: Store, header: PlanHeader) -> None:
        self._store, self._header = store, header
        self._ends: dict[tuple[int, int], ShardEnd | None] = {}
        self.shards = [
            ShardState(shard=number, rows=about.rows, state=FREE if about.rows else DONE)
            for number, about in enumerate(header.slices, 1)
        ]

    def look(self) -> None:
        """Look at the store: one listing, and two reads a shard that is held.

        Raises:
            StoreError: it cannot be listed.
            OSError: it cannot be read.
        """
        leases: dict[int, set[int]] = {}
        ends: dict[int, set[int]] = {}
        for entry in self._store.list(plan_folder(self._header.run_id)):
            folder, stem = PurePosixPath(entry.path).parent.name, PurePosixPath(entry.path).stem
            if folder.startswith("shard-"):
                found = ends if stem.startswith("ended-") else leases
                found.setdefault(int(folder.removeprefix("shard-")), set()).add(int(stem.removeprefix("ended-")))
        for each in self.shards:
            if each.rows:
                self._see(each, max(leases.get(each.shard, {0})), ends.get(each.shard, set()))

    def _see(self, each: ShardState, tries: int, ended: set[int]) -> None:
        known = {number: self._end(each.shard, number) for number in ended}
        each.tries, each.end, each.progress = tries, known.get(tries), None
        well = sum(end is not None and not end.fault for end in known.values())
        if each.end is not None:
            each.state = FREE if each.end.left or each.end.fault else DONE
        elif tries and self._holds(each.shard):
            each.state, well = HELD, well + 1
            each.progress = read_progress(self._store, shard_run(self._header.run_id, each.shard))
        else:
            each.state = FREE
        each.faults = tries - well

    def _holds(self, shard: int) -> bool:
        lease = newest_lease(self._store, shard_folder(self._header.run_id, shard))[1]
        return lease is not None and lease.blocks()

    def _end(self, shard: int, number: int) -> ShardEnd | None:
        if (shard, number) not in self._ends:
            self._ends[shard, number] = ShardEnd.loads(self._store.read(_end_path(self._header.run_id, shard, number)))
        return self._ends[shard, number]

    def of(self, state: str) -> Iterator[ShardState]:
        """The shards in a state."""
        return (each for each in self.shards if each.state == state)


def clear_plans(store: Store, patience: float) -> int:
    """Remove the plans of runs that are over, as those that died leave them, once nobody works on their shards any more.

    Drivers find within a sixth of a lease's time that the output has another run, and end. One listing where there are none.

    Args:
        store: the output store, whose lease is held by whoever calls.
        patience: seconds that a driver may take to notice.

    Returns:
        How many there were.

    Raises:
        LeaseError: a driver goes on.
        StoreError: the store cannot be listed.
    """
    folders: dict[str, set[str]] = {}
    for entry in store.list(PLANS):
        run, *rest = entry.path.removeprefix(f"{PLANS}/").split("/")
        shards = folders.setdefault(run, set())
        if len(rest) > 1:
            shards.add(f"{plan_folder(run)}/{rest[0]}")
    until = time.monotonic() + patience
    for run, shards in folders.items():
        for folder in sorted(shards):
            while (lease := newest_lease(store, folder)[1]) is not None and lease.blocks():
                if time.monotonic() > until:
                    raise LeaseError(
                        f"output {store.uri('')}: {lease.run_id} on {lease.host} (process {lease.process}) goes on although "
                        "its run is over; end that process, or wait until it does"
                    )
                time.sleep(_LOOK)
        store.remove_folder(plan_folder(run))
    return len(folders)
