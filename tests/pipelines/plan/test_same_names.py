"""`--name same`: a result has its source's base name, or the item fails and says why; nothing is matched to the wrong scan."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from archive_steps import archive_settings, restore_without_model, save_photo

from pipelines.manifest.runs import write_run_record
from pipelines.plan.plan import Plan, make_plan
from pipelines.rows import FAILED, RESTORED
from pipelines.settings import Settings
from pipelines.store.ownership import claim_output
from pipelines.store.store import Store


def outputs(plan: Plan) -> dict[str, str]:
    return {row["source_path"]: row["output_path"] for row in plan.pending}


def reasons(plan: Plan) -> dict[str, str]:
    return {row["source_path"]: row["error_reason"] or "" for row in plan.final_rows if row["status"] == FAILED}


def changed(settings: Settings, **changes: Any) -> Settings:
    return Settings(**(settings.model_dump() | changes))


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    for name in ("scan.tif", "box/a.jpg", "box/a.tif", "box/b.jpg"):
        save_photo(tmp_path / "scans" / name)
    return archive_settings(tmp_path, name="same", format="png")


def test_base_names_stay_and_those_that_would_meet_fail(settings: Settings) -> None:
    plan = make_plan(settings)
    assert outputs(plan) == {"scan.tif": "scan.png", "box/b.jpg": "box/b.png"}
    assert {row["error_code"] for row in plan.final_rows} == {"name_taken"}
    assert reasons(plan) == {
        "box/a.jpg": "box/a.jpg: with --name same its result would be box/a.png, and so would that of box/a.tif; choose one of "
        "them with --only, keep them in separate folders, or give --name auto",
        "box/a.tif": "box/a.tif: with --name same its result would be box/a.png, and so would that of box/a.jpg; choose one of "
        "them with --only, keep them in separate folders, or give --name auto",
    }
    assert outputs(make_plan(changed(settings, name="auto")))["box/a.tif"] == "box/a.tif.png"


def test_formats_that_differ_do_not_meet(settings: Settings) -> None:
    plan = make_plan(changed(settings, format="auto"))
    assert outputs(plan) == {
        "scan.tif": "scan.tif",
        "box/a.jpg": "box/a.png",
        "box/a.tif": "box/a.tif",
        "box/b.jpg": "box/b.png",
    }


def test_one_of_them_is_taken_where_only_it_is_asked_for(settings: Settings) -> None:
    only = changed(settings, only="*.tif")
    assert {row["status"] for row in restore_without_model(only, ended=True)} == {RESTORED}
    plan = make_plan(settings)
    assert outputs(plan) == {"box/b.jpg": "box/b.png"}
    assert list(reasons(plan)) == ["box/a.jpg"]
    assert plan.done == 2


def test_what_is_done_keeps_its_name_until_it_is_made_again(settings: Settings) -> None:
    restore_without_model(changed(settings, name="auto"), ended=True)
    plan = make_plan(settings)
    assert (plan.done, len(plan.pending), reasons(plan)) == (4, 0, {})
    (Path(settings.source) / "box" / "a.jpg").unlink()
    again = make_plan(changed(settings, redo=True))
    assert outputs(again)["box/a.tif"] == "box/a.png"


def test_a_strangers_file_and_a_name_that_is_too_long_fail_with_their_reason(settings: Settings) -> None:
    output = Store(settings.output)
    output.publish("scan.png", b"an original")
    claim_output(output)
    write_run_record(output, "1", {"only": ""})
    long = "x" * 240 + ".jpg"
    save_photo(Path(settings.source) / long)
    found = reasons(make_plan(settings))
    assert "scan.png, where a file without a sidecar of ours lies; move that file away" in found["scan.tif"]
    assert "which is taken or too long for a file's name" in found[long]
    assert output.read("scan.png") == b"an original"
