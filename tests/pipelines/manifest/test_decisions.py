"""Review decisions: the last one counts, an undo restores, several decide at once, nothing is written twice or lost."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from archive_steps import full_row

from pipelines.manifest import decisions as module
from pipelines.manifest.decision import ACCEPT, REDO, REJECT, Decision, standing
from pipelines.manifest.decisions import DecisionLog
from pipelines.store.cleanup import clear_unfinished
from pipelines.store.layout import REVIEWS
from pipelines.store.store import Store

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
ROW = full_row(item_id="a", output_sha256="1" * 64, settings_digest="2" * 64)


@pytest.fixture(params=["local", "memory", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    if request.param == "s3":
        request.getfixturevalue("s3_server")
        made = Store(f"s3://reviews-{uuid.uuid4().hex[:8]}/out #1")
        made.fs.mkdir(made.root.partition("/")[0])
        yield made
    else:
        yield Store({"local": str(tmp_path), "memory": f"memory://{uuid.uuid4().hex}"}[request.param])


@pytest.fixture
def local(tmp_path: Path) -> Store:
    return Store(str(tmp_path))


def decision(verb: str = "accept", item: str = "a", minute: int = 0, **values: str) -> Decision:
    if verb == "redo":
        values.setdefault("settings", '{"seed": 7}')
    made = {"output_sha256": "1" * 64, "settings_digest": "2" * 64, "reviewer": "Ada"} | values
    return Decision(item_id=item, decision=verb, decided_at=NOON + timedelta(minutes=minute), **made)


def files(store: Store) -> list[str]:
    return [entry.path for entry in store.list(REVIEWS)]


def test_decisions_come_back_on_every_store_and_the_last_counts(store: Store) -> None:
    first, second = decision(note="Ünder\n<b>"), decision("reject", minute=1, reviewer="Bé")
    other = decision("redo", "b", settings='{"detail": "0.5"}')
    DecisionLog(store).record([second, other])
    DecisionLog(store).record([first])
    log = DecisionLog(store)
    assert log.current() == {"a": second, "b": other}
    assert log.history("a") == [first, second]
    assert other.choices == {"detail": 0.5}
    assert log.problems == []


def test_the_same_batch_is_written_once(store: Store) -> None:
    batch = [decision(), decision(item="b")]
    log = DecisionLog(store)
    log.record(batch)
    written = {path: store.read(path) for path in files(store)}
    log.record(reversed(batch))
    DecisionLog(store).record(batch)
    log.record([])
    assert {path: store.read(path) for path in files(store)} == written
    DecisionLog(store).record([batch[0]])  # the same decision in another batch
    assert len(DecisionLog(store).history("a")) == 1


def test_an_undo_restores_the_one_before_and_can_be_undone(local: Store) -> None:
    log = DecisionLog(local)
    accept, reject = decision(), decision("reject", minute=1)
    log.record([accept, reject])
    undo = reject.taken_back(reviewer="Ada")
    log.record([undo])
    assert log.current() == {"a": accept}
    log.record([undo.taken_back(reviewer="Bé")])
    assert log.current()["a"] == reject
    log.record([accept.taken_back(reviewer="Ada")])  # not the one that counts
    assert log.current()["a"] == reject
    log.record([reject.taken_back(reviewer="Ada")])
    assert log.current() == {} == DecisionLog(local).current()
    assert len(log.history("a")) == 6


def test_an_undo_counts_whatever_its_clock_says(local: Store) -> None:
    late = decision(minute=5)
    undo = Decision(item_id="a", decision="undo", undoes=late.decision_id, decided_at=NOON)
    DecisionLog(local).record([late, undo])
    assert DecisionLog(local).current() == {}


def test_a_decision_is_about_one_result(local: Store) -> None:
    accepted = Decision.about(ROW, ACCEPT, reviewer="Ada")
    assert standing(accepted, ROW) == "accept"
    assert standing(None, ROW) == "none"
    assert standing(accepted, {**ROW, "output_sha256": "3" * 64}) == "none"
    assert standing(accepted, {**ROW, "settings_digest": "3" * 64}) == "none"
    failed = full_row(item_id="a", output_sha256=None, output_path=None)
    assert standing(Decision.about(failed, REDO, reviewer="Ada", choices={"seed": 1}), failed) == "redo"


def test_the_settings_of_a_redo_stay_after_it_is_done(local: Store) -> None:
    log = DecisionLog(local)
    redo = decision("redo")
    log.record([redo, decision("accept", minute=1, output_sha256="9" * 64)])  # of what the redo made
    assert log.redos() == {"a": redo}
    assert log.current()["a"].decision == ACCEPT
    again = decision("redo", minute=2, output_sha256="9" * 64, settings='{"seed": 8}')
    log.record([again])
    assert log.redos() == {"a": again}
    log.record([again.taken_back(reviewer="Ada")])
    assert log.redos() == {"a": redo}


@pytest.mark.parametrize("answer", ["accept", "reject"])
def test_a_redo_that_was_answered_otherwise_is_none(local: Store, answer: str) -> None:
    DecisionLog(local).record([decision("redo"), decision(answer, minute=1)])
    assert DecisionLog(local).redos() == {}


def test_several_decide_at_once(store: Store) -> None:
    logs = [DecisionLog(store) for _ in range(2)]

    def decide(number: int) -> None:
        for item in range(5):
            logs[number % 2].record([decision(item=f"{number}-{item}")])
            logs[number % 2].current()

    threads = [threading.Thread(target=decide, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(files(store)) == 20
    assert {len(log.current()) for log in (*logs, DecisionLog(store))} == {20}


def test_only_new_files_are_read(local: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    log, other = DecisionLog(local), DecisionLog(local)
    other.record([decision()])
    log.current()
    read: list[str] = []
    whole = Store.read
    monkeypatch.setattr(Store, "read", lambda self, path: read.append(path) or whole(self, path))
    assert len(log.current()) == 1
    assert read == []
    other.record([decision(item="b")])
    assert log.current(refresh=False).keys() == {"a"}
    assert log.current().keys() == {"a", "b"}
    assert len(read) == 1


def test_damaged_and_foreign_files_are_named_once_and_the_rest_counts(
    local: Store, caplog: pytest.LogCaptureFixture
) -> None:
    kept = decision()
    DecisionLog(local).record([kept, decision(item="b")])
    whole = local.read(files(local)[0])
    local.publish(f"{REVIEWS}/damaged.parquet", whole[:-40])
    local.publish(f"{REVIEWS}/notes.txt", b"hello")
    table = pa.table({"x": [1]})
    pq.write_table(table, Path(local.key(f"{REVIEWS}/foreign.parquet")))
    rows = pq.read_table(pa.BufferReader(whole)).to_pylist()
    odd = [rows[0] | {"decision": "burn", "decision_id": "1"}, rows[0] | {"decision_id": "2", "item_id": "c"}]
    pq.write_table(pa.Table.from_pylist(odd), Path(local.key(f"{REVIEWS}/newer.parquet")))
    log = DecisionLog(local)
    assert log.current().keys() == {"a", "b", "c"}
    log.current()
    assert len(log.problems) == len(caplog.messages) == 4
    for name in ("damaged.parquet", "notes.txt", "foreign.parquet", "newer.parquet"):
        assert sum(name in line for line in log.problems) == 1
    assert all("\n" not in line for line in log.problems)
    assert clear_unfinished(local, 0) == 0
    assert len(files(local)) == 5


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"decision": "burn"}, "is none of accept"),
        ({"item_id": ""}, "names no item"),
        ({"decision": "undo"}, "names the decision"),
        ({"undoes": "x"}, "names the decision"),
        ({"decision": "redo"}, "needs the settings"),
        ({"settings": '{"seed": 1}'}, "needs the settings"),
        ({"decision": "redo", "settings": "[1]"}, "no JSON object"),
        ({"decision": "redo", "settings": '{"format": "png"}'}, "format cannot be chosen"),
        ({"decision": "redo", "settings": '{"detail": 7}'}, "detail cannot be"),
        ({"decided_at": datetime(2026, 1, 1)}, "no time zone"),
    ],
)
def test_what_is_no_decision_is_refused(values: dict[str, str], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        Decision(**{"item_id": "a", "decision": "accept"} | values)


def test_many_single_decisions_are_read_from_few_files(local: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_SUMMARY_AFTER", 10)
    log = DecisionLog(local)
    for number in range(25):
        log.record([decision(item=str(number))])
    summaries = [path for path in files(local) if "/all-" in path]
    assert len(summaries) == 2
    read: list[str] = []
    whole = Store.read
    monkeypatch.setattr(Store, "read", lambda self, path: read.append(path) or whole(self, path))
    fresh = DecisionLog(local)
    assert fresh.current() == log.current()
    assert len(read) == 1 + 5
    # Damaged, a summary is no loss: the batches are there.
    local.publish(summaries[-1], b"PAR1")
    fresh = DecisionLog(local)
    assert fresh.current() == log.current()
    assert len(fresh.problems) == 1


def test_ten_thousand_items_in_batches_are_read_at_once(local: Store) -> None:
    verbs = (ACCEPT, REJECT)
    DecisionLog(local).record([decision(verbs[number % 2], f"item {number}") for number in range(10_000)])
    log = DecisionLog(local)
    started = time.monotonic()
    assert len(log.current()) == 10_000
    first = time.monotonic() - started
    started = time.monotonic()
    log.record([decision("reject", "item 0", minute=1)])
    assert log.current()["item 0"].decision == REJECT
    again = time.monotonic() - started
    assert first < 3, first  # some 0.2 s
    assert again < 0.2, again  # some 5 ms
