"""Models in repositories of the Hugging Face hub: what names them, which commit that is, and the files of it that are read."""

from __future__ import annotations

import glob
import re
from dataclasses import dataclass, replace
from pathlib import Path

from faithdiff_model.weights.errors import WeightsError
from faithdiff_model.weights.selection import Pick, file_names

__all__ = ["HubLocation", "fetch", "hub_origin", "parse_hub"]

_COMMIT = re.compile(r"[0-9a-f]{40}")
_NAME = r"\w[\w.-]*/\w[\w.-]*"
# As huggingface_hub writes it. What follows the repository needs the revision or the scheme: `a/b/c` is a path on this machine.
_LOCATION = re.compile(
    rf"(?P<scheme>hf://)?(?P<repo>{_NAME})(@(?P<revision>refs/(?:pr|convert)/[^/@]+|[^/@]+))?(/(?P<path>[^@]+))?"
)
_CACHED = re.compile(rf"/models--(?P<owner>.+?)--(?P<name>[^/]+)/snapshots/(?P<commit>{_COMMIT.pattern})(/|$)")


@dataclass(frozen=True)
class HubLocation:
    """`owner/name`, `owner/name@revision` or `owner/name@revision/path`.

    Attributes:
        repo: `owner/name`.
        revision: commit, branch or tag; empty is what the hub has now.
        path: of a file or folder in it; empty is the whole.
    """

    repo: str
    revision: str = ""
    path: str = ""

    def __str__(self) -> str:
        return self.repo + (f"@{self.revision}" if self.revision else "") + (f"/{self.path}" if self.path else "")

    @property
    def is_commit(self) -> bool:
        """Whether the revision can never mean anything else."""
        return _COMMIT.fullmatch(self.revision) is not None

    def at(self, commit: str) -> HubLocation:
        """The same at a commit."""
        return replace(self, revision=commit)


def parse_hub(location: str) -> HubLocation | None:
    """What a location means on the hub; None where it cannot be there: a path of this machine, or another store's URL."""
    found = _LOCATION.fullmatch(location)
    if found is None or Path(location).expanduser().exists():
        return None
    if found["path"] and not found["revision"] and not found["scheme"]:
        return None
    return HubLocation(found["repo"], found["revision"] or "", (found["path"] or "").strip("/"))


def hub_origin(path: Path) -> str:
    """`owner/name@commit` of a file or folder in the hub's cache on this machine; empty elsewhere."""
    found = _CACHED.search(path.absolute().as_posix())
    return f"{found['owner']}/{found['name']}@{found['commit']}" if found else ""


def fetch(at: HubLocation, pick: Pick) -> Path:
    """The folder of a repository's files in the hub's cache, after those that are picked have come.

    What is here of a commit is taken without asking the hub. A branch or tag is looked up; where the hub cannot be reached, it
    is what it was when it was looked up last.

    Args:
        at: the repository; files are picked below its path.
        pick: of the names below it those that are wanted.

    Raises:
        WeightsError: it is not to be had, or not whole.
    """
    here = _cached(at)
    if here is not None and pick(file_names(here)).lacking:
        here = None
    if here is not None and at.is_commit:
        return here
    try:
        names = _listed(at)
    except (
        Exception
    ) as error:  # clients of the hub raise errors of their HTTP library, too, which changed with its versions
        if here is not None:
            return here
        raise _refusal(at, error) from error
    below = f"{at.path}/" if at.path else ""
    chosen = pick([name.removeprefix(below) for name in names if name.startswith(below)])
    if chosen.lacking:
        raise WeightsError(f"weights {at}: the repository has no {', '.join(chosen.lacking)}; check the id")
    from huggingface_hub import snapshot_download

    try:
        wanted = [glob.escape(below + name) for name in chosen.files]
        folder = Path(snapshot_download(at.repo, revision=at.revision or None, allow_patterns=wanted))
    except Exception as error:
        raise _refusal(at, error) from error
    return folder / at.path


def _listed(at: HubLocation) -> list[str]:
    """The names of a repository's files, as the hub has them."""
    from huggingface_hub import HfApi

    information = HfApi().model_info(at.repo, revision=at.revision or None)
    return [file.rfilename for file in information.siblings or []]


def _cached(at: HubLocation) -> Path | None:
    """The folder on this machine that the hub's cache has for a revision, as huggingface_hub lays it out; None without one."""
    from huggingface_hub import constants

    cache = Path(constants.HF_HUB_CACHE) / f"models--{at.repo.replace('/', '--')}"
    commit = at.revision
    if not at.is_commit:
        try:
            commit = (cache / "refs" / (at.revision or "main")).read_text(encoding="utf-8").strip()
        except OSError:
            return None
    folder = cache / "snapshots" / commit / at.path
    return folder if commit and folder.is_dir() else None


def _refusal(at: HubLocation, error: Exception) -> WeightsError:
    """One line of what the hub answered, and what to do."""
    from huggingface_hub.errors import GatedRepoError, RevisionNotFoundError

    if isinstance(error, RevisionNotFoundError):
        return WeightsError(
            f"weights {at}: the repository has no revision {at.revision}; give one that it has, such as {at.repo}@main"
        )
    if isinstance(error, GatedRepoError):
        return WeightsError(
            f"weights {at}: its owner lets it only to those who asked; ask there and log in (hf auth login)"
        )
    return WeightsError(
        f"weights {at}: neither a local folder nor to be had from the hub ({type(error).__name__}); download it on a "
        "connected machine and give the folder"
    )
