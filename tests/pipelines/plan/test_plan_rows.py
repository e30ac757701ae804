"""A plan's rows: compact, whole where they are looked at, the same in any process."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from archive_steps import archive_settings, save_photo

from pipelines.plan.pending import PENDING_SCHEMA, ArrowSpill, PendingRows
from pipelines.plan.plan import Plan, make_plan
from pipelines.rows import ROW_SCHEMA
from pipelines.settings import Settings

CAPTIONS = {"b.png": "A mill by a river"}


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Five photographs, one of them described."""
    folder = tmp_path_factory.mktemp("rows")
    for name in ("a.png", "b.png", "c.tif", "d/e.png", "d/f.jpg"):
        save_photo(folder / "scans" / name)
    (folder / "catalogue.csv").write_text("path,caption\nb.png,A mill by a river\n")
    return archive_settings(folder, captions="catalogue", catalogue=str(folder / "catalogue.csv"), seed=7)


@pytest.fixture(scope="module")
def plan(settings: Settings) -> Plan:
    return make_plan(settings)


@pytest.mark.parametrize(
    ("changes", "unguided"),
    [
        ({}, 4),
        ({"negative_prompt": "A mill by a river"}, 1),
        ({"negative_prompt": "blurred"}, 0),
        ({"empty_negative": "zeros"}, 0),
        ({"guidance_scale": 1.0}, 0),
        ({"captions": "llava"}, 0),
        ({"preset": "nano", "captions": "none"}, 0),
    ],
)
def test_rows_whose_prompt_is_the_negative_one_are_counted(
    plan: Plan, settings: Settings, changes: dict[str, Any], unguided: int
) -> None:
    assert plan.pending.unguided(Settings(**settings.model_dump() | changes)) == unguided


def test_rows_are_a_sequence(plan: Plan) -> None:
    rows = plan.pending
    assert isinstance(rows, Sequence)
    whole = list(rows)
    assert len(rows) == len(whole) == 5
    assert bool(rows)
    assert [row["source_path"] for row in whole] == ["a.png", "b.png", "c.tif", "d/e.png", "d/f.jpg"]
    assert [rows[index] for index in range(-5, 5)] == whole * 2
    assert list(rows[1:3]) == whole[1:3]
    assert list(rows[:0]) == []
    assert list(rows[::-2]) == whole[::-2]
    assert rows[:99] == whole
    assert rows != whole[:4]
    assert rows != [*whole[:4], whole[0]]
    assert rows != [0, 1, 2, 3, 4]
    assert rows != 5
    with pytest.raises(IndexError):
        rows[5]
    assert isinstance(rows[1:3], PendingRows)


def test_rows_are_whole(plan: Plan, settings: Settings) -> None:
    row = plan.pending[1]
    assert list(row) == ROW_SCHEMA.names
    assert (row["caption"], row["caption_source"], row["seed"]) == ("A mill by a river", "catalogue", 7)
    assert "mill" in row["prompt"]
    assert row["settings_digest"] == settings.result_digest("A mill by a river")
    assert plan.pending[0]["settings_digest"] == settings.result_digest()
    assert (plan.pending[0]["caption"], plan.pending[0]["caption_source"], plan.pending[0]["prompt"]) == (
        "",
        "none",
        "",
    )
    assert row["source_uri"] == f"file://{settings.source}/b.png"
    assert row["output_uri"] == f"file://{settings.output}/b.png"


def test_a_row_that_is_changed_stays_so_only_where_it_is_kept(plan: Plan) -> None:
    plan.pending[0]["run_id"] = "1"
    assert plan.pending[0]["run_id"] is None


def test_other_processes_expand_their_own_part(plan: Plan) -> None:
    rows = plan.pending
    assert rows.table.schema == PENDING_SCHEMA
    expand = pickle.loads(pickle.dumps(rows.builder))
    part = pickle.loads(pickle.dumps(rows.table.slice(2, 2)))
    assert expand(part) == list(rows)[2:4]
    assert len(pickle.dumps(rows.builder)) < 2000


def test_some_of_them(plan: Plan) -> None:
    whole = list(plan.pending)
    chosen = plan.pending.select({whole[3]["item_id"], whole[1]["item_id"], "0" * 24})
    assert list(chosen) == [whole[1], whole[3]]
    assert list(chosen.select([])) == []
    assert chosen.counts() == {"new": 2}


def test_reasons_go_with_them(plan: Plan) -> None:
    assert plan.pending.reasons == ["new"] * 5
    assert plan.pending[1:3].reasons == ["new", "new"]
    assert plan.pending.select([]).reasons == []


def test_a_spool_gives_back_what_it_took_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    schema = pa.schema([("a", pa.string()), ("b", pa.list_(pa.int32()))])
    spool = ArrowSpill(schema)
    parts = [pa.table({"b": [[1], []], "a": ["x", None]}), pa.table({"a": ["é"], "b": [None]})]
    for part in parts:
        spool.add(part)
    assert spool.rows == 3
    assert list(tmp_path.iterdir())
    table = spool.table()
    assert list(tmp_path.iterdir()) == []
    assert table.schema == schema
    assert table.to_pylist() == [{"a": "x", "b": [1]}, {"a": None, "b": []}, {"a": "é", "b": None}]
    assert ArrowSpill(schema).table().num_rows == 0


def test_a_plan_leaves_no_temporary_files(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    plan = make_plan(settings)
    assert list(tmp_path.iterdir()) == []
    assert plan.pending[4]["source_path"] == "d/f.jpg"  # still there to be read
