"""What is seen of shards in the store, and what is taken over from drivers that died, without Ray and without a model."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from sharded import Sharded, make_archive, planned

import pipelines.run.shards
from pipelines.manifest.reader import read_rows
from pipelines.manifest.runs import all_runs_ended, run_history, write_run_record, write_run_start
from pipelines.plan.header import PlanFileError
from pipelines.run.coordinator import driver_settings, ray_settings, shards_at_once
from pipelines.run.outcome import Outcome
from pipelines.run.shard_board import DONE, FREE, HELD, Board, ShardEnd, clear_plans, write_end
from pipelines.run.shards import run_shard, settle_shard
from pipelines.settings import Settings
from pipelines.store.layout import plan_folder, shard_folder, shard_run
from pipelines.store.lease import LeaseError, hold_lease
from pipelines.store.lease_files import LeasePlace, LeaseRecord, newest_lease
from pipelines.store.store import Store


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return make_archive(tmp_path, 9)


def states(board: Board) -> list[tuple[str, int, int]]:
    board.look()
    return [(each.state, each.tries, each.faults) for each in board.shards]


def taken(run: Sharded, shard: int, host: str = "elsewhere", seconds: float = 60.0) -> None:
    """A lease of a shard as a driver on another machine holds it."""
    folder = shard_folder(run.header.run_id, shard)
    number = newest_lease(run.store, folder)[0] + 1
    record = LeaseRecord(
        run_id=shard_run(run.header.run_id, shard), host=host, process=1, process_mark="x", taken_at=time.time(),
        expires_at=time.time() + seconds, state="held",
    )  # fmt: skip
    run.store.publish(f"{folder}/{number:08d}.json", record.dumps())


def test_what_the_board_sees(settings: Settings) -> None:
    with planned(settings, 3) as run:
        board = Board(run.store, run.header)
        assert states(board) == [(FREE, 0, 0)] * 3
        taken(run, 1)
        taken(run, 2, seconds=-1)  # its machine went
        assert states(board) == [(HELD, 1, 0), (FREE, 1, 1), (FREE, 0, 0)]
        taken(run, 2)
        write_end(run.store, run.header.run_id, 2, 2, ShardEnd(run_id="x", left=1, fault="no weights"))
        write_end(run.store, run.header.run_id, 1, 1, ShardEnd(run_id="x", restored=3, counted=True))
        assert states(board) == [(DONE, 1, 0), (FREE, 2, 2), (FREE, 0, 0)]
        taken(run, 2)
        write_end(run.store, run.header.run_id, 2, 3, ShardEnd(run_id="x", left=2, stopped="interrupted", signal=2))
        assert states(board) == [(DONE, 1, 0), (FREE, 3, 2), (FREE, 0, 0)]
        assert board.shards[0].done_rows == run.header.slices[0].rows
        run.store.publish(f"{shard_folder(run.header.run_id, 3)}/ended-00000001.json", b"{")
        taken(run, 3, seconds=-1)
        assert states(board)[2] == (FREE, 1, 1)


def test_shards_without_items_are_done(tmp_path: Path) -> None:
    with planned(make_archive(tmp_path, 2), 6) as run:
        board = Board(run.store, run.header)
        assert states(board) == [(FREE if each.rows else DONE, 0, 0) for each in run.header.slices]
        assert sum(each.rows for each in run.header.slices) == 2


@pytest.mark.parametrize("listed", [True, False])
def test_what_a_dead_driver_had_finished_is_taken_over_once(
    settings: Settings, listed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its recorded rows are counted, its unrecorded results are recorded from their sidecars; the rest is left."""
    monkeypatch.setattr(pipelines.run.shards, "_PAGE", 1000 if listed else 1)
    with planned(settings, 2) as run:
        rows = run.header.slices[0].rows
        done = run.drive(1, 3, recorded=1)
        assert [row["status"] for row in done] == ["restored"] * 3
        end = settle_shard(run.store, run.header, 1, settings)
        assert (end.restored, end.failed, end.left, end.counted, end.fault) == (3, 0, rows - 3, True, "")
        again = settle_shard(run.store, run.header, 1, settings)
        assert (again.restored, again.left) == (3, rows - 3)
        assert states(Board(run.store, run.header))[0] == (FREE if rows > 3 else DONE, 3, 1)
    recorded = read_rows(run.store, ("source_path", "status", "output_sha256")).to_pylist()
    assert sorted((row["source_path"], row["output_sha256"]) for row in recorded) == sorted(
        (row["source_path"], row["output_sha256"]) for row in done
    )


def test_results_of_another_shard_or_run_are_not_taken_over(settings: Settings) -> None:
    with planned(settings, 2) as run:
        run.drive(2, 2, recorded=0)
        run.drive(1, 0, recorded=0)
        assert settle_shard(run.store, run.header, 1, settings).restored == 0
        assert settle_shard(run.store, run.header, 2, settings).restored == 2


def test_a_driver_says_what_is_wrong_and_leaves_the_shard_to_others(settings: Settings) -> None:
    with planned(settings, 2) as run:
        path = Path(run.store.key(f"{plan_folder(run.header.run_id)}/shard-0001.parquet"))
        path.write_bytes(path.read_bytes()[:-9])
        with pytest.raises(PlanFileError, match="is damaged"):
            run_shard(run.store, run.header, 1, settings)
        other = run.header.model_copy(update={"model_digest": "0" * 64})
        with pytest.raises(ValueError, match=r"this machine's weights have the digest .* install the same weights"):
            run_shard(run.store, other, 2, settings)
        with pytest.raises(PlanFileError, match=r"shard 3: run .* has shards 1 to 2; choose one of them"):
            run_shard(run.store, run.header, 3, settings)
        board = Board(run.store, run.header)
        assert states(board) == [(FREE, 1, 1), (FREE, 1, 1)]
        assert "shard-0001.parquet: is damaged" in board.shards[0].end.fault  # type: ignore[union-attr]
        taken(run, 1)
        with pytest.raises(LeaseError, match="on elsewhere"):
            run_shard(run.store, run.header, 1, settings)


def test_a_shards_end_counts_for_the_run() -> None:
    end = ShardEnd(
        run_id="x", restored=2, failed=1, with_warnings=1, by_code={"corrupt": 1}, warnings={"3 tags": 1}, left=4
    )
    assert ShardEnd.loads(end.dumps()) == end
    outcome = Outcome(restored=1, failed=1, by_code={"corrupt": 1, "empty": 0})
    end.add_to(outcome)
    end.add_to(outcome)
    assert (outcome.restored, outcome.failed, outcome.left, outcome.with_warnings) == (5, 3, 8, 2)
    assert outcome.by_code == {"corrupt": 3, "empty": 0}
    assert outcome.warnings.commonest() == {"3 tags": 2}


def test_plans_of_dead_runs_go_once_nobody_works_on_them(settings: Settings) -> None:
    with planned(settings, 2) as run:
        taken(run, 1, seconds=-1)
    store = Store(settings.output)
    with hold_lease(store, run_id="next", seconds=30):
        assert clear_plans(store, 0) == 1
        assert list(store.list("_faitharchive/plans")) == []
        assert clear_plans(store, 0) == 0
    with planned(settings, 2) as run:
        taken(run, 2)
    with hold_lease(store, run_id="next", seconds=30):
        with pytest.raises(
            LeaseError, match=r"on elsewhere .process 1. goes on although its run is over; end that process"
        ):
            clear_plans(store, 0.1)
        taken(run, 2, seconds=0.3)  # the driver notices in a moment
        assert clear_plans(store, 10) == 1


def test_a_shards_lease_is_lost_when_the_next_run_takes_the_output(settings: Settings) -> None:
    with planned(settings, 2, seconds=0.9) as run:
        place = LeasePlace(shard_folder(run.header.run_id, 1), run.lease.number)
        with hold_lease(run.store, run_id="driver", seconds=0.9, place=place) as lease:
            with hold_lease(run.store, run_id="next", seconds=0.9, steal=True):
                until = time.monotonic() + 10
                while not lease.lost:
                    assert time.monotonic() < until
                    time.sleep(0.02)
            assert run.lease.lost


def test_drivers_count_as_the_run_that_planned(tmp_path: Path) -> None:
    """A run in shards that came to its end has settled all, whatever folders its drivers left in the manifest."""
    store, run_id = Store(str(tmp_path)), "20261128T221500.123Z-abcdef"
    store.publish(f"_faitharchive/manifest/run={shard_run(run_id, 1)}-1/part-00000.parquet", b"x")
    assert not all_runs_ended(store)
    write_run_start(store, run_id, {"only": ""})
    write_run_start(store, f"{shard_run(run_id, 2)}-1", {"only": "", "noted_by": "compaction"})
    assert run_history(store).begun == {run_id}
    assert not all_runs_ended(store)
    write_run_record(store, run_id, {"only": ""})
    assert all_runs_ended(store)


def test_drivers_share_what_the_run_may_have() -> None:
    local, cluster = Settings(replicas=4, min_replicas=3), Settings(ray_address="auto")
    assert (shards_at_once(local, 8), shards_at_once(local.model_copy(update={"shards_at_once": 3}), 8)) == (1, 3)
    assert shards_at_once(cluster.model_copy(update={"shards_at_once": 9}), 2) == 2
    assert 1 <= shards_at_once(cluster, 100) <= 8
    assert ray_settings(local, 1) == local
    assert ray_settings(local, 3).replicas == 3
    assert ray_settings(Settings(replicas=1), 3).replicas == 3
    own = driver_settings(local.model_copy(update={"budget_hours": 2.0}), 2, on_cpus=True)
    assert (own.replicas, own.min_replicas, own.budget_hours, own.shards) == (2, 2, 0.0, 1)
    assert driver_settings(cluster, 2, on_cpus=False).replicas == 0
    assert driver_settings(Settings(), 2, on_cpus=True).replicas >= 1
