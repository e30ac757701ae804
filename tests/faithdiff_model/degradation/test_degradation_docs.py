"""The README names every public function and shows every picture, and the pictures stay small."""

from __future__ import annotations

import ast
import re
from pathlib import Path

PACKAGE = Path(__file__).parents[3] / "faithdiff_model" / "degradation"
README = (PACKAGE / "README.md").read_text(encoding="utf-8")
INSIDE = {"ranges.py", "draws.py"}  # steps of our own, not degradations
HELPERS = {"degrade", "small_size", "scaled_size", "degrade_two_pass", "degrade_archive"}


def test_every_function_is_documented() -> None:
    for path in PACKAGE.rglob("*.py"):
        if path.name in INSIDE:
            continue
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
                assert ast.get_docstring(node), f"{path.name}: {node.name}"
                assert node.name in HELPERS or f"`{node.name}(" in README, node.name


def test_every_picture_is_shown_and_all_are_small() -> None:
    shown = set(re.findall(r"\(pictures/([a-z_]+\.jpg)\)", README))
    files = {path.name: path.stat().st_size for path in (PACKAGE / "pictures").iterdir()}
    assert set(files) == shown
    assert sum(files.values()) < 1_000_000
