"""The READMEs of the packages are true: their walks, their examples, and every path and name in the documentation."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image
from readmes import (
    PACKAGES,
    ROOT,
    examples,
    missing_files,
    missing_links,
    missing_names,
    missing_paths,
    missing_steps,
    steps,
)

READMES = [path for package in PACKAGES if (path := ROOT / package / "README.md").is_file()]
FEWEST_STEPS = 8
# All but the changelog, whose paths are those of their time.
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *sorted(page for folder in (*PACKAGES, "infra", "tests/benchmarks") for page in (ROOT / folder).rglob("*.md")),
]


def _id(path: Path) -> str:
    return str(path.relative_to(ROOT))


def _needs_ray(readme: Path) -> list[pytest.MarkDecorator]:
    return [pytest.mark.ray] if readme.parent.name in ("pipelines", "jobs") else []


@pytest.mark.parametrize("readme", READMES, ids=_id)
def test_every_step_of_a_walk_exists(readme: Path) -> None:
    text = readme.read_text(encoding="utf-8")
    assert len(steps(text)) >= FEWEST_STEPS
    assert missing_steps(text) == []


@pytest.mark.parametrize("readme", [pytest.param(page, marks=_needs_ray(page)) for page in READMES], ids=_id)
def test_the_python_example_does_what_the_page_says(
    readme: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    request: pytest.FixtureRequest,
) -> None:
    (example,) = examples(readme.read_text(encoding="utf-8"))
    if _needs_ray(readme):
        request.getfixturevalue("ray_session")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "scans").mkdir()
    Image.new("RGB", (24, 16), (120, 110, 90)).save("scans/a.png")
    exec(compile(example.code, str(readme), "exec"), {"__name__": "__main__"})
    printed = capsys.readouterr().out
    if example.output:
        assert printed == example.output
    elif _needs_ray(readme):
        assert "1 restored, 0 failed" in printed


@pytest.mark.parametrize("page", PAGES, ids=_id)
def test_every_path_and_name_exists(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert missing_paths(text) == []
    assert missing_files(text) == []
    assert missing_names(text) == []
    assert missing_links(page) == []


def test_what_is_wrong_is_found(tmp_path: Path) -> None:
    (tmp_path / "jobs").mkdir()
    (tmp_path / "jobs/a.py").write_text("X = 1\n\n\nclass Run:\n    def go(self): ...\n\n\ndef restore(): ...\n")
    walk = "1. `jobs/a.py: restore, Run.go` then `jobs/a.py: plan` and `jobs/b.py: restore`, `jobs/a.py: Run.stop`."
    assert len(steps(walk)) == 5
    assert missing_steps(walk, tmp_path) == ["jobs/a.py: plan", "jobs/b.py: restore", "jobs/a.py: Run.stop"]
    assert missing_paths("see jobs/, jobs/a.py, jobs/b.py and tests/*.py.", tmp_path) == ["jobs/b.py", "tests/*.py"]
    assert missing_names("jobs.a, jobs.a.X, jobs.a.Y, jobs.b.restore", tmp_path) == ["jobs.a.Y", "jobs.b.restore"]
    assert missing_files("`a.py` and `b.py`", tmp_path) == ["b.py"]
    (tmp_path / "page.md").write_text("[a](jobs/a.py) [b](jobs/b.py#part) [c](https://example.org/c) [d](#part)")
    assert missing_links(tmp_path / "page.md") == ["jobs/b.py"]


def test_examples_come_with_their_output() -> None:
    page = "# A\n```python\nprint(1)\n```\n\nIt prints:\n\n```text\n1\n```\n# B\n```python\nx = 1\n```\n# C\n```text\nno\n```\n"
    assert examples(page) == [("print(1)\n", "1\n"), ("x = 1\n", "")]
