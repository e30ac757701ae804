"""Masks of damage in a plan: an item without the mask that it had is not done, and no result gets a mask's name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from archive_steps import archive_settings, picture, restore_without_model
from scratched import find_white, scratch_mask, scratched

from pipelines.manifest.naming import item_id
from pipelines.media.photo.encode import encode
from pipelines.plan.plan import Plan, make_plan
from pipelines.settings import Settings
from pipelines.store.layout import damage_path


def save(folder: Path, name: str, mask: np.ndarray | None = None) -> None:
    pixels = picture(40, 30)
    path = folder / "scans" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encode(pixels if mask is None else scratched(pixels, mask), format="PNG"))


def reasons(plan: Plan) -> dict[str, str]:
    return {row["source_path"]: reason for row, reason in zip(plan.pending, plan.pending.reasons, strict=True)}


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A scratched photograph and a sound one, restored."""
    find_white(monkeypatch)
    save(tmp_path, "scratched.png", scratch_mask(40, 30))
    save(tmp_path, "sound.png")
    settings = archive_settings(tmp_path, repair_damage="fill")
    restore_without_model(settings, damage=True, ended=True)
    return settings


def test_masks_lie_beside_their_results_and_all_is_done(settings: Settings) -> None:
    output = Path(settings.output)
    assert (output / damage_path("scratched.png")).is_file()
    assert not (output / damage_path("sound.png")).exists()
    plan = make_plan(settings)
    assert (reasons(plan), plan.done) == ({}, 2)


@pytest.mark.parametrize("recorded", [True, False])
def test_a_missing_mask_is_made_again(settings: Settings, recorded: bool) -> None:
    """Whether the manifest tells of it, or the sidecar alone."""
    output = Path(settings.output)
    if not recorded:
        for path in (output / "_faitharchive" / "manifest").rglob("*.parquet"):
            path.unlink()
    (output / damage_path("scratched.png")).unlink()
    plan = make_plan(settings)
    assert (reasons(plan), plan.done) == ({"scratched.png": "result missing"}, 1)


def test_other_ways_with_damage_are_other_settings(settings: Settings) -> None:
    both = {name: "settings changed" for name in ("scratched.png", "sound.png")}
    for mode in ("mark", "off"):
        assert reasons(make_plan(Settings(**(settings.model_dump() | {"repair_damage": mode})))) == both


def test_without_it_masks_of_earlier_runs_go(settings: Settings) -> None:
    off = Settings(**(settings.model_dump() | {"repair_damage": "off"}))
    rows = {row["source_path"]: row for row in restore_without_model(off)}
    assert not (Path(settings.output) / damage_path("scratched.png")).exists()
    assert {rows["scratched.png"][name] for name in ("damage_share", "damage_marks", "damage_mask_sha256")} == {None}  # type: ignore[literal-required]
    assert reasons(make_plan(off)) == {}


def test_sources_with_a_masks_name_collide_with_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    find_white(monkeypatch)
    mask = scratch_mask(40, 30)
    names = ("a.png", "a.png.damage.png", "A.PNG.DAMAGE.jpg", "b.png", "b.png.damage.png/c.png")
    for name in names:
        save(tmp_path, name, mask)
    settings = archive_settings(tmp_path, repair_damage="mark")
    rows = {row["source_path"]: row for row in restore_without_model(settings, damage=True, ended=True)}
    assert {row["status"] for row in rows.values()} == {"restored"}, [row["error_reason"] for row in rows.values()]
    outputs = {path: row["output_path"] for path, row in rows.items()}
    marked = f"a.png.damage~{item_id('a.png.damage.png')[:8]}.png"
    assert (outputs["a.png"], outputs["a.png.damage.png"]) == ("a.png", marked)
    assert outputs["b.png"] != "b.png"  # where its mask would lie is a folder
    written = [output for path in outputs.values() for output in (path, damage_path(path))]
    assert len({name.lower() for name in written}) == 2 * len(names)
    assert all((Path(settings.output) / name).is_file() for name in written)
    assert reasons(make_plan(settings)) == {}


def test_a_folder_of_a_masks_name_that_comes_later_is_moved_aside(settings: Settings, tmp_path: Path) -> None:
    save(tmp_path, f"{damage_path('scratched.png')}/later.png")
    (row,) = make_plan(settings).pending
    assert not row["output_path"].startswith(f"{damage_path('scratched.png')}/")
