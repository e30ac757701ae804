"""Compaction: few files, the same rows, the same current rows; killed at any step nothing is lost, and the next one goes on."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from archive_steps import MOMENT, archive_settings, full_row, restore_without_model, save_photo

from pipelines.manifest.compact import CompactResult, compact_manifest
from pipelines.manifest.index import open_index
from pipelines.manifest.reader import current_rows, read_rows
from pipelines.manifest.runs import all_runs_ended, new_run_id, write_run_record
from pipelines.manifest.writer import ManifestWriter
from pipelines.plan.plan import make_plan
from pipelines.rows import MANIFEST_SCHEMA, Row
from pipelines.store.layout import COMPACTIONS, MANIFEST, STARTED
from pipelines.store.lease import LeaseError, hold_lease
from pipelines.store.store import Store, StoreError

RUNS = [f"2026010{day}T000000.000Z-aaaaaa" for day in range(1, 6)]


class Killed(BaseException):
    """As SIGKILL: nobody catches it."""


def compact(store: Store, **limits: Any) -> CompactResult:
    return compact_manifest(store, compaction_id=new_run_id(), lease_seconds=30, **limits)


def fill(store: Store, *, runs: list[str] = RUNS, files: int = 4, rows: int = 3, ended: bool = True) -> None:
    """Runs of several small files, each item in every run, and in two files of one with equal times."""
    for number, run in enumerate(runs):
        writer = ManifestWriter(store, run)
        for file in range(files):
            for row in range(rows):
                item = f"{(file // 2) * rows + row:024d}"
                late = MOMENT + timedelta(days=number)
                writer.add(full_row(item_id=item, run_id=run, finished_at=late, caption=f"{run} {file}"))
            writer.flush()
        if ended:
            write_run_record(store, run, {"only": ""})


def files_of(store: Store) -> list[str]:
    return [entry.path for entry in store.list(MANIFEST)]


def all_rows(store: Store) -> list[str]:
    """Every distinct row, as text."""
    return sorted({json.dumps(row, default=str) for row in read_rows(store).to_pylist()})


def currents(store: Store) -> dict[str, Row]:
    return current_rows(store)


def places(store: Store) -> list[str]:
    """What the plan's and `verify`'s way of finding current rows leads to: captions, which are all different."""
    from pipelines.manifest.index import read_block

    with open_index(store, statuses=None) as found:
        blocks = list(found.blocks(rows=100, size=1 << 60))
        return sorted(
            row["item_id"] + row["caption"]
            for block in blocks
            for row in read_block(store, block, ("item_id", "caption"))
        )


@pytest.fixture
def store(tmp_path: Path) -> Store:
    made = Store(str(tmp_path / "out"))
    fill(made)
    return made


def test_few_files_with_the_same_rows_in_the_same_order(store: Store) -> None:
    before, current, found = read_rows(store), currents(store), places(store)
    done = compact(store)
    assert (done.files_before, done.files_after, done.rows, done.written, done.left) == (20, 1, 60, 1, [])
    assert 0 < done.bytes_after < done.bytes_before
    assert read_rows(store).equals(before)
    assert (currents(store), places(store)) == (current, found)
    assert {row["caption"] for row in current.values()} == {
        f"{RUNS[-1]} 1",
        f"{RUNS[-1]} 3",
    }  # the last of equally new ones
    assert list(store.list(COMPACTIONS)) == []
    again = compact(store)
    assert (again.written, again.files_after) == (0, 1)


def test_readers_without_our_code_read_it_the_same_way(store: Store) -> None:
    import duckdb

    query = f"select count(*), count(distinct run_id) from '{store.root}/_faitharchive/manifest/*/*.parquet'"
    before = duckdb.sql(query).fetchall()
    compact(store)
    assert duckdb.sql(query).fetchall() == before == [(60, 5)]


def test_limits_and_large_files_that_stay(store: Store) -> None:
    before = read_rows(store)
    done = compact(store, rows=14)  # files of 3: four fit
    assert (done.files_after, done.rows) == (5, 60)
    assert read_rows(store).equals(before)
    large = set(files_of(store))
    fill(store, runs=["20260201T000000.000Z-bbbbbb"])
    before = read_rows(store)
    assert compact(store, rows=14).written == 1
    assert large < set(files_of(store))
    assert read_rows(store).equals(before)
    assert compact(store, size=1).written == 0


def test_equally_new_rows_in_a_file_that_stays_and_in_new_ones(tmp_path: Path) -> None:
    """The new file sorts where the small ones stood, after the large one of the same run: its row stays the newest."""
    store = Store(str(tmp_path))
    writer = ManifestWriter(store, RUNS[0])
    for count in (20, 1, 1):
        for number in range(count):
            writer.add(full_row(item_id=f"{number:024d}", run_id=RUNS[0], caption=f"file of {count}"))
        writer.flush()
    found = places(store)
    assert compact(store, rows=30).files_after == 2
    assert places(store) == found
    assert currents(store)[f"{0:024d}"]["caption"] == "file of 1"


def test_nights_one_after_the_other_rewrite_little(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    rewritten = 0
    for night in range(30):
        fill(store, runs=[f"202601{night + 1:02d}T000000.000Z-aaaaaa"])
        rewritten += compact(store, rows=60).rows
    assert len(files_of(store)) <= 30 * 12 // 30 + 1
    assert rewritten <= 4 * 30 * 12  # each row 2 or 3 times


# Every way to change the store, with a name for the error message.
STEPS = ("publish", "remove")


def kill_after(monkeypatch: pytest.MonkeyPatch, steps: int) -> None:
    """Die after the `steps`-th change that is not the lease's."""
    left = [steps]

    def dying(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(store: Store, path: str, *rest: Any) -> Any:
            if "/lease/" in path:
                return real(store, path, *rest)
            left[0] -= 1
            result = real(store, path, *rest)
            if left[0] == 0:
                raise Killed
            return result

        return call

    for name in STEPS:
        monkeypatch.setattr(Store, name, dying(getattr(Store, name)))


def test_killed_at_any_step_nothing_is_lost(tmp_path: Path) -> None:
    """Two new files of four old ones each: 2 x (record, file, 4 removals, record away) = 14 changes. Before a step is after
    the one before it."""
    reference = Store(str(tmp_path / "reference"))
    fill(reference, runs=RUNS[:2])
    rows, current, found = read_rows(reference), currents(reference), places(reference)
    steps = 0
    while True:
        steps += 1
        store = Store(str(tmp_path / f"killed-{steps}"))
        fill(store, runs=RUNS[:2])
        with pytest.MonkeyPatch.context() as patch:
            kill_after(patch, steps)
            try:
                compact(store, rows=14)
                break
            except Killed:
                pass
        assert all_rows(store) == all_rows(reference), steps
        assert (currents(store), places(store)) == (current, found), steps
        done = compact(store, rows=14)
        assert done.left == []
        assert read_rows(store).equals(rows), steps
        assert places(store) == found
        assert len(files_of(store)) == 2
        assert list(store.list(COMPACTIONS)) == []
    assert steps == 15


def test_killed_on_s3_too(s3_server: str) -> None:
    store = Store("s3://compacted/out")
    store.fs.mkdir("compacted")
    fill(store, runs=RUNS[:2])
    rows, found = read_rows(store), places(store)
    for steps in (3, 5):
        with pytest.MonkeyPatch.context() as patch:
            kill_after(patch, steps)
            with pytest.raises(Killed):
                compact(store)
        assert places(store) == found
        if steps == 3:
            fill(store, runs=RUNS[2:3])
            rows, found = (
                pa.concat_tables([rows, read_rows(store).slice(read_rows(store).num_rows - 12)]),
                places(store),
            )
    done = compact(store)
    assert (done.finished, done.files_after) == (1, 1)
    assert read_rows(store).equals(rows)
    assert places(store) == found


def test_a_new_file_that_did_not_arrive_whole_removes_nothing(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    before = all_rows(store)
    real = Store.publish

    def damaging(self: Store, path: str, data: bytes) -> None:
        real(self, path, data[:-9] if ".compact-" in path else data)

    with monkeypatch.context() as patch:
        patch.setattr(Store, "publish", damaging)
        with pytest.raises(StoreError, match="nothing was removed"):
            compact(store)
    (damaged,) = [path for path in files_of(store) if ".compact-" in path]
    assert len(files_of(store)) == 21
    store.remove(damaged)
    assert all_rows(store) == before
    assert compact(store).files_after == 1
    assert all_rows(store) == before


def test_one_run_at_a_time(store: Store) -> None:
    with hold_lease(store, run_id="another run", seconds=60), pytest.raises(LeaseError, match="another run"):
        compact(store)
    assert len(files_of(store)) == 20


def test_who_is_robbed_removes_nothing(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """The thief has taken the lease after the new file was written; the lease's own thread has not looked yet."""
    real = Store.sha256

    def robbed(self: Store, path: str) -> Any:
        store.publish("_faitharchive/lease/00000002.json", b"{}")
        return real(self, path)

    monkeypatch.setattr(Store, "sha256", robbed)
    before, found = all_rows(store), places(store)
    with pytest.raises(LeaseError, match="took it over meanwhile"):
        compact(store)
    assert len(files_of(store)) == 21
    assert (all_rows(store), places(store)) == (before, found)


def test_what_cannot_be_read_or_said_stays_and_is_told(store: Store) -> None:
    folder = Path(store.root) / MANIFEST / f"run={RUNS[1]}"
    (folder / "part-00001.parquet").write_bytes(b"PAR1 half")
    later = read_rows_of(folder / "part-00002.parquet")
    pq.write_table(later.append_column("mood", pa.array(["calm"] * later.num_rows)), folder / "part-00002.parquet")
    newer = later.set_column(0, "schema_version", pa.array([99] * later.num_rows, pa.int16()))
    pq.write_table(newer, folder / "part-00003.parquet")
    kept = {
        name: (folder / name).read_bytes()
        for name in ("part-00001.parquet", "part-00002.parquet", "part-00003.parquet")
    }
    done = compact(store)
    assert [(path.rpartition("/")[2], why.split(";")[-1].strip()) for path, why in done.left] == [
        ("part-00001.parquet", "run faitharchive manifest rebuild"),
        ("part-00002.parquet", "update it"),
        ("part-00003.parquet", "update this one"),
    ]
    assert {name: (folder / name).read_bytes() for name in kept} == kept
    assert (done.files_before, done.files_after) == (20, 5)  # two new ones, before and after those that stayed
    (folder / "part-00001.parquet").unlink()
    (folder / "part-00002.parquet").unlink()
    assert read_rows(store).num_rows == 60 - 6


def read_rows_of(path: Path) -> pa.Table:
    return pq.ParquetFile(path).read()


def test_files_of_an_older_version_get_empty_columns(store: Store) -> None:
    path = Path(store.root) / MANIFEST / f"run={RUNS[0]}" / "part-00000.parquet"
    pq.write_table(read_rows_of(path).drop_columns(["film", "tone_curve"]), path)
    before = read_rows(store)
    assert compact(store).files_after == 1
    assert read_rows(store).equals(before)
    assert read_rows(store).schema == MANIFEST_SCHEMA


def test_a_run_that_died_is_not_forgotten(tmp_path: Path) -> None:
    """Its folder alone tells of it in older stores; a run over a part, which settles nothing, came after it."""
    store = Store(str(tmp_path))
    fill(store, runs=RUNS[:1], ended=False)
    fill(store, runs=RUNS[1:2])
    write_run_record(store, RUNS[1], {"only": "*.tif"})
    assert not all_runs_ended(store)
    compact(store)
    assert [Path(entry.path).stem for entry in store.list(STARTED)] == [RUNS[0]]
    assert not all_runs_ended(store)
    write_run_record(store, RUNS[1], {"only": ""})
    assert all_runs_ended(store)


def test_a_plan_is_the_same_afterwards(tmp_path: Path) -> None:
    settings = archive_settings(tmp_path)
    for number in range(6):
        save_photo(tmp_path / "scans" / f"{number}.png")
        restore_without_model(settings, ended=True)
    output = Store(settings.output)
    assert len(files_of(output)) == 6
    assert compact(output).files_after == 1
    assert make_plan(settings).done == 6
    changed = settings.model_copy(update={"seed": 9})
    assert make_plan(changed).counts() == {"seed changed": 6}


def test_a_foreign_record_is_left(store: Store) -> None:
    store.publish(f"{COMPACTIONS}/odd.json", b"[1, 2]")
    done = compact(store)
    assert (done.files_after, [path for path, _ in done.left]) == (1, [f"{COMPACTIONS}/odd.json"])


def test_no_store(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="there is no such folder"):
        compact(Store(str(tmp_path / "nowhere")))
