"""Warnings in a few lines: the same of different numbers counts once, and a flood of kinds takes no memory."""

from __future__ import annotations

from pipelines.manifest.warning_counts import WarningCounts


def test_what_says_the_same_counts_together() -> None:
    counts = WarningCounts()
    counts.add(["3 pages: only the first is read", "the end marker is missing"])
    counts.add(["12 pages: only the first is read"])
    counts.add(["the end marker is missing", "the end marker is missing"], items=4)
    counts.add(["gamma 2.2, kept"])
    assert counts.commonest() == {
        "the end marker is missing": 5,
        "N pages: only the first is read": 2,
        "gamma 2.2, kept": 1,
    }
    assert list(counts.commonest(most=1)) == ["the end marker is missing"]


def test_kinds_without_end_are_counted_together() -> None:
    counts = WarningCounts()
    for number in range(3000):
        counts.add(["x" * number + "!"])
    assert counts.commonest(most=1) == {"others": 2000}
    assert len(counts.commonest(most=5000)) == 1001
