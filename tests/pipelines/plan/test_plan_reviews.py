"""What people decided in a review counts in the plan: redo with settings of an item's own, once, and until it is taken back."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from archive_steps import archive_settings, restore_without_model, save_photo

from pipelines.manifest.decision import ACCEPT, REDO, Decision, standing
from pipelines.manifest.decisions import DecisionLog
from pipelines.manifest.reader import current_rows
from pipelines.plan.plan import Plan, make_plan
from pipelines.rows import Row
from pipelines.settings import Settings
from pipelines.store.store import Store


@pytest.fixture(scope="module")
def restored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("restored")
    for name in ("a.png", "b.png", "c.png"):
        save_photo(folder / "scans" / name)
    restore_without_model(archive_settings(folder), ended=True)
    return folder


@pytest.fixture
def settings(restored: Path, tmp_path: Path) -> Settings:
    """A copy of an archive of three."""
    shutil.copytree(restored, tmp_path, dirs_exist_ok=True)
    return archive_settings(tmp_path, max_attempts=1)


def rows_of(settings: Settings) -> dict[str, Row]:
    return {row["source_path"]: row for row in current_rows(Store(settings.output)).values()}


def decide(settings: Settings, path: str, verb: str, **choices: object) -> Decision:
    made = Decision.about(rows_of(settings)[path], verb, reviewer="Ada", choices=choices or None)
    DecisionLog(Store(settings.output)).record([made])
    return made


def reasons(plan: Plan) -> dict[str, str]:
    return dict(zip((row["source_path"] for row in plan.pending), plan.pending.reasons, strict=True))


def carry_out(settings: Settings) -> None:
    """A night, choice by choice as the driver goes."""
    plan = make_plan(settings)
    for choice, rows in plan.pending.by_choice():
        part = Plan(pending=rows, final_rows=plan.final_rows[:0], claimed=True)
        restore_without_model(choice.settings if choice else settings, part, ended=True)


def test_a_redo_is_planned_once_with_its_own_settings(settings: Settings) -> None:
    decide(settings, "a.png", REDO, steps=2, seed=9)
    plan = make_plan(settings)
    assert reasons(plan) == {"a.png": "redo chosen in a review"}
    assert plan.done == 2
    (row,) = plan.pending
    own = settings.model_copy(update={"steps": 2, "seed": 9})
    assert (row["settings_digest"], row["seed"]) == (own.result_digest(), 9)

    carry_out(settings)
    made = rows_of(settings)["a.png"]
    assert (made["settings_digest"], made["seed"]) == (own.result_digest(), 9)
    assert '"steps": 2' in made["settings"]
    assert '"steps": 1' in rows_of(settings)["b.png"]["settings"]
    plan = make_plan(settings)
    assert (len(plan.pending), plan.done) == (0, 3)


def test_a_result_that_was_redone_waits_for_eyes_again_and_keeps_its_settings(settings: Settings) -> None:
    redo = decide(settings, "a.png", REDO, steps=2)
    carry_out(settings)
    log = DecisionLog(Store(settings.output))
    row = rows_of(settings)["a.png"]
    assert standing(log.current()[row["item_id"]], row) == "none"
    accept = decide(settings, "a.png", ACCEPT)
    assert len(make_plan(settings).pending) == 0
    # Another run's settings are new for all, and hold beside the chosen one.
    other = settings.model_copy(update={"upscale": 3})
    pending = {row["source_path"]: row for row in make_plan(other).pending}
    assert pending["a.png"]["settings_digest"] == other.model_copy(update={"steps": 2}).result_digest()
    assert pending["b.png"]["settings_digest"] == other.result_digest()
    # Taken back, the item is the run's again.
    log.record([accept.taken_back(reviewer="Ada"), redo.taken_back(reviewer="Ada")])
    assert reasons(make_plan(settings)) == {"a.png": "settings changed"}


def test_an_answer_before_the_night_calls_a_redo_off(settings: Settings) -> None:
    decide(settings, "a.png", REDO, steps=2)
    decide(settings, "a.png", ACCEPT)
    assert len(make_plan(settings).pending) == 0


def test_each_choice_is_a_group_of_its_own(settings: Settings) -> None:
    decide(settings, "a.png", REDO, steps=2)
    decide(settings, "b.png", REDO, steps=3)
    decide(settings, "c.png", REDO, steps=2)
    groups = [
        (choice, [row["source_path"] for row in rows]) for choice, rows in make_plan(settings).pending.by_choice()
    ]
    assert [(choice and choice.settings.steps, paths) for choice, paths in groups] == [
        (None, []), (2, ["a.png", "c.png"]), (3, ["b.png"]),
    ]  # fmt: skip


def test_another_preset_brings_its_own_model(settings: Settings) -> None:
    decide(settings, "a.png", REDO, preset="nano", grain="keep")
    plan = make_plan(settings)
    (row,) = plan.pending
    assert row["model_digest"] != plan.model_digest
    (_, _), (choice, rows) = plan.pending.by_choice()
    assert choice is not None
    assert choice.settings.preset == "nano"
    assert rows.builder.model_digest == row["model_digest"] == rows[0]["model_digest"] == choice.model.digest


def test_what_cannot_be_carried_out_waits_and_stays_as_it_is(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    decide(settings, "a.png", REDO, preset="sdxl")  # whose weights are not here
    plan = make_plan(settings)
    assert (len(plan.pending), plan.done, plan.waiting) == (0, 2, ["a.png"])
    assert len(plan.why_waiting) == 1
    assert plan.why_waiting[0] in caplog.messages
    assert "\n" not in plan.why_waiting[0]
    assert Path(settings.output, "a.png").exists()


def test_a_failed_item_is_tried_again_with_other_settings(settings: Settings) -> None:
    path = Path(settings.source, "d.png")
    path.write_bytes(b"no picture")
    restore_without_model(settings, ended=True)
    plan = make_plan(settings)
    assert plan.quarantined == ["d.png"]
    decide(settings, "d.png", REDO, steps=2)
    plan = make_plan(settings)
    assert reasons(plan) == {"d.png": "failed before"}
    assert plan.pending[0]["attempt"] == 1
