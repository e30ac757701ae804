"""The wheel holds all that it needs: installed outside the checkout, with nano inside, it makes the demo."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("faithdiff_model", "pipelines", "jobs")
pytestmark = pytest.mark.slow  # it builds, installs and restores a small archive on Ray


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of a copy of the code: building leaves files behind."""
    folder = tmp_path_factory.mktemp("wheel")
    copy = folder / "checkout"
    copy.mkdir()
    for name in PACKAGES:
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, copy)
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "-w", str(folder), str(copy)]
    subprocess.run(command, check=True, capture_output=True, timeout=300)
    (built,) = folder.glob("*.whl")
    shutil.rmtree(copy)
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The commands of a fresh environment with the wheel in it."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=False)
    commands = folder / "bin"
    target = [sys.executable, "-m", "pip", "--python", str(commands / "python"), "install", "--no-deps", "--no-index"]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}  # it may name a checkout
    subprocess.run([*target, str(wheel)], check=True, capture_output=True, timeout=300, env=environment)
    return commands


def call(commands: Path, folder: Path, *words: str) -> str:
    """Run a command outside the checkout. Its dependencies are those of this environment, whose links to the checkout are not
    followed: Python reads none in PYTHONPATH."""
    environment = {**os.environ, "PYTHONPATH": sysconfig.get_path("purelib"), "COLUMNS": "200"}
    command = [str(commands / words[0]), *words[1:]]
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=900, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_wheel_holds_code_weights_and_types_and_nothing_else(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.partition("/")[0] for name in names if ".dist-info/" not in name} == set(PACKAGES)
    assert any(name.startswith("faithdiff_model/presets/weights/nano") for name in names)
    pages = [str(path.relative_to(ROOT)) for path in (ROOT / "pipelines/review/web").rglob("*") if path.is_file()]
    assert pages and set(pages) <= set(names)
    for package in PACKAGES:
        here = {str(path.relative_to(ROOT)) for path in (ROOT / package).rglob("*.py")}
        assert here <= set(names)
        assert f"{package}/py.typed" in names


def test_the_installed_code_is_the_wheels(installed: Path, tmp_path: Path) -> None:
    code = "import jobs, pipelines, faithdiff_model as f; print(jobs.__file__, pipelines.__file__, f.__file__)"
    places = call(installed, tmp_path, "python", "-c", code).split()
    assert [Path(place).is_relative_to(installed.parent) for place in places] == [True] * 3
    assert call(installed, tmp_path, "faitharchive", "--version").startswith("faitharchive ")


def test_the_demo_works_outside_the_checkout(installed: Path, tmp_path: Path) -> None:
    call(installed, tmp_path, "faitharchive", "demo", "here")
    assert (tmp_path / "here" / "before-after.png").is_file()
    assert len(list((tmp_path / "here" / "restored").rglob("*.restoration.json"))) >= 4
