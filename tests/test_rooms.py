"""The rooms of the house and who may import whom: every arrow points down, and nothing goes round in a circle."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from test_policies import PACKAGES, ROOT, modules

MODEL = "faithdiff_model"
WORDS = "words"  # the modules beside the rooms of `pipelines`, which every room shares
MOST_FLOORS = 8

# What each room may import: whole rooms, or single modules of one. All but `store` and `media` may also import words and model.
_PIPELINES = {
    WORDS: {MODEL},
    "store": {f"{MODEL}.redaction", "pipelines.errors"},
    "media": {"pipelines.errors"},
    "manifest": {"store", "pipelines.media.kinds", "pipelines.media.xmp"},
    "telemetry": {"store"},
    "film": {"manifest", "media", "store"},
    "capacity": {"manifest", "store"},
    "plan": {"film", "manifest", "media", "store"},
    "stages": {"film", "manifest", "media", "store"},
    "run": {"plan", "stages", "telemetry", "film", "manifest", "media", "store"},
    "audit": {"manifest", "film", "media", "store", "pipelines.run.streaming", "pipelines.telemetry.progress"},
    "review": {"manifest", "film", "media", "store", "pipelines.run.streaming", "pipelines.telemetry.progress"},
    "export": {"manifest", "film", "media", "store", "pipelines.run.streaming", "pipelines.telemetry.progress"},
}
_CLOSED = ("store", "media")
_JOBS = {
    "jobs": {"service"},  # importing the package prepares the environment, whichever way in is taken
    "service": set[str](),
    "console": set[str](),
    "settings": {"console", "service"},
    "training": {"settings", "console", "service"},
    "verification": {"settings", "console", "service"},
    "restoration": {"console"},
    "flows": {"restoration", "training", "verification", "settings", "console", "service"},
    "samples": {"console"},
    "cli": {"samples", "flows", "restoration", "training", "verification", "settings", "console", "service"},
    "__main__": {"cli"},
}
# Modules of `stages` that hold no stage: what the stages share.
_SHARED_BY_STAGES = {
    "adapter",
    "bind_pages",
    "carried",
    "consistency",
    "extra_channels",
    "faithfulness",
    "flags",
    "giants",
    "joining",
    "publish",
    "seeds",
    "sensitive",
    "replica",
    "tile_parts",
    "tiling",
    "trust",
}


@cache
def names() -> dict[str, Path]:
    """Every module of ours by its full name."""
    return {
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
        for package in PACKAGES
        for path in modules(package)
    }


@cache
def imported(module: str) -> frozenset[str]:
    """Full names of our modules that a module imports anywhere."""
    return frozenset(_imported(module)) - {module}


def _imported(module: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(names()[module].read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in names())
        elif isinstance(node, ast.ImportFrom) and node.module in names():
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                yield inner if inner in names() else node.module


def room(module: str) -> str:
    """The room that a module is in; the modules beside the rooms of `pipelines` are one."""
    package, *rest = module.split(".")
    if package == MODEL:
        return MODEL
    if package == "pipelines":
        return rest[0] if rest and (ROOT / "pipelines" / rest[0]).is_dir() else WORDS
    return rest[0] if rest else "jobs"


def refusals(module: str) -> list[str]:
    """The imports of a module that point up or aside."""
    package, here = module.split(".", maxsplit=1)[0], room(module)
    found = []
    for name in sorted(imported(module)):
        target, there = name.split(".")[0], room(name)
        if target == package and there == here:
            continue
        allowed = {"pipelines": _PIPELINES, "jobs": _JOBS}[package].get(here, set())
        shared = {WORDS, MODEL} if here not in _CLOSED else set[str]()
        below = package == "jobs" and target != "jobs"
        if not (below or there in allowed | shared or any(name == a or name.startswith(f"{a}.") for a in allowed)):
            found.append(f"{module} imports {name}")
    return found


@pytest.mark.parametrize("package", ["pipelines", "jobs"])
def test_every_arrow_points_down(package: str) -> None:
    assert [line for name in names() if name.split(".")[0] == package for line in refusals(name)] == []


def test_every_room_is_known() -> None:
    rooms = {path.name for path in (ROOT / "pipelines").iterdir() if (path / "__init__.py").is_file()}
    assert rooms <= set(_PIPELINES), "name the new room and what it may import"
    assert {path.stem for path in (ROOT / "pipelines").glob("*.py")} == {
        "__init__", "settings", "run_fields", "setting_fields", "setting_types", "item_settings",
        "columns", "rows", "errors",
    }  # fmt: skip
    assert {room(name) for name in names() if name.startswith("jobs.")} <= set(_JOBS)


def test_an_arrow_that_points_up_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    arrows = {"pipelines.store.store": {"pipelines.plan.plan", "pipelines.errors", "pipelines.settings"}}
    monkeypatch.setitem(globals(), "imported", lambda module: frozenset(arrows[module]))
    assert refusals("pipelines.store.store") == [
        "pipelines.store.store imports pipelines.plan.plan",
        "pipelines.store.store imports pipelines.settings",
    ]


def test_no_stage_imports_a_stage() -> None:
    stages = {path.stem for path in (ROOT / "pipelines" / "stages").glob("*.py")} - _SHARED_BY_STAGES - {"__init__"}
    assert {"decode", "restore", "write"} <= stages
    for stage in stages | _SHARED_BY_STAGES:
        used = {name.split(".")[2] for name in imported(f"pipelines.stages.{stage}") if room(name) == "stages"}
        assert not used & stages - {stage}, stage
    assert "pipelines.stages.decode" in imported("pipelines.run.assembly")


def test_no_file_is_in_a_circle() -> None:
    done: set[str] = set()

    def visit(module: str, above: tuple[str, ...]) -> None:
        assert module not in above, " -> ".join([*above[above.index(module) :], module])
        if module not in done:
            for name in sorted(imported(module)):
                visit(name, (*above, module))
            done.add(module)

    for module in names():
        visit(module, ())
    assert done == set(names())


def test_there_are_few_floors() -> None:
    """The longest way down through the rooms of the pipeline, with the model as the ground."""
    arrows: dict[str, set[str]] = {}
    for name in names():
        if name.startswith("pipelines."):
            arrows.setdefault(room(name), set()).update(room(other) for other in imported(name))

    @cache
    def floor(here: str) -> int:
        return 1 + max((floor(below) for below in arrows.get(here, set()) - {here}), default=0)

    assert 4 < max(floor(here) for here in arrows) <= MOST_FLOORS


def test_what_crosses_files_has_no_underscore() -> None:
    private = [
        f"{module}: {alias.name}"
        for module, path in names().items()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom) and node.module in names()
        for alias in node.names
        if alias.name.startswith("_")
    ]
    assert private == []
