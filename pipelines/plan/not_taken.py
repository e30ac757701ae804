"""The files of a source that are not taken: each is counted under its name's pattern, with what it is and what to do."""

from __future__ import annotations

from collections import Counter
from typing import TypedDict

from pipelines.manifest.naming import visible
from pipelines.media.kinds import kind_of, suffix
from pipelines.media.not_taken import CHOSEN_OUT, NO_FILMS, OURS, OtherKind, name_pattern, other_kind
from pipelines.store.layout import PRIVATE

__all__ = ["NotTaken", "NotTakenFiles"]

_PATTERNS = 1000
_OTHERS = "others"


class NotTakenFiles(TypedDict):
    """Files of one kind whose names match one pattern, as a run's record holds them.

    Attributes:
        pattern: such as `*.psd`, or a whole name.
        files: how many.
        kind: what they are, in plain words.
        advice: what to do; empty where nothing need be done.
    """

    pattern: str
    files: int
    kind: str
    advice: str


class NotTaken:
    """Counts them. Memory is bounded: from a thousand patterns on, new ones are counted together."""

    def __init__(self) -> None:
        self._files: Counter[tuple[str, OtherKind]] = Counter()

    def add(self, path: str, *, chosen_out: bool = False) -> None:
        """Count a file; `chosen_out` if its path is not one of those that are asked for."""
        if path.startswith(f"{PRIVATE}/"):
            kind = OURS
        elif chosen_out:
            kind = CHOSEN_OUT
        else:
            kind = NO_FILMS if kind_of(path) == "film" else other_kind(path)
        key = (visible(name_pattern(path)), kind)
        self._files[key if key in self._files or len(self._files) < _PATTERNS else (_OTHERS, kind)] += 1

    @property
    def chosen_out(self) -> int:
        """How many files were not asked for."""
        return sum(files for (_, kind), files in self._files.items() if kind == CHOSEN_OUT)

    def listed(self) -> list[NotTakenFiles]:
        """All of them, kind by kind, those that a person can do something about first, and the most frequent pattern first."""
        found = sorted(
            self._files.items(), key=lambda pair: (not pair[0][1].advice, pair[0][1].name, -pair[1], pair[0][0])
        )
        return [
            NotTakenFiles(pattern=pattern, files=files, kind=kind.name, advice=kind.advice)
            for (pattern, kind), files in found
        ]

    def by_ending(self) -> Counter[str]:
        """Files by extension, or by name where they have none, as records have had them from the first; without those that
        were not asked for."""
        found: Counter[str] = Counter()
        for (pattern, kind), files in self._files.items():
            if kind != CHOSEN_OUT:
                found[suffix(pattern) or pattern] += files
        return found
