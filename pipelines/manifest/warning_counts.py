"""Warnings of many items in a few lines: those that say the same of different numbers count as one."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

__all__ = ["WarningCounts"]

_NUMBER = re.compile(r"\d[\d.,]*(?<![.,])")
_MOST_KINDS = 1000
_OTHERS = "others"


@dataclass
class _Kind:
    text: str  # as it was said first; with N for numbers once they differ
    count: int = 0


class WarningCounts:
    """Counts warnings by what they say. Memory is bounded: from a thousand kinds on, new ones are counted together."""

    def __init__(self) -> None:
        self._kinds: dict[str, _Kind] = {}

    def add(self, texts: Iterable[str], items: int = 1) -> None:
        """Count the warnings of an item, or of several that have the same."""
        for text in dict.fromkeys(texts):
            pattern = _NUMBER.sub("N", text)
            if pattern not in self._kinds and len(self._kinds) >= _MOST_KINDS:
                self._kinds.setdefault(_OTHERS, _Kind(_OTHERS)).count += items
                continue
            kind = self._kinds.setdefault(pattern, _Kind(text))
            kind.count += items
            if kind.text != text:
                kind.text = pattern

    def commonest(self, most: int = 20) -> dict[str, int]:
        """Items by warning, the most frequent first."""
        kinds = sorted(self._kinds.values(), key=lambda kind: (-kind.count, kind.text))
        return {kind.text: kind.count for kind in kinds[:most]}

    def __eq__(self, other: object) -> bool:
        return isinstance(other, WarningCounts) and self._kinds == other._kinds

    __hash__ = None  # type: ignore[assignment]
