"""The Dockerfile's steps, carried out without Docker as far as they go: in a folder that holds what a build would see."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from dockerfile import Stage, context, copied, stages
from infra_files import INFRA, ROOT, pinned
from packaging.requirements import Requirement

FOUND = stages(INFRA / "images/Dockerfile")


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("context")
    context(ROOT, ROOT / ".dockerignore", folder)
    return folder


def _build(stage: Stage, seen: Path, folder: Path) -> None:
    """A stage's COPY steps."""
    for rest in stage.all_of("COPY"):
        _, sources, target = copied(rest)
        for source in sources:
            to = folder / target / Path(source).name if target == "./" else folder / target
            to.parent.mkdir(parents=True, exist_ok=True)
            (shutil.copytree if (seen / source).is_dir() else shutil.copyfile)(seen / source, to)


def _run(command: str, folder: Path) -> str:
    """A RUN step with this environment's Python, and its folders in place of the image's."""
    command = command.replace("/wheels", str(folder / "wheels"))
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path}
    done = subprocess.run(command, shell=True, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def test_the_context_holds_what_is_needed_and_no_more(seen: Path) -> None:
    assert {path.name for path in seen.iterdir()} == {
        "LICENSE", "README.md", "constraints.txt", "faithdiff_model", "infra", "jobs", "pipelines", "pyproject.toml",
    }  # fmt: skip
    assert sorted(path.relative_to(seen).as_posix() for path in (seen / "infra").rglob("*.*")) == [
        "infra/automations.yaml",
        "infra/prefect.yaml",
    ]
    assert not list(seen.rglob("__pycache__"))


@pytest.fixture(scope="module")
def wheel(seen: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    stage = FOUND["wheel"]
    _build(stage, seen, folder)
    *_, make = stage.all_of("RUN")
    assert make.startswith("pip wheel ")
    _run(make, folder)
    (made,) = (folder / "wheels").iterdir()
    return made


def test_the_wheel_is_whole_and_works_alone(wheel: Path, tmp_path: Path) -> None:
    install = FOUND["cpu"].all_of("RUN")[0]
    assert install == FOUND["cuda"].all_of("RUN")[0]
    command = re.sub(r"^--mount=\S+\s+", "", install).replace(" --python /opt/faitharchive/bin/python", "")
    assert command.startswith("pip install ")
    shutil.copytree(wheel.parent, tmp_path / "wheels")
    _run(f"{command} --target {tmp_path}/site --no-compile", tmp_path)
    shipped = [path for path in (ROOT / "faithdiff_model/presets/weights").rglob("*") if path.is_file()]
    assert shipped
    for path in shipped:
        assert (tmp_path / "site" / path.relative_to(ROOT)).read_bytes() == path.read_bytes()
    for package in ("faithdiff_model", "pipelines", "jobs"):
        ours = {path.relative_to(ROOT) for path in (ROOT / package).rglob("*.py")}
        assert ours == {path.relative_to(tmp_path / "site") for path in (tmp_path / "site" / package).rglob("*.py")}
    program = "import jobs.cli.main; print(jobs.cli.main.__file__); jobs.cli.main.main()"
    shown = subprocess.run(
        [sys.executable, "-P", "-c", program, "settings"], capture_output=True, text=True, check=True, cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": f"{tmp_path}/site"},
    ).stdout  # fmt: skip
    assert shown.startswith(f"{tmp_path}/site/")
    assert "preset: nano" in shown


@pytest.fixture(scope="module")
def needs(seen: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("libraries")
    stage = FOUND["libraries"]
    _build(stage, seen, folder)
    _run(stage.all_of("RUN")[0].replace("/opt/faitharchive", str(folder / "venv")), folder)
    assert (folder / "venv/bin/python").exists()
    return folder


def test_what_is_installed_fits_the_pins(needs: Path) -> None:
    wanted = [Requirement(line) for line in (needs / "requirements.txt").read_text().splitlines()]
    for need in wanted:
        assert need.specifier.contains(pinned(need.name)), need
    assert {"ray", "s3fs", "opentelemetry-sdk", "boto3", "torch", "prefect"} <= {need.name for need in wanted}
    assert any("default" in need.extras for need in wanted if need.name == "ray")


def test_the_pins_and_needs_resolve_together(needs: Path) -> None:
    """By pip itself, from what is installed here: nothing is missing from constraints.txt, nothing contradicts it."""
    (command,) = {FOUND[f"libraries-{kind}"].all_of("RUN")[0].rpartition("&&")[2].strip() for kind in ("cpu", "cuda")}
    assert command.startswith("pip --python /opt/faitharchive/bin/python install ")
    command = command.replace("--python /opt/faitharchive/bin/python ", "")
    assert "Would install" not in _run(f"{command} --dry-run --no-index --quiet", needs)
    assert f"torch=={pinned('torch')}" == _run("grep '^torch==' constraints.txt", needs).strip()
