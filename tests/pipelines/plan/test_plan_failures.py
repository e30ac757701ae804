"""Sources that fail: tried again night after night up to a limit, then quarantined until a person clears them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from archive_steps import archive_settings, picture, restore_without_model, save_photo

from pipelines.manifest.naming import item_id
from pipelines.manifest.reader import current_rows
from pipelines.plan.plan import Plan, make_plan
from pipelines.rows import FAILED, QUARANTINED, RESTORED, Row
from pipelines.settings import Settings
from pipelines.store.store import Store


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """One good photograph and one broken one; two attempts."""
    settings = archive_settings(tmp_path, max_attempts=2)
    save_photo(Path(settings.source) / "good.png")
    (Path(settings.source) / "bad.png").write_bytes(b"\x89PNG\r\n\x1a\n, and no more")
    return settings


def current(settings: Settings) -> dict[str, Row]:
    return {row["source_path"]: row for row in current_rows(Store(settings.output)).values()}


def reasons(plan: Plan) -> dict[str, tuple[str, int]]:
    """Reason and attempt by path."""
    return {
        row["source_path"]: (why, row["attempt"]) for row, why in zip(plan.pending, plan.pending.reasons, strict=True)
    }


def test_the_way_into_quarantine_and_out(settings: Settings) -> None:
    assert reasons(make_plan(settings)) == {"bad.png": ("new", 1), "good.png": ("new", 1)}
    restore_without_model(settings)
    bad = current(settings)["bad.png"]
    assert (bad["status"], bad["error_stage"], bad["attempt"], bad["output_path"]) == (FAILED, "decode", 1, None)
    assert current(settings)["good.png"]["status"] == RESTORED

    assert reasons(make_plan(settings)) == {"bad.png": ("failed before", 2)}
    restore_without_model(settings)
    assert current(settings)["bad.png"]["attempt"] == 2

    plan = make_plan(settings)
    assert (plan.pending, plan.quarantined, plan.done) == ([], ["bad.png"], 1)
    restore_without_model(settings, plan)
    row = current(settings)["bad.png"]
    assert (row["status"], row["attempt"], row["error_code"]) == (QUARANTINED, 2, bad["error_code"])
    assert "failed in 2 runs" in row["error_reason"]
    assert bad["error_reason"] in row["error_reason"]
    assert "--redo" in row["error_reason"]

    plan = make_plan(settings)
    assert (plan.pending, plan.quarantined, plan.final_rows) == ([], ["bad.png"], [])  # said once, not every night

    redo = Settings(**(settings.model_dump() | {"redo": True}))
    assert reasons(make_plan(redo)) == {"bad.png": ("redo", 1), "good.png": ("redo", 1)}
    restore_without_model(redo)
    assert reasons(make_plan(settings)) == {"bad.png": ("failed before", 2)}


def test_more_attempts_free_from_quarantine(settings: Settings) -> None:
    for _ in range(3):
        restore_without_model(settings)
    assert current(settings)["bad.png"]["status"] == QUARANTINED
    patient = Settings(**(settings.model_dump() | {"max_attempts": 3}))
    assert reasons(make_plan(patient)) == {"bad.png": ("failed before", 3)}


@pytest.mark.parametrize("nights", [1, 3])
def test_a_mended_source_starts_anew(settings: Settings, nights: int) -> None:
    for _ in range(nights):
        restore_without_model(settings)
    save_photo(Path(settings.source) / "bad.png")
    assert reasons(make_plan(settings)) == {"bad.png": ("source changed", 1)}
    restore_without_model(settings)
    assert current(settings)["bad.png"]["status"] == RESTORED
    assert make_plan(settings).done == 2


@pytest.mark.parametrize("nights", [1, 3])
def test_other_settings_start_anew(settings: Settings, nights: int) -> None:
    for _ in range(nights):
        restore_without_model(settings)
    other = Settings(**(settings.model_dump() | {"upscale": 3}))
    assert reasons(make_plan(other)) == {"bad.png": ("failed before", 1), "good.png": ("settings changed", 1)}


def test_touching_does_not_start_anew(settings: Settings) -> None:
    restore_without_model(settings)
    os.utime(Path(settings.source) / "bad.png", (1, 1))
    plan = make_plan(settings)
    assert reasons(plan) == {"bad.png": ("failed before", 2)}
    assert plan.final_rows == []


def test_a_link_to_nowhere_is_tried_and_quarantined(settings: Settings) -> None:
    (Path(settings.source) / "gone.jpg").symlink_to("nowhere")
    for attempt in (1, 2):
        restore_without_model(settings)
        row = current(settings)["gone.jpg"]
        assert (row["status"], row["error_code"], row["attempt"]) == (FAILED, "unreadable", attempt)
    assert make_plan(settings).quarantined == ["bad.png", "gone.jpg"]


def test_a_name_that_is_not_utf8_fails_alone(settings: Settings) -> None:
    name = os.fsdecode(b"1924/caf\xe9.png")
    save_photo(Path(settings.source) / name)
    (Path(settings.source) / os.fsdecode(b"t\xe9.txt")).write_bytes(b"")
    plan = make_plan(settings)
    assert set(reasons(plan)) == {"bad.png", "good.png"}
    (row,) = plan.final_rows
    assert (row["status"], row["error_code"], row["error_stage"]) == (FAILED, "bad_name", "plan")
    assert row["item_id"] == item_id(name)
    assert row["source_path"] == "1924/caf\\xe9.png"
    assert "rename" in row["error_reason"]
    restore_without_model(settings, plan)
    assert current(settings)["1924/caf\\xe9.png"]["error_code"] == "bad_name"
    assert current(settings)["good.png"]["status"] == RESTORED
    assert make_plan(settings).done == 1


def test_names_that_are_not_utf8_do_not_meet_in_one_row(settings: Settings) -> None:
    for raw in (b"\xe9.png", b"\xe8.png"):
        save_photo(Path(settings.source) / os.fsdecode(raw))
    assert len({row["item_id"] for row in make_plan(settings).final_rows}) == 2


def test_a_failure_after_success_is_tried_again(settings: Settings) -> None:
    """A good result of an older state of the source does not cover its broken new state."""
    restore_without_model(settings)
    (Path(settings.source) / "good.png").write_bytes(b"broken now")
    restore_without_model(settings)
    assert current(settings)["good.png"]["status"] == FAILED
    assert reasons(make_plan(settings))["good.png"] == ("failed before", 2)
    save_photo(Path(settings.source) / "good.png", picture(20, 24, seed=9))
    assert reasons(make_plan(settings))["good.png"] == ("source changed", 1)
    save_photo(Path(settings.source) / "good.png")  # as it was at first: its first result is still there
    plan = make_plan(settings)
    assert "good.png" not in reasons(plan)
    restore_without_model(settings, plan)
    assert current(settings)["good.png"]["status"] == RESTORED
    assert current(settings)["good.png"]["output_path"] == "good.png"


def test_a_folder_that_may_not_be_listed_is_reported_and_the_rest_goes_on(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tests run as root, whom no folder refuses: the refusal itself is made here, where the system would raise it."""
    locked = Path(settings.source) / "locked"
    save_photo(locked / "inside.png")
    scandir = os.scandir

    def refusing(path: object) -> object:
        if not isinstance(path, int) and os.fspath(path).rstrip("/") == str(locked):  # type: ignore[call-overload]
            raise PermissionError(13, "Permission denied", str(locked))
        return scandir(path)  # type: ignore[call-overload]

    monkeypatch.setattr(os, "scandir", refusing)
    plan = make_plan(settings)
    assert sorted(row["source_path"] for row in plan.pending) == ["bad.png", "good.png"]
    [row] = plan.final_rows
    assert (row["source_path"], row["status"], row["error_code"]) == ("locked", FAILED, "unreadable")
    assert row["error_reason"] == "locked: this folder cannot be listed (Permission denied); check access"


def test_a_file_finished_just_before_a_crash_is_not_restored_again(settings: Settings) -> None:
    """Its sidecar is newer than the manifest's row of an earlier run."""
    restore_without_model(settings)
    changed = Settings(**(settings.model_dump() | {"seed": 4}))
    restore_without_model(changed)
    newest = max((Path(settings.output) / "_faitharchive/manifest").iterdir())
    for file in newest.iterdir():
        file.unlink()
    plan = make_plan(changed)
    assert [row["source_path"] for row in plan.pending] == ["bad.png"]
    assert [(row["source_path"], row["seed"]) for row in plan.final_rows] == [("good.png", 4)]


def test_a_single_file_as_source_is_refused(settings: Settings) -> None:
    one = Settings(**(settings.model_dump() | {"source": f"{settings.source}/good.png"}))
    with pytest.raises(ValueError, match="is a file; give its folder"):
        make_plan(one)
