"""An archive whose plan lies in slices, and drivers of its shards that did what a real one leaves behind, without a model."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from archive_steps import archive_settings, picture, restore_without_model, save_photo

from pipelines.manifest.runs import new_run_id
from pipelines.plan.header import PlanHeader
from pipelines.plan.plan import Plan, make_plan
from pipelines.plan.slices import read_slice, write_slices
from pipelines.rows import Row
from pipelines.settings import Settings
from pipelines.store.layout import shard_folder, shard_run
from pipelines.store.lease import Lease, hold_lease
from pipelines.store.lease_files import LeasePlace
from pipelines.store.store import Store


def make_archive(folder: Path, count: int, side: int = 24, **changes: object) -> Settings:
    """So many photographs, no two alike, in two folders."""
    for number in range(count):
        save_photo(folder / "scans" / f"box {number % 2}" / f"{number:02d}.png", picture(side, side, seed=number))
    return archive_settings(folder, **{"preset": "nano", "upscale": 1, "cpu_threads": 1, "replicas": 1, **changes})


@dataclass
class Sharded:
    """A run that has planned in shards and holds the output."""

    settings: Settings
    store: Store
    plan: Plan
    header: PlanHeader
    lease: Lease

    def drive(self, shard: int, items: int, *, recorded: int) -> list[Row]:
        """A driver that takes a shard, finishes its first items, and dies when so many of them are in the manifest.

        Args:
            shard: its number.
            items: that it finishes, with their sidecars.
            recorded: of these, those whose rows reach the manifest.
        """
        rows = read_slice(self.store, self.header, shard)
        place = LeasePlace(shard_folder(self.header.run_id, shard), self.lease.number)
        with hold_lease(self.store, run_id=shard_run(self.header.run_id, shard), seconds=30, place=place) as lease:
            name = f"{lease.run_id}-{lease.number}"
            done = list[Row]()
            for part, record in ((rows[:recorded], True), (rows[recorded:items], False)):
                plan = Plan(pending=part, final_rows=self.plan.final_rows[:0])
                done += restore_without_model(self.settings, plan, run_id=name, record=record)
        return done


@contextmanager
def planned(settings: Settings, shards: int, seconds: float = 30) -> Iterator[Sharded]:
    """Hold the output for a run that has written its slices."""
    store = Store(settings.output)
    with hold_lease(store, run_id=new_run_id(), seconds=seconds) as lease:
        plan = make_plan(settings)
        yield Sharded(settings, store, plan, write_slices(store, plan, settings, lease, shards), lease)
