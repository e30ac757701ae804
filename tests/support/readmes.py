"""What the READMEs of the packages claim, read so that it can be checked: walks, examples, paths and dotted names."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
PACKAGES = ("faithdiff_model", "pipelines", "jobs")
_TOPS = (*PACKAGES, "infra", "tests")
_WALK = re.compile(r"`([\w./-]+\.py):\s+([\w.]+(?:,\s+[\w.]+)*)`")
_EXAMPLE = re.compile(r"^```python\n(.*?)^```\n(?:(?!```).)*?(?:^```text\n(.*?)^```|\Z|^#)", re.MULTILINE | re.DOTALL)
_PATH = re.compile(rf"(?<![\w/.:-])(?:{'|'.join(_TOPS)})/[\w./*-]+")
_FILE = re.compile(r"`([\w-]+\.py)`")
_LINK = re.compile(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)")
_DOTTED = re.compile(rf"(?<![\w/.-])(?:{'|'.join(PACKAGES)})(?:\.[A-Za-z_]\w*)+")


class Step(NamedTuple):
    """A place that a walk passes through: `jobs/flows/restore.py: restore_archive`.

    Attributes:
        file: path from the root of the repository.
        name: a function or class of that file, or `Class.method`.
    """

    file: str
    name: str


class Example(NamedTuple):
    """A Python example, and what the page says that it prints; empty if it does not say."""

    code: str
    output: str


def steps(text: str) -> list[Step]:
    """All steps of a page's walks, in order. Several names of one file are parted by commas."""
    return [Step(file, name) for file, names in _WALK.findall(text) for name in re.split(r",\s+", names)]


def missing_steps(text: str, root: Path = ROOT) -> list[str]:
    """The steps whose file or definition does not exist, as `file: name`."""
    return [f"{step.file}: {step.name}" for step in steps(text) if step.name not in _definitions(root / step.file)]


def examples(text: str) -> list[Example]:
    """The blocks marked `python`, each with the block marked `text` that follows it before the next heading."""
    return [Example(code, output) for code, output in _EXAMPLE.findall(text)]


def missing_paths(text: str, root: Path = ROOT) -> list[str]:
    """Paths below the top folders that name nothing; with `*` in them, nothing that fits."""
    names = {found.group().rstrip("./*") for found in _PATH.finditer(text)}
    return sorted(name for name in names if not (root / name).exists() and not any(root.glob(f"{name}*")))


def missing_files(text: str, root: Path = ROOT) -> list[str]:
    """Python files that are named without their folder, and are in none of ours."""
    there = {path.name for top in _TOPS for path in (root / top).rglob("*.py")}
    return sorted(set(_FILE.findall(text)) - there)


def missing_links(page: Path) -> list[str]:
    """Links of a page to files beside it that do not exist."""
    links = _LINK.findall(page.read_text(encoding="utf-8"))
    return sorted({link for link in links if not (page.parent / link).exists()})


def missing_names(text: str, root: Path = ROOT) -> list[str]:
    """Dotted names in our packages that are no module and no definition of one."""
    return sorted({found.group() for found in _DOTTED.finditer(text) if not _is_name(found.group(), root)})


def _is_name(dotted: str, root: Path) -> bool:
    parts = dotted.split(".")
    for count in range(len(parts), 0, -1):
        base, rest = root.joinpath(*parts[:count]), ".".join(parts[count:])
        if base.with_suffix(".py").is_file():
            return not rest or rest in _definitions(base.with_suffix(".py"))
        if base.is_dir():
            return not rest
    return False


def _definitions(file: Path) -> set[str]:
    """Functions, classes, methods and assigned names of a file; none if there is no such file."""
    return set(_named(ast.parse(file.read_text(encoding="utf-8")))) if file.is_file() else set()


def _named(tree: ast.Module | ast.ClassDef) -> Iterator[str]:
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name
        elif isinstance(node, ast.ClassDef):
            yield node.name
            yield from (f"{node.name}.{inner}" for inner in _named(node))
        elif isinstance(node, ast.Assign):
            yield from (target.id for target in node.targets if isinstance(target, ast.Name))
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            yield node.target.id
