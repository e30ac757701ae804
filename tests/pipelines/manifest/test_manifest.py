"""The manifest: what is written comes back, for us and for anybody with Parquet; the newest row counts."""

from __future__ import annotations

import json
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas
import pyarrow as pa
import pyarrow.dataset as pads
import pyarrow.parquet as pq
import pytest
from archive_steps import MOMENT, full_row

from pipelines.manifest import writer as manifest
from pipelines.manifest.current import newest_rows
from pipelines.manifest.reader import current_rows, read_rows
from pipelines.manifest.runs import all_runs_ended, new_run_id, write_run_record, write_run_start
from pipelines.manifest.writer import ManifestWriter
from pipelines.rows import FAILED, MANIFEST_SCHEMA, Row
from pipelines.store.layout import MANIFEST, RUNS, STARTED
from pipelines.store.store import Store, StoreError

ODD = "out #%? [1924] 'b'*"


def record(store: Store, *rows: Row, run_id: str = "run1") -> None:
    writer = ManifestWriter(store, run_id)
    for row in rows:
        writer.add(row)
    writer.flush()


def kept(row: Row) -> Row:
    return {name: row[name] for name in MANIFEST_SCHEMA.names}


@pytest.fixture(params=["local", "odd local", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    url = {"local": str(tmp_path), "odd local": str(tmp_path / ODD), "memory": f"memory://{uuid.uuid4().hex}/{ODD}"}
    return Store(url[request.param])


def test_rows_come_back_as_they_were(store: Store) -> None:
    rows = [full_row(), full_row(item_id="1" * 24, warnings=[], caption=None, model_trained=False, width=None)]
    record(store, *rows)
    assert read_rows(store).to_pylist() == [kept(row) for row in rows]
    assert current_rows(store) == {row["item_id"]: kept(row) for row in rows}


def test_no_manifest_is_an_empty_one(store: Store) -> None:
    assert read_rows(store).schema == MANIFEST_SCHEMA
    assert read_rows(store).num_rows == 0
    assert read_rows(store, ["status", "item_id"]).column_names == ["status", "item_id"]
    assert current_rows(store) == {}


def test_columns_can_be_chosen(store: Store) -> None:
    record(store, full_row())
    assert read_rows(store, ["status", "seed"]).to_pylist() == [{"status": "restored", "seed": 2**40}]
    (row,) = current_rows(store, ["seed"]).values()
    assert row == {"seed": 2**40, "item_id": "0" * 24, "run_id": full_row()["run_id"], "finished_at": MOMENT}


@pytest.mark.parametrize(
    "changes", [{}, dict.fromkeys(("caption", "width", "warnings", "model_trained", "started_at"))]
)
def test_files_have_the_declared_schema_whatever_they_hold(tmp_path: Path, changes: dict[str, Any]) -> None:
    record(Store(str(tmp_path)), full_row(**changes))
    (file,) = tmp_path.rglob("*.parquet")
    assert pq.read_schema(file).equals(MANIFEST_SCHEMA)
    columns = pq.ParquetFile(file).metadata.row_group(0)
    assert {columns.column(index).compression for index in range(columns.num_columns)} == {"ZSTD"}


def test_the_payload_stays_out(tmp_path: Path) -> None:
    record(Store(str(tmp_path)), {**full_row(), "pixels": b"123", "icc_profile": b"4", "part": 0, "unknown": object()})
    assert read_rows(Store(str(tmp_path))).column_names == MANIFEST_SCHEMA.names


def test_others_can_read_it(tmp_path: Path) -> None:
    """Plain pyarrow and pandas, and the run as a Hive partition."""
    store = Store(str(tmp_path))
    record(store, full_row(), full_row(item_id="1" * 24), run_id="run1")
    record(store, full_row(status=FAILED, error_code="corrupt"), run_id="run2")
    folder = tmp_path / "_faitharchive" / "manifest"
    table = pads.dataset(folder, partitioning="hive").to_table()
    assert table.drop_columns("run").schema.equals(MANIFEST_SCHEMA)
    assert sorted(table["run"].to_pylist()) == ["run1", "run1", "run2"]
    frame = pandas.read_parquet(folder)
    assert len(frame) == 3
    assert set(frame["source_path"]) == {full_row()["source_path"]}
    assert frame["finished_at"][0] == pandas.Timestamp(MOMENT)
    assert list(frame["warnings"][0]) == full_row()["warnings"]


def test_the_newest_row_counts(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    later = MOMENT + timedelta(seconds=1)
    record(store, full_row(run_id="20250612", caption="second run"), run_id="20250612")
    record(store, full_row(run_id="20250611", finished_at=later, caption="first run"), run_id="20250611")
    assert current_rows(store)["0" * 24]["caption"] == "second run"
    record(
        store,
        full_row(run_id="20250613", finished_at=later, caption="later in a run"),
        full_row(run_id="20250613", caption="earlier in a run"),
        full_row(run_id="20250613", item_id="1" * 24, caption="another item"),
        run_id="20250613",
    )
    assert {row["caption"] for row in current_rows(store).values()} == {"later in a run", "another item"}


def test_of_equally_new_rows_the_last_counts() -> None:
    rows = [full_row(caption="a"), full_row(caption="b")]
    assert newest_rows(rows)["0" * 24]["caption"] == "b"
    assert newest_rows([]) == {}


def test_files_are_numbered_and_never_rewritten(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    writer = ManifestWriter(store, "run1")
    writer.flush()
    assert list(store.list()) == []
    for number in range(3):
        writer.add(full_row(item_id=str(number)))
        writer.flush()
        writer.flush()
    names = [f"{MANIFEST}/run=run1/part-0000{number}.parquet" for number in range(3)]
    assert [entry.path for entry in store.list()] == names
    assert [row["item_id"] for row in read_rows(store).to_pylist()] == ["0", "1", "2"]


def test_rows_are_published_while_the_run_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(manifest, "FLUSH_ROWS", 2)
    store = Store(str(tmp_path))
    writer = ManifestWriter(store, "run1")
    writer.add(full_row(item_id="0"))
    assert read_rows(store).num_rows == 0
    writer.add(full_row(item_id="1"))
    assert read_rows(store).num_rows == 2
    monkeypatch.setattr(manifest, "FLUSH_SECONDS", -1.0)
    writer.add(full_row(item_id="2"))
    assert read_rows(store).num_rows == 3


@pytest.mark.parametrize("damage", [b"", b"not Parquet at all", "half"])
def test_a_damaged_file_is_named(tmp_path: Path, damage: bytes | str) -> None:
    store = Store(str(tmp_path))
    record(store, full_row(), run_id="run1")
    record(store, full_row(), run_id="run2")
    path = tmp_path / MANIFEST / "run=run2" / "part-00000.parquet"
    path.write_bytes(path.read_bytes()[:2000] if isinstance(damage, str) else damage)
    with pytest.raises(StoreError) as caught:
        read_rows(store)
    assert "run=run2/part-00000.parquet" in str(caught.value)
    assert f"run faitharchive manifest rebuild {tmp_path}" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_of_other_columns_is_named(tmp_path: Path) -> None:
    path = tmp_path / MANIFEST / "run=x" / "part-00000.parquet"
    path.parent.mkdir(parents=True)
    pq.write_table(pa.table({"item_id": [["a list"]], "status": ["restored"]}), path)
    with pytest.raises(StoreError, match="manifest in "):
        read_rows(Store(str(tmp_path)))


def test_other_files_beside_it_do_no_harm(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    record(store, full_row())
    store.publish(f"{MANIFEST}/run=run1/README.txt", b"hands off")
    assert read_rows(store).num_rows == 1


def test_run_record(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    summary = {"restored": 2, "failures": {"corrupt": 1}, "note": "Семья"}
    write_run_record(store, "run1", summary)
    data = store.read(f"{RUNS}/run1.json")
    assert json.loads(data) == summary
    assert "Семья".encode() in data


def begin(store: Store, run_id: str) -> None:
    write_run_start(store, run_id, {"only": ""})


def end(store: Store, run_id: str, only: str | None = "") -> None:
    write_run_record(store, run_id, {} if only is None else {"only": only})


def test_a_run_start_is_readable(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    write_run_start(store, "run1", {"started_at": "2025", "only": "Семья/*"})
    assert json.loads(store.read(f"{STARTED}/run1.json")) == {"started_at": "2025", "only": "Семья/*"}


def test_a_store_is_settled_if_no_run_died(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    assert all_runs_ended(store)  # there was none
    begin(store, "1")
    assert not all_runs_ended(store)
    end(store, "1")
    assert all_runs_ended(store)
    begin(store, "2")
    assert not all_runs_ended(store)
    begin(store, "3")
    end(store, "3", "1924/*")
    assert not all_runs_ended(store)  # it looked at a part of what the second left
    begin(store, "4")
    end(store, "4")
    assert all_runs_ended(store)  # whatever the second left, the fourth has found
    end(store, "5", "1924/*")
    assert all_runs_ended(store)


def test_older_stores_have_no_start_records_and_say_no_part(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    record(store, full_row(), run_id="1")
    assert not all_runs_ended(store)
    end(store, "1", None)
    assert all_runs_ended(store)
    record(store, full_row(), run_id="2")
    assert not all_runs_ended(store)
    end(store, "3", None)
    assert all_runs_ended(store)


@pytest.mark.parametrize("damage", [b"", b"[]", b"{", b"\xff"])
def test_a_damaged_end_record_is_none(tmp_path: Path, damage: bytes) -> None:
    store = Store(str(tmp_path))
    begin(store, "1")
    store.publish(f"{RUNS}/1.json", damage)
    begin(store, "0")
    assert not all_runs_ended(store)


def test_run_ids_sort_by_time_and_differ() -> None:
    moment = datetime(2025, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)
    first, same, later = new_run_id(moment), new_run_id(moment), new_run_id(moment + timedelta(milliseconds=1))
    assert first.startswith("20251231T235959.999Z-")
    assert first != same
    assert max(first, same) < later
    assert set(first) <= set("0123456789abcdefTZ.-")  # part of a file's name
    assert new_run_id() > "2025"
