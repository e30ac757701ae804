"""Guards: rows pass while the lease holds, finish while it drains, and are held back, unharmed, when it is lost."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from archive_steps import picture, table_of

from pipelines.rows import FAILED, HELD_BACK, PART_DONE, PENDING, Row, new_row, put_pixels, to_table
from pipelines.run.guards import guarded_actor, guarded_task, held_back
from pipelines.stages.adapter import stream_rows
from pipelines.store.lease import Fence, hold_lease
from pipelines.store.store import Store


class Marking:
    """A stage that marks each row that it gets to see."""

    def __init__(self, settings: Any) -> None:
        if settings == "broken":
            raise RuntimeError("no memory\non the device")
        self.seen: list[str] = []

    def stream(self, table: Any) -> Iterator[Any]:
        return stream_rows("marking", "corrupt", self.core, table)

    def core(self, row: Row) -> Iterator[Row]:
        yield {**row, "caption": "seen"}

    def __call__(self, table: Any) -> Any:
        return to_table([{**row, "caption": "seen"} for row in table.to_pylist()])


def rows() -> list[Row]:
    first, second = (new_row(item_id=str(n), source_path=f"{n}.png", icc_profile=b"profile") for n in range(2))
    for row in (first, second):
        put_pixels(row, picture(8, 8))
    return [first, second, new_row(source_path="bad.png") | {"status": FAILED}, new_row() | {"status": PART_DONE}]


@pytest.fixture
def store() -> Store:
    return Store(f"memory://{uuid.uuid4().hex}")


def through(fence: Fence, settings: Any = None, **options: Any) -> list[Row]:
    tables = list(guarded_task(Marking, settings, fence, **options)(table_of(*rows())))
    assert len(tables) == 1, "small rows leave together"
    return tables[0].to_pylist()


def waited(fence: Fence, state: str) -> Fence:
    end = time.monotonic() + 10
    while fence.state() != state:
        assert time.monotonic() < end
        time.sleep(0.02)
    return fence


def test_while_the_lease_holds_drains_and_is_gone(store: Store) -> None:
    with hold_lease(store, run_id="one", seconds=0.6) as lease:
        fence = lease.fence()
        assert [row["caption"] for row in through(fence)] == ["seen", "seen", None, None]
        lease.drain()
        waited(fence, "draining")
        begun = through(fence)
        assert [row["status"] for row in begun] == [HELD_BACK, HELD_BACK, FAILED, PART_DONE]
        assert begun[0]["pixels"] is begun[0]["icc_profile"] is begun[0]["caption"] is begun[0]["error_reason"] is None
        assert begun[0]["item_id"] == "0"
        assert [row["caption"] for row in through(fence, writes=True)] == ["seen", "seen", None, None]
        actor = guarded_actor(Marking)(fence, settings=None)
        assert [row["status"] for row in actor(table_of(*rows())).to_pylist()][:2] == [HELD_BACK, HELD_BACK]
    waited(fence, "lost")
    assert [row["status"] for row in through(fence, writes=True)][:2] == [HELD_BACK, HELD_BACK]


def test_a_stage_that_cannot_be_made_says_so_once_a_row(store: Store) -> None:
    with hold_lease(store, run_id="one", seconds=30) as lease:
        for found in (
            through(lease.fence(), "broken"),
            guarded_actor(Marking)(lease.fence(), settings="broken")(table_of(*rows())).to_pylist(),
        ):
            assert [row["status"] for row in found] == [HELD_BACK, HELD_BACK, FAILED, PART_DONE]
            assert found[0]["error_reason"] == "RuntimeError: no memory on the device"
            assert found[2]["error_reason"] is None


def test_rows_are_made_where_they_are_needed(store: Store) -> None:
    with hold_lease(store, run_id="one", seconds=30) as lease:
        call = guarded_task(Marking, None, lease.fence(), expand=lambda table: [new_row(source_path="a", run_id="r")])
        (table,) = call(None)
        assert table.to_pylist()[0]["caption"] == "seen"


def test_tables_without_pending_rows_stay_as_they_are() -> None:
    table = table_of(new_row() | {"status": FAILED})
    assert held_back(table) is table
    assert held_back(table_of(new_row())).to_pylist()[0]["status"] == HELD_BACK != PENDING
