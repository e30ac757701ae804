"""Commits of hub repositories: they stand in every row, and a commit upstream plans nothing anew until it is asked for."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from archive_steps import archive_settings, restore_without_model, save_photo
from fake_hub import FakeHub, running_hub
from published_model import WEIGHTS, add_preset, publish

import faithdiff_model.presets
from faithdiff_model.presets import ORIGINS
from faithdiff_model.spec import ModelSpec
from faithdiff_model.weights.files import model_digest
from faithdiff_model.weights.revisions import at_revision, pin_model, repository
from pipelines.manifest.reader import current_rows
from pipelines.plan.plan import Plan, make_plan
from pipelines.settings import Settings
from pipelines.store.layout import MANIFEST
from pipelines.store.store import Store


@pytest.fixture(scope="module")
def commits(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two states of a repository with all parts in it, of other weights."""
    return [publish(tmp_path_factory.mktemp(f"commit{seed}"), seed) for seed in (5, 6)]


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    with running_hub(tmp_path / "hub", monkeypatch) as running:
        yield running


@pytest.fixture
def first(hub: FakeHub, commits: list[Path]) -> str:
    return hub.commit("o/all", commits[0])


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, first: str) -> Settings:
    add_preset(monkeypatch)
    for table in (faithdiff_model.presets.DEFAULTS, faithdiff_model.presets.DETAIL, faithdiff_model.presets.TILE):
        monkeypatch.setitem(table, "small", table["tiny"])
    save_photo(tmp_path / "scans" / "a.png")
    save_photo(tmp_path / "scans" / "b.png")
    places = {"base": "hf://o/all/base", "vae": "hf://o/all/vae", "faithdiff": "o/all"}
    return archive_settings(tmp_path, preset="small", **places)


def changed(settings: Settings, **changes: Any) -> Settings:
    return Settings(**(settings.model_dump() | changes))


def reasons(plan: Plan) -> set[str]:
    return set(plan.pending.reasons)


def revisions(commit: str) -> dict[str, str]:
    return {"base": f"o/all@{commit}/base", "vae": f"o/all@{commit}/vae", "faithdiff": f"o/all@{commit}"}


def test_the_commit_stands_in_every_row_and_beside_every_result(settings: Settings, first: str) -> None:
    restore_without_model(settings)
    rows = current_rows(Store(settings.output)).values()
    assert [json.loads(row["model_revision"] or "") for row in rows] == [revisions(first)] * 2
    sidecar = json.loads((Path(settings.output) / "a.png.restoration.json").read_text())
    assert sidecar["model_revision"] == revisions(first)


@pytest.mark.parametrize("lost", [False, True])
def test_a_commit_upstream_plans_nothing_anew_until_it_is_asked_for(
    settings: Settings, hub: FakeHub, commits: list[Path], first: str, tmp_path: Path, lost: bool
) -> None:
    """Whether the manifest says what the archive was restored with, or the sidecars alone."""
    restore_without_model(settings)
    if lost:
        shutil.rmtree(Path(settings.output) / MANIFEST)
    second = hub.commit("o/all", commits[1])
    shutil.rmtree(tmp_path / "hub")  # as on another machine
    assert make_plan(settings).done == 2
    save_photo(tmp_path / "scans" / "c.png")  # and what is new is restored alike
    (new,) = make_plan(settings).pending
    assert json.loads(new["model_revision"] or "") == revisions(first)
    asked = changed(settings, base="o/all@main/base", vae=f"o/all@{second}/vae", faithdiff="o/all@main")
    plan = make_plan(asked)
    assert reasons(plan) == {"model changed", "new"}
    assert json.loads(plan.pending[0]["model_revision"] or "") == revisions(second)


def test_a_commit_that_leaves_the_weights_alone_changes_nothing(
    settings: Settings, hub: FakeHub, commits: list[Path], tmp_path: Path
) -> None:
    restore_without_model(settings)
    shutil.copytree(commits[0], tmp_path / "readme")
    (tmp_path / "readme" / "README.md").write_text("new")
    hub.commit("o/all", tmp_path / "readme")
    assert make_plan(changed(settings, faithdiff="o/all@main", base="o/all@main/base")).done == 2


def test_what_failed_with_another_commit_does_not_count(
    settings: Settings, hub: FakeHub, commits: list[Path], first: str, tmp_path: Path
) -> None:
    restore_without_model(settings)
    hub.commit("o/all", commits[1])
    (tmp_path / "scans" / "c.png").write_bytes(b"no image")
    asked = changed(settings, base="o/all@main/base", vae="o/all@main/vae", faithdiff="o/all@main", only="c.png")
    assert [row["status"] for row in restore_without_model(asked)] == ["failed"]
    assert make_plan(changed(settings, only="[ab].png")).done == 2


def test_replicas_load_the_commits_of_the_plan(
    settings: Settings, hub: FakeHub, commits: list[Path], first: str, tmp_path: Path
) -> None:
    plan = make_plan(settings)
    hub.commit("o/all", commits[1])
    own = settings.at_revisions(plan.pending.builder.model_revision)
    assert {name: getattr(own, name) for name in ("base", "vae", "faithdiff")} == revisions(first)
    assert model_digest(own.model_spec()) == plan.model_digest != model_digest(settings.model_spec())
    assert own.result_settings() == settings.result_settings()


def test_weights_that_are_not_from_the_hub_have_no_commit(
    settings: Settings, commits: list[Path], hub: FakeHub, first: str
) -> None:
    at = commits[0]
    local = changed(settings, base=str(at / "base"), vae=str(at / "vae"), faithdiff=str(at / WEIGHTS))
    assert [row["model_revision"] for row in make_plan(local).pending] == [None, None]
    assert make_plan(local).model_digest == make_plan(settings).model_digest
    spec, found = pin_model(changed(settings, base=str(at / "base")).model_spec())
    assert spec.base == str(at / "base")
    assert set(found) == {"vae", "faithdiff"}
    (cached,) = Path(hub.cache).glob("models--o--all/snapshots/*")
    _, found = pin_model(changed(local, vae=str(cached / "vae")).model_spec())  # given as it lies in the hub's cache
    assert found == {"vae": f"o/all@{first}"}


def test_a_location_takes_the_commit_of_its_own_repository_alone() -> None:
    assert at_revision("o/n", "o/n@" + "1" * 40) == "o/n@" + "1" * 40
    assert at_revision("o/n@main/x.bin", "o/n@" + "1" * 40 + "/x.bin") == "o/n@" + "1" * 40 + "/x.bin"
    for other in ("o/m@" + "1" * 40, "", "/o/n"):
        assert at_revision("o/n@v1", other) == "o/n@v1"
    assert repository("llava-hf/llava-1.5-13b-hf@main") == "llava-hf/llava-1.5-13b-hf"
    assert repository("/models/llava@home") == "/models/llava@home"


def test_the_captioner_is_recorded_by_its_name_whatever_its_commit(settings: Settings) -> None:
    records = [
        changed(settings, preset="sdxl", captions="llava", captioner=f"o/llava{revision}").result_settings()[
            "captioner"
        ]
        for revision in ("", "@main", "@" + "1" * 40)
    ]
    assert records == ["o/llava"] * 3


def test_the_shipped_defaults_are_commits_where_they_are_known() -> None:
    assert ORIGINS["sdxl"].faithdiff == "jychen9811/FaithDiff@36161f73a33efabe8fee5c22115ab1be69b48d11"
    assert ModelSpec(preset="sdxl").origin.vae.startswith("madebyollin/sdxl-vae-fp16-fix@")
    assert len(ORIGINS["sdxl"].vae.rpartition("@")[2]) == 40
