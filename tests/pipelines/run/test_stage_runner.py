"""The stage runner: rows pass while the lease holds, finish while it drains, and are held back, unharmed, when it is lost."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, ClassVar

import pyarrow as pa
import pytest
from archive_steps import picture, table_of

from pipelines.rows import FAILED, HELD_BACK, PART_DONE, PENDING, Row, new_row, put_pixels
from pipelines.run.stage_runner import RunContext, StageRunner, hold_back
from pipelines.store.lease import Fence, hold_lease
from pipelines.store.store import Store


class Marking:
    """A stage that marks each row that it gets to see."""

    name: ClassVar[str] = "marking"
    fallback_code: ClassVar[str] = "corrupt"

    def __init__(self, settings: Any) -> None:
        if settings == "broken":
            raise RuntimeError("no memory\non the device")

    def core(self, row: Row) -> Iterator[Row]:
        if row["caption"]:
            raise ValueError("marked before")
        yield {**row, "caption": "seen"}


class BatchMarking(Marking):
    """The same for several rows at once; one that is called `alone` must be by itself."""

    def core_batch(self, rows: list[Row]) -> list[Row]:
        if len(rows) > 1 and any(row["source_path"] == "alone" for row in rows):
            raise RuntimeError("not together")
        return [result for row in rows for result in self.core(row)]


def rows() -> list[Row]:
    first, second = (new_row(item_id=str(n), source_path=f"{n}.png", icc_profile=b"profile") for n in range(2))
    for row in (first, second):
        put_pixels(row, picture(8, 8))
    return [first, second, new_row(source_path="bad.png") | {"status": FAILED}, new_row() | {"status": PART_DONE}]


@pytest.fixture
def store() -> Store:
    return Store(f"memory://{uuid.uuid4().hex}")


def runner(fence: Fence, settings: Any = None, stage: Any = Marking, **options: Any) -> StageRunner:
    return StageRunner(stage, settings, RunContext(fence, "one"), **options)


def actor(described: StageRunner) -> Any:
    """An actor's object, as Ray creates it."""
    return described.actor()(described)


def through(fence: Fence, settings: Any = None, **options: Any) -> list[Row]:
    tables = list(runner(fence, settings, **options).task()(table_of(*rows())))
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
        for stage in (Marking, BatchMarking):
            held = actor(runner(fence, stage=stage))(table_of(*rows())).to_pylist()
            assert [row["status"] for row in held] == [HELD_BACK, HELD_BACK, FAILED, PART_DONE]
            assert held[0]["pixels"] is held[0]["caption"] is None
    waited(fence, "lost")
    assert [row["status"] for row in through(fence, writes=True)][:2] == [HELD_BACK, HELD_BACK]


def test_a_stage_that_cannot_be_created_says_so_once_a_row(store: Store) -> None:
    with hold_lease(store, run_id="one", seconds=30) as lease:
        for found in (
            through(lease.fence(), "broken"),
            actor(runner(lease.fence(), "broken"))(table_of(*rows())).to_pylist(),
        ):
            assert [row["status"] for row in found] == [HELD_BACK, HELD_BACK, FAILED, PART_DONE]
            assert found[0]["error_reason"] == "RuntimeError: no memory on the device"
            assert found[2]["error_reason"] is None


def test_rows_are_made_where_they_are_needed(store: Store) -> None:
    with hold_lease(store, run_id="one", seconds=30) as lease:
        described = runner(lease.fence(), expand=lambda table: [new_row(source_path="a", run_id="r")])
        (table,) = described.task()(pa.table({"item_id": ["a"]}))
        assert table.to_pylist()[0]["caption"] == "seen"


def test_tables_without_pending_rows_stay_as_they_are() -> None:
    table = table_of(new_row() | {"status": FAILED})
    assert hold_back(table) is table
    assert hold_back(table_of(new_row())).to_pylist()[0]["status"] == HELD_BACK != PENDING


def test_a_stage_runs_on_an_actor_as_on_tasks(store: Store) -> None:
    with hold_lease(store, run_id="one", seconds=30) as lease:
        for stage in (Marking, BatchMarking):
            described = runner(lease.fence(), stage=stage)
            table = actor(described)(table_of(*rows()))
            assert [row["caption"] for row in table.to_pylist()] == ["seen", "seen", None, None]
            assert [one.to_pylist() for one in described.task()(table_of(*rows()))] == [table.to_pylist()]
            assert described.actor().__name__ == described.task().__name__ == stage.__name__


def test_of_rows_that_fail_together_the_culprit_alone_fails(store: Store) -> None:
    with hold_lease(store, run_id="one", seconds=30) as lease:
        first, bad = rows()[:2]
        table = table_of(
            first, bad | {"caption": "before"}, first | {"source_path": "alone"}, new_row() | {"status": FAILED}
        )
        found = actor(runner(lease.fence(), stage=BatchMarking))(table).to_pylist()
    assert [row["status"] for row in found] == [PENDING, FAILED, PENDING, FAILED]
    assert [row["source_path"] for row in found] == ["0.png", "1.png", "alone", None]
    assert (found[1]["error_stage"], found[1]["error_code"]) == ("marking", "corrupt")
    assert found[1]["error_reason"].startswith("1.png: ValueError: marked before at core:")


def test_logs_and_spans_carry_the_run_and_the_stage(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    spans: list[tuple[Any, ...]] = []
    monkeypatch.setattr("pipelines.run.stage_observer.add_span", lambda *about: spans.append(about))
    with hold_lease(store, run_id="one", seconds=30) as lease:
        for stage in (Marking, BatchMarking):
            context = RunContext(lease.fence(), "one", "00-trace-parent-01")
            actor(StageRunner(stage, SimpleNamespace(), context))(table_of(*rows()))  # type: ignore[arg-type]
    assert [(name, parent) for name, parent, *_ in spans] == [("marking", "00-trace-parent-01")] * 4
    assert [about["source_path"] for *_, about in spans] == ["0.png", "1.png"] * 2
    assert {(about["stage"], about["device"], about["status"]) for *_, about in spans} == {("marking", "cpu", "ok")}
