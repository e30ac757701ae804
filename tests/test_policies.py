"""Rules that hold for the whole repository: who imports whom, what is shipped, how long files are."""

from __future__ import annotations

import ast
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FOLDERS = {"pipelines", "faithdiff_model", "jobs", "infra", "tests"}
PACKAGES = ("faithdiff_model", "pipelines", "jobs")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def modules(package: str) -> list[Path]:
    found = sorted((ROOT / package).rglob("*.py"))
    assert found
    return found


def imports(path: Path) -> Iterator[str]:
    """Full names of modules that a file imports anywhere, relative ones resolved."""
    package = path.relative_to(ROOT).parent.parts
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else ()
            base = ".".join([*above, *([node.module] if node.module else [])])
            yield from (f"{base}.{alias.name}" for alias in node.names)


def imported_from(package: str, forbidden: tuple[str, ...]) -> list[str]:
    return [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in modules(package)
        for name in imports(path)
        if name.split(".")[0] in forbidden
    ]


@pytest.mark.parametrize(
    ("package", "forbidden"),
    [
        ("faithdiff_model", ("ray", "prefect", "pipelines", "jobs", "tests", "typer")),
        ("pipelines", ("prefect", "jobs", "tests", "typer", "rich")),
        ("jobs", ("tests",)),
    ],
)
def test_dependencies_point_one_way(package: str, forbidden: tuple[str, ...]) -> None:
    assert imported_from(package, forbidden) == []


def test_imports_are_seen() -> None:
    """The searches above can find something."""
    assert "ray" in {name.split(".")[0] for name in imports(ROOT / "pipelines" / "run" / "assembly.py")}
    assert imported_from("jobs", ("pipelines",))
    assert imported_from("pipelines", ("faithdiff_model",))


def test_stages_know_nothing_of_ray() -> None:
    for path in (ROOT / "pipelines" / "stages").glob("*.py"):
        assert "ray" not in {name.split(".")[0] for name in imports(path)}, path.name


def loaded_by(statement: str) -> set[str]:
    code = f"{statement}\nimport sys\nprint(chr(10).join(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=200, check=True
    )
    return set(done.stdout.split())


def test_the_command_line_starts_without_torch() -> None:
    loaded = loaded_by("import jobs.cli.main, jobs.cli.manifest, pipelines.plan.plan")
    assert "pipelines.settings" in loaded
    assert not loaded & {"torch", "torchvision", "ray", "prefect", "diffusers", "transformers"}


def test_a_run_is_driven_without_torch() -> None:
    """The replicas alone load it: it would cost each run seconds, and its driver memory."""
    loaded = loaded_by("import jobs.flows.restore")
    assert {"pipelines.stages.restore", "pipelines.stages.restore_film", "ray.data"} <= loaded
    assert not loaded & {"torch", "diffusers", "transformers"}


def test_nano_is_ready_without_diffusers() -> None:
    """It uses nothing of it, and both libraries together take longer to load than a small archive to restore."""
    loaded = loaded_by(
        "from faithdiff_model.build import build_restorer\nfrom pipelines.settings import Settings\n"
        "settings = Settings(preset='nano')\nbuild_restorer(settings.model_spec(), settings.restore_options(1))"
    )
    assert "torch" in loaded
    assert not loaded & {"diffusers", "transformers"}


def test_torchvision_is_never_imported() -> None:
    loaded = loaded_by(
        "import jobs.cli.main, faithdiff_model.captioner\nfrom faithdiff_model.build import random_parts\n"
        "from faithdiff_model.presets.tiny import TINY\nrandom_parts(TINY, 0)"
    )
    assert "diffusers" in loaded
    assert "torchvision" not in loaded
    for package in PACKAGES:
        assert imported_from(package, ("torchvision",)) == []


def test_top_level_folders() -> None:
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("not a git checkout")
    found = {name.split("/")[0] for name in listed.stdout.split("\0") if "/" in name}
    assert {name for name in found if not name.startswith(".")} == FOLDERS


def test_every_package_folder_is_shipped_and_no_other() -> None:
    folders = {
        ".".join(path.parent.relative_to(ROOT).parts) for package in PACKAGES for path in (ROOT / package).rglob("*.py")
    }
    assert set(PROJECT["tool"]["setuptools"]["packages"]) == folders
    for folder in folders:
        assert (ROOT / folder.replace(".", "/") / "__init__.py").is_file(), folder


@pytest.mark.parametrize("package", PACKAGES)
def test_every_package_ships_its_types(package: str) -> None:
    assert (ROOT / package / "py.typed").is_file()
    assert "py.typed" in PROJECT["tool"]["setuptools"]["package-data"][package]


@pytest.mark.parametrize("package", PACKAGES)
def test_files_and_functions_stay_short(package: str) -> None:
    texts = {path.relative_to(ROOT): path.read_text(encoding="utf-8") for path in modules(package)}
    long = [f"{path}: {len(text.splitlines())} lines" for path, text in texts.items() if len(text.splitlines()) > 300]
    long += [
        f"{path}: {node.name} has {node.end_lineno - node.lineno + 1} lines"
        for path, text in texts.items()
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.end_lineno is not None
        and node.end_lineno - node.lineno + 1 > 60
    ]
    assert long == []


def test_any_stays_rare() -> None:
    """`Any` is for what libraries give without types."""
    uses = sum(
        isinstance(node, ast.Name) and node.id == "Any"
        for package in PACKAGES
        for path in modules(package)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    )
    assert uses < 150


@pytest.mark.parametrize("package", PACKAGES)
def test_every_module_says_what_it_is_for(package: str) -> None:
    for path in modules(package):
        text = path.read_text(encoding="utf-8")
        assert not text.strip() or ast.get_docstring(ast.parse(text)), path


def test_every_dependency_has_a_reason() -> None:
    project = PROJECT["project"]
    wanted = [
        *project["dependencies"],
        *(item for extra in project["optional-dependencies"].values() for item in extra),
    ]
    lines = (ROOT / "pyproject.toml").read_text(encoding="utf-8").splitlines()
    for requirement in wanted:
        (line,) = [line for line in lines if f'"{requirement}"' in line]
        reason = line.partition(f'"{requirement}"')[2].partition("#")[2].strip()
        assert len(reason) > 3, f"{requirement}: say why on its line"


def test_every_dependency_is_used() -> None:
    used = {name.split(".")[0] for package in PACKAGES for path in modules(package) for name in imports(path)}
    modules_of = {
        "opencv-python-headless": "cv2",
        "pillow": "PIL",
        "pyyaml": "yaml",
        "scenedetect-headless": "scenedetect",
    }
    unused = {"sqlalchemy", "scikit-image"}  # one is held back for Prefect; one is read for its photographs
    for requirement in PROJECT["project"]["dependencies"]:
        name = requirement.split("[")[0].split(">")[0].split("=")[0].split("<")[0].strip()
        assert name in unused or modules_of.get(name, name) in used, name


def test_the_settings_file_of_infra_is_true() -> None:
    from jobs.settings.load import settings_yaml
    from pipelines.settings import Settings

    written = (ROOT / "infra" / "settings.yaml").read_text(encoding="utf-8")
    assert written == settings_yaml(Settings()), "run: faitharchive settings > infra/settings.yaml"
