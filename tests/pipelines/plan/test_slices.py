"""A plan in slices: what is written comes back, whole and once, and what is damaged or of another version is told."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest
from archive_steps import archive_settings, save_photo

import pipelines.plan.slices
from pipelines.manifest.naming import item_id
from pipelines.plan.header import PlanFileError, PlanHeader, read_header
from pipelines.plan.pending import PENDING_SCHEMA
from pipelines.plan.plan import Plan, make_plan
from pipelines.plan.slices import read_slice, shard_count, shard_of, write_slices
from pipelines.run.shard_board import clear_plans
from pipelines.settings import Settings
from pipelines.store.lease import hold_lease
from pipelines.store.store import Store

SHARDS = 3
RUN = "20261128T221500.123Z-abcdef"


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    place = tmp_path_factory.mktemp("archive")
    for number in range(12):
        save_photo(place / "scans" / f"box {number % 2}" / f"{number:02d}.png")
    return archive_settings(place, preset="nano")


@pytest.fixture(scope="module")
def plan(settings: Settings) -> Plan:
    return make_plan(settings)


@pytest.fixture
def written(tmp_path: Path, settings: Settings, plan: Plan) -> tuple[Store, PlanHeader]:
    store = Store(str(tmp_path / "out"))
    with hold_lease(store, run_id="before", seconds=30):
        pass
    with hold_lease(store, run_id=RUN, seconds=30) as lease:
        return store, write_slices(store, plan, settings, lease, SHARDS)


def folder(store: Store) -> Path:
    return Path(store.key(f"_faitharchive/plans/{RUN}"))


def test_every_row_is_in_one_slice_and_comes_back_as_it_was(written: tuple[Store, PlanHeader], plan: Plan) -> None:
    store, header = written
    slices = [read_slice(store, header, shard) for shard in range(1, SHARDS + 1)]
    found = [row for rows in slices for row in rows]
    assert sorted(found, key=lambda row: row["source_path"]) == list(plan.pending)
    assert [len(rows) for rows in slices] == [each.rows for each in header.slices]
    assert all(each.rows for each in header.slices)
    assert all(rows.table.schema == PENDING_SCHEMA for rows in slices)
    for shard, rows in enumerate(slices, 1):
        paths = [row["source_path"] for row in rows]
        assert paths == sorted(paths)
        assert {shard_of(row["item_id"], SHARDS) for row in rows} == {shard}


def test_a_store_that_is_not_local_gets_the_same(settings: Settings, plan: Plan) -> None:
    store = Store(f"memory://{RUN}")
    with hold_lease(store, run_id=RUN, seconds=30) as lease:
        header = write_slices(store, plan, settings, lease, SHARDS)
    assert read_header(store, RUN) == header
    assert sum(len(read_slice(store, header, shard)) for shard in range(1, SHARDS + 1)) == len(plan.pending)
    assert len(list(store.list("_faitharchive/plans"))) == SHARDS + 1
    with hold_lease(store, run_id="next", seconds=30):
        assert clear_plans(store, 0) == 1
    assert list(store.list("_faitharchive/plans")) == []


def test_the_header_says_what_drivers_need_and_is_written_last(
    written: tuple[Store, PlanHeader], settings: Settings, plan: Plan
) -> None:
    store, header = written
    assert read_header(store, RUN) == header
    assert (header.run_id, header.lease, header.shards) == (RUN, 2, SHARDS)
    assert header.settings == settings
    builder = header.builder()
    assert (builder.settings_digest, builder.model_digest, builder.seed, builder.chosen) == (
        plan.pending.builder.settings_digest, plan.model_digest, settings.seed, {},
    )  # fmt: skip
    names = sorted(path.name for path in folder(store).iterdir())
    assert names == ["plan.json", *(f"shard-{number:04d}.parquet" for number in range(1, SHARDS + 1))]
    (folder(store) / "plan.json").unlink()
    with pytest.raises(
        PlanFileError, match=r"is not there: run .* has ended, or died while it planned; nothing is lost"
    ):
        read_header(store, RUN)


def test_the_plan_is_gone_through_as_often_as_files_can_be_open(
    tmp_path: Path, settings: Settings, plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipelines.plan.slices, "_OPEN_FILES", 2)
    monkeypatch.setattr(pipelines.plan.slices, "_BATCH_ROWS", 5)
    store = Store(str(tmp_path / "out"))
    with hold_lease(store, run_id=RUN, seconds=30) as lease:
        header = write_slices(store, plan, settings, lease, 7)
    found = [row["source_path"] for shard in range(1, 8) for row in read_slice(store, header, shard)]
    assert sorted(found) == [row["source_path"] for row in plan.pending]


def test_items_are_spread_evenly_whatever_their_folders() -> None:
    found = Counter(shard_of(item_id(f"1924/box/{number:05d}.tif"), 8) for number in range(8000))
    assert set(found) == set(range(1, 9))
    assert all(900 < items < 1100 for items in found.values()), found


@pytest.mark.parametrize(
    ("wanted", "pending", "shards"),
    [
        (0, 0, 1),
        (0, 999_999, 1),
        (0, 1_000_001, 2),
        (0, 100_000_000, 100),
        (4, 100, 4),
        (4, 3, 3),
        (1, 10**8, 1),
        (9, 0, 1),
    ],
)
def test_how_many_there_are(wanted: int, pending: int, shards: int) -> None:
    assert shard_count(wanted, pending) == shards


@pytest.mark.parametrize("shard", [0, -1, SHARDS + 1])
def test_a_number_that_does_not_fit_is_told(written: tuple[Store, PlanHeader], shard: int) -> None:
    with pytest.raises(
        PlanFileError, match=rf"^shard {shard}: run {RUN} has shards 1 to {SHARDS}; choose one of them$"
    ):
        read_slice(*written, shard)


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        (
            {"version": 2},
            "is of version 2, and this FaithArchive takes 1 alone; install the same version on all machines",
        ),
        ({"software": "9.9"}, "is of software 9.9, and this FaithArchive takes .* alone; install the same version"),
        (
            {"lease": "first"},
            "is damaged, or of another version .lease: .*; nothing is lost: run the same restore command",
        ),
        ({"colour": "red"}, "is damaged, or of another version .colour: "),
    ],
)
def test_a_header_of_another_version_is_told(
    written: tuple[Store, PlanHeader], changes: dict[str, object], complaint: str
) -> None:
    store, _ = written
    path = folder(store) / "plan.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    with pytest.raises(PlanFileError, match=complaint) as caught:
        read_header(store, RUN)
    assert "plan.json" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_settings_of_another_version_are_told(written: tuple[Store, PlanHeader]) -> None:
    store, _ = written
    path = folder(store) / "plan.json"
    values = json.loads(path.read_text())
    values["settings"]["sharpen"] = 3
    path.write_text(json.dumps(values))
    with pytest.raises(PlanFileError, match=r"settings\.sharpen: Extra inputs are not permitted"):
        read_header(store, RUN)


@pytest.mark.parametrize("text", ["", "{", "[]", "no plan", '{"version": "1"}'])
def test_a_damaged_header_is_told(written: tuple[Store, PlanHeader], text: str) -> None:
    store, _ = written
    (folder(store) / "plan.json").write_text(text)
    with pytest.raises(PlanFileError, match=r"plan\.json: is damaged.*nothing is lost") as caught:
        read_header(store, RUN)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("damage", ["cut", "flipped", "gone"])
def test_a_damaged_slice_is_told(written: tuple[Store, PlanHeader], damage: str) -> None:
    store, header = written
    path = folder(store) / "shard-0002.parquet"
    data = path.read_bytes()
    if damage == "gone":
        path.unlink()
    else:
        path.write_bytes(data[: len(data) // 2] if damage == "cut" else data[:99] + bytes([data[99] ^ 1]) + data[100:])
    expected = "cannot be read" if damage == "gone" else "is damaged .its checksum is not the one in plan.json"
    with pytest.raises(PlanFileError, match=rf"shard-0002\.parquet: {expected}.*nothing is lost"):
        read_slice(store, header, 2)
    assert len(read_slice(store, header, 1)) == header.slices[0].rows


def test_a_slice_with_other_columns_is_told(written: tuple[Store, PlanHeader]) -> None:
    """Such as another version would write, with a header that says so wrongly."""
    import hashlib

    import pyarrow as pa
    import pyarrow.parquet as pq

    store, header = written
    path = folder(store) / "shard-0001.parquet"
    pq.write_table(pa.table({"item": ["a"]}), path)
    about = header.slices[0]._replace(sha256=hashlib.sha256(path.read_bytes()).hexdigest())
    changed = header.model_copy(update={"slices": [about, *header.slices[1:]]})
    with pytest.raises(PlanFileError, match=r"shard-0001\.parquet: is damaged, or of another version"):
        read_slice(store, changed, 1)
