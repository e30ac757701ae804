"""As much of Docker's reading of a Dockerfile and a .dockerignore as ours need."""

from __future__ import annotations

import re
import shlex
import shutil
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath


@dataclass
class Stage:
    """A stage: its name, what it is built from, and its instructions as (word, rest of the line)."""

    name: str
    base: str
    steps: list[tuple[str, str]] = field(default_factory=list)

    def all_of(self, word: str) -> list[str]:
        return [rest for step, rest in self.steps if step == word]


def stages(path: Path) -> dict[str, Stage]:
    """The stages of a Dockerfile by name; one that has none is an error."""
    found: dict[str, Stage] = {}
    text = re.sub(r"^\s*#.*\n", "", path.read_text(), flags=re.MULTILINE).replace("\\\n", " ")
    for line in filter(None, (line.strip() for line in text.splitlines())):
        word, _, rest = line.partition(" ")
        if word == "FROM":
            base, as_, name = rest.split()
            assert as_ == "AS"
            found[name] = Stage(name, base)
        elif found:
            found[next(reversed(found))].steps.append((word, rest.strip()))
        else:
            assert word == "ARG", line
    return found


def lineage(found: dict[str, Stage], name: str) -> list[Stage]:
    """A stage and those it is built from, oldest first."""
    stage = found[name]
    return [*(lineage(found, stage.base) if stage.base in found else []), stage]


def copied(rest: str) -> tuple[str, list[str], str]:
    """What a COPY takes: the stage, or nothing for the context; the sources; the target."""
    words = shlex.split(rest)
    flags = [word for word in words if word.startswith("--")]
    *sources, target = [word for word in words if not word.startswith("--")]
    origin = [flag.removeprefix("--from=") for flag in flags if flag.startswith("--from=")]
    return "".join(origin), sources, target


def let_through(path: str, ignore: Path) -> bool:
    """Whether a .dockerignore lets a file into the context: its last line that matches the file or a folder above it says."""
    through = True
    parents = [path, *(str(parent) for parent in PurePosixPath(path).parents if str(parent) != ".")]
    for line in ignore.read_text().splitlines():
        pattern = line.strip().removeprefix("!")
        if not pattern or pattern.startswith("#"):
            continue
        anywhere = pattern.removeprefix("**/")
        names = [part for parent in parents for part in ([parent] if anywhere == pattern else _tails(parent))]
        if any(fnmatch(name, anywhere) for name in names):
            through = line.strip().startswith("!")
    return through


def _tails(path: str) -> list[str]:
    parts = path.split("/")
    return ["/".join(parts[index:]) for index in range(len(parts))]


def context(root: Path, ignore: Path, target: Path) -> None:
    """Copy what a build gets to see."""
    for file in root.rglob("*"):
        name = file.relative_to(root).as_posix()
        if name.startswith((".git/", ".venv/")) or not file.is_file() or not let_through(name, ignore):
            continue
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, target / name)
