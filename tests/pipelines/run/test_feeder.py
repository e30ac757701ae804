"""What is handed to a stream, and when: few blocks at a time, segments first, what is missing alone, nothing after a stop."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pyarrow as pa
import pytest

from pipelines.manifest.naming import item_id
from pipelines.plan.pending import PENDING_SCHEMA, PendingRows, RowBuilder
from pipelines.rows import CUT, Row, new_row
from pipelines.run import assembly, feeder
from pipelines.run.block_feed import BlockFeed
from pipelines.run.feeder import Feeder
from pipelines.store.store import Store


class Stream:
    """Keeps what it is given."""

    def __init__(self) -> None:
        self.blocks: list[list[str]] = []
        self.closed = False
        self.idle = False

    def add(self, block: pa.Table) -> None:
        self.blocks.append(block["source_path"].to_pylist())

    def close(self) -> None:
        self.closed = True

    def tables(self) -> Iterator[pa.Table]:
        yield from ()


def pending(*names: str, size: int = 100) -> PendingRows:
    columns = {field.name: [None] * len(names) for field in PENDING_SCHEMA}
    columns |= {"source_path": list(names), "item_id": [item_id(name) for name in names]}  # type: ignore[dict-item]
    columns |= {"source_size": [size] * len(names)}  # type: ignore[dict-item]
    columns |= {"media_kind": ["film" if name.endswith("mkv") else "photo" for name in names]}  # type: ignore[dict-item]
    builder = RowBuilder(Store("."), Store("."), settings_digest="", model_digest="", seed=0)
    return PendingRows(pa.table(columns, schema=PENDING_SCHEMA), builder)


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feeder, "_BLOCKS", 2)
    monkeypatch.setattr(feeder, "_BLOCKS_A_REPLICA", 1)
    monkeypatch.setattr(assembly, "_BLOCK_ROWS", 2)


def feeding(rows: PendingRows, *, alone: bool = False) -> tuple[Feeder, Stream]:
    stream = Stream()
    return Feeder(rows, stream, lambda: 1, alone=alone), stream


def segment(name: str, part: int) -> Row:
    return new_row(item_id=item_id(name), source_path=name, media_kind="film", part=part) | {"status": CUT}


def test_so_many_blocks_at_a_time_and_the_next_when_a_whole_one_is_out() -> None:
    hands, stream = feeding(pending(*(f"{number}.png" for number in range(9)), "a.mkv"))
    hands.top_up()
    assert stream.blocks == [["0.png", "1.png"], ["2.png", "3.png"], ["4.png", "5.png"]]
    hands.finished(item_id("2.png"))
    hands.top_up()
    assert len(stream.blocks) == 3
    hands.streamed(item_id("3.png"))  # its parts are all out, and it is still to be joined
    hands.top_up()
    assert stream.blocks[3:] == [["6.png", "7.png"]]
    assert set(hands.missing) == {item_id(f"{number}.png") for number in (0, 1, 3, 4, 5, 6, 7)}
    for number in (0, 1, 4, 5):
        hands.finished(item_id(f"{number}.png"))
    assert not hands.exhausted
    hands.top_up()
    assert stream.blocks[4:] == [["8.png"], ["a.mkv"]]
    assert hands.exhausted
    assert not stream.closed


def test_segments_of_a_film_that_is_begun_go_first_and_one_by_one() -> None:
    hands, stream = feeding(pending("a.mkv", "b.mkv", "c.mkv", "d.mkv"))
    hands.top_up()
    assert stream.blocks == [["a.mkv"], ["b.mkv"], ["c.mkv"]]
    for part in range(3):
        hands.spread(segment("a.mkv", part))
    hands.top_up()
    assert stream.blocks[3:] == [["a.mkv"]]
    hands.finished(item_id("b.mkv"))
    hands.streamed(item_id("a.mkv"), 0)
    hands.top_up()
    assert stream.blocks[4:] == [["a.mkv"], ["a.mkv"]]
    assert item_id("a.mkv") in hands.missing


def test_of_a_film_that_failed_no_segment_is_handed_out_any_more() -> None:
    hands, stream = feeding(pending("a.mkv"))
    hands.top_up()
    hands.spread(segment("a.mkv", 0))
    hands.finished(item_id("a.mkv"))
    hands.top_up()
    assert (stream.blocks, hands.missing, hands.exhausted) == ([["a.mkv"]], [], True)


def test_what_is_missing_goes_again_alone() -> None:
    hands, stream = feeding(pending("a.png", "b.png", "c.png", "d.png", "e.png", "f.png", "g.png"))
    while not hands.exhausted:
        hands.top_up()
        for number in range(4):
            hands.finished(item_id(f"{'defg'[number]}.png"))
    before = len(stream.blocks)
    assert not hands.alone
    hands.again()
    hands.top_up()
    assert stream.blocks[before:] == [["a.png"], ["b.png"], ["c.png"]]
    assert hands.alone


def test_after_a_stop_nothing_is_handed_out() -> None:
    hands, stream = feeding(pending("a.png", "b.png"), alone=True)
    hands.stop()
    hands.top_up()
    assert (stream.blocks, stream.closed, hands.exhausted) == ([], True, True)


def test_a_block_travels_without_the_rest_of_the_plan() -> None:
    import pickle

    rows = pending(*(f"{number:05}.png" for number in range(1000)))
    sizes = [len(pickle.dumps(block)) for block in assembly.blocks(rows.table, spread=1)]
    assert len(sizes) == 500
    assert max(sizes) < len(pickle.dumps(rows.table)) / 10


def test_large_files_go_alone() -> None:
    rows = pending("a.png", "b.png", "c.png", size=1 << 20)
    assert [block.num_rows for block in assembly.blocks(rows.table, spread=1)] == [1, 1, 1]


def test_a_feed_is_idle_when_all_went_through_and_was_handled() -> None:
    feed = BlockFeed()
    assert not feed.idle, "a stream that has not looked yet may have anything"
    feed.rest(0, 0.0)
    assert feed.idle
    feed.add(pa.table({"a": [1]}))
    assert not feed.idle
    assert feed.take()["a"].to_pylist() == [1]
    assert not feed.idle
    feed.rest(1, 0.0)
    assert not feed.idle, "what came out is still to be handled"
    feed.handled()
    assert feed.idle
    assert not feed.ended
    feed.close()
    assert feed.ended


def test_a_stream_at_rest_is_woken_by_a_block() -> None:
    feed = BlockFeed()
    waking = threading.Timer(0.05, feed.add, (pa.table({"a": [1]}),))
    waking.start()
    feed.rest(0, 30.0)
    assert feed.has_next
