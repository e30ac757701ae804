"""Two rows of one item that are equally new: every reader of the manifest takes the same one, before and after compaction."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

import pytest
from archive_steps import MOMENT, archive_settings, full_row, restore_without_model, save_photo

from pipelines.capacity.throughput import measure
from pipelines.manifest.compact import compact_manifest
from pipelines.manifest.current import newest_rows
from pipelines.manifest.index import RowTable, open_index, read_block
from pipelines.manifest.reader import current_rows
from pipelines.manifest.runs import new_run_id, write_run_record
from pipelines.manifest.scratch import scratch_database
from pipelines.manifest.writer import ManifestWriter
from pipelines.plan.plan import make_plan
from pipelines.review.report import make_report
from pipelines.rows import FAILED, RESTORED, Row, to_table
from pipelines.store.store import Store

RUN = "20260101T000000.000Z-aaaaaa"
SIZES = {"width": 2, "height": 3, "output_width": 4, "output_height": 6}
SOUND = {"status": RESTORED, "caption": "sound", "media_kind": "photo", **SIZES}
BAD = {"status": FAILED, "caption": "bad", "error_code": "corrupt", "error_stage": "decode", **SIZES}


def by_reader(store: Store) -> str:
    (row,) = current_rows(store).values()
    return str(row["caption"])


def by_index(store: Store) -> str:
    with open_index(store, statuses=None) as index:
        (block,) = index.blocks(rows=10, size=1 << 60)
    (row,) = read_block(store, block, ("caption",))
    return str(row["caption"])


def by_report(store: Store) -> str:
    return "sound" if make_report(store).statuses == {RESTORED: 1} else "bad"


def by_capacity(store: Store) -> str:
    return "sound" if measure(store) else "bad"


@pytest.mark.parametrize("look", [by_reader, by_index, by_report, by_capacity])
@pytest.mark.parametrize("apart", [True, False], ids=["in two files", "in one file"])
@pytest.mark.parametrize("last", [SOUND, BAD], ids=["sound", "bad"])
def test_the_last_of_equally_new_rows_counts(
    look: Callable[[Store], str], apart: bool, last: Row, tmp_path: Path
) -> None:
    store = Store(str(tmp_path))
    writer = ManifestWriter(store, RUN)
    for values in (BAD if last is SOUND else SOUND, last):
        writer.add(full_row(run_id=RUN, finished_at=MOMENT, **values))
        if apart:
            writer.flush()
    writer.flush()
    assert look(store) == last["caption"]
    compact_manifest(store, compaction_id=new_run_id(), lease_seconds=30)
    assert look(store) == last["caption"]


@pytest.mark.parametrize("last", ["failed", "restored"])
def test_the_plan_takes_the_last_of_equally_new_rows(last: str, tmp_path: Path) -> None:
    settings = archive_settings(tmp_path)
    save_photo(tmp_path / "scans/a.png")
    output = Store(settings.output)
    (sound,) = restore_without_model(settings, run_id=RUN, record=False)
    failed = {**sound, "status": FAILED, "output_path": None, "error_code": "corrupt", "error_reason": "is damaged"}
    writer = ManifestWriter(output, RUN)
    for row in (sound, failed) if last == "failed" else (failed, sound):
        writer.add(row)
        writer.flush()
    write_run_record(output, RUN, {"only": ""})
    plan = make_plan(settings)
    assert (plan.done, plan.counts()) == ((0, {"failed before": 1}) if last == "failed" else (1, {}))


def test_sql_and_python_agree_on_any_rows() -> None:
    """Also on runs and times that are missing, and on ids that are."""
    runs, moments, ids = (None, "a", "b"), (None, MOMENT, MOMENT.replace(year=1950)), (None, "x")
    values = list(itertools.product(runs, moments, ids)) * 2
    for shift in range(0, len(values), 5):
        order = values[shift:] + values[:shift]
        rows = [
            full_row(run_id=run, finished_at=moment, item_id=name, caption=str(number))
            for number, (run, moment, name) in enumerate(order)
        ]
        with scratch_database() as database:
            table = RowTable(database, ("item_id", "run_id", "finished_at", "caption"))
            table.add(to_table(rows[:7]))
            table.add(to_table(rows[7:]))
            table.keep_newest("newest")
            chosen = database.execute("select caption from newest").fetchall()
        assert sorted(caption for (caption,) in chosen) == sorted(row["caption"] for row in newest_rows(rows).values())
