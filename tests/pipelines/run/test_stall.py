"""A run in which nothing happens any more ends, and says what waits for what."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import ray

import pipelines.run.driver
from pipelines.manifest.runs import new_run_id
from pipelines.plan.plan import make_plan
from pipelines.rows import Row
from pipelines.run.driver import run
from pipelines.run.pools import Pool, Resources
from pipelines.run.row_feed import RowFeed
from pipelines.run.stall import StallWatch
from pipelines.settings import Settings

RESOURCES = Resources(
    restore=Pool(num_cpus=2), caption=Pool(num_cpus=2), replicas=1, rows_per_call=1, threads=2
)  # fmt: skip


def test_a_stall_says_what_waits_for_what(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr(ray, "cluster_resources", lambda: {"CPU": 2.0})
    monkeypatch.setattr(ray, "available_resources", lambda: {})
    watch = StallWatch(30, RESOURCES, clock=lambda: now)
    now = 1799.0
    assert not watch.is_over()
    watch.see()
    now = 1799.0 + 1800
    assert watch.is_over()
    assert watch.reason({"a.png", "b.png"}, joining=False) == (
        "nothing was done for 30 minutes of --stall-minutes: 2 items wait (a.png, b.png); a replica takes 2 CPU, and reading "
        "and writing 1 CPU; free in the cluster: 0 of 2 CPU. Free what else runs there, or raise --stall-minutes if a part "
        "truly takes so long"
    )
    assert not StallWatch(0, RESOURCES, clock=lambda: 1e9).is_over()


@pytest.mark.ray
def test_a_run_that_waits_for_ever_ends_by_itself(
    tmp_path: Path, ray_session: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a cluster whose CPUs another job holds: it stood at `0 of 2 done`."""
    from PIL import Image

    (tmp_path / "in").mkdir()
    Image.new("L", (40, 40), 90).save(tmp_path / "in/a.png")
    never = threading.Event()

    def waiting(stream: object) -> Iterator[Row]:
        never.wait(60)
        yield from ()

    monkeypatch.setattr(pipelines.run.driver, "final_rows", waiting)
    settings = Settings(
        source=str(tmp_path / "in"), output=str(tmp_path / "out"), replicas=1, stall_minutes=1 / 60
    )  # fmt: skip
    started = time.monotonic()
    try:
        outcome = run(make_plan(settings), settings, run_id=new_run_id())
    finally:
        never.set()
    assert time.monotonic() - started < 30
    assert outcome.left == 1
    assert outcome.stopped.startswith(
        "nothing was done for 0.0166667 minutes of --stall-minutes: 1 item waits (a.png); a "
    )


def test_a_feed_hands_on_rows_and_what_the_stream_raised() -> None:
    def stream() -> Iterator[Row]:
        yield {"part": 1}  # type: ignore[typeddict-item]
        raise RuntimeError("the head is gone")

    with RowFeed(stream()) as feed:
        assert feed.take(5) == {"part": 1}
        with pytest.raises(RuntimeError, match="the head is gone"):
            feed.take(5)
        assert feed.ended


def test_a_feed_that_is_left_closes_its_stream() -> None:
    closed = threading.Event()

    def stream() -> Iterator[Row]:
        try:
            while True:
                yield {"part": 1}  # type: ignore[typeddict-item]
        finally:
            closed.set()

    with RowFeed(stream()) as feed:
        assert feed.take(5)
    assert closed.wait(10)
