"""Summaries of a run and of a verification: what flows return, records hold, and a terminal shows."""

from __future__ import annotations

from typing import TypedDict

from pipelines.plan.not_taken import NotTakenFiles

__all__ = ["Counts", "Failure", "PartResult", "RunResult", "Summary", "Verification", "restored_in_words"]


class Failure(TypedDict):
    """An item that failed, as columns of its manifest row."""

    source_path: str
    error_stage: str
    error_code: str
    error_reason: str


class Counts(TypedDict):
    """How a run, or several one after the other, ended.

    Attributes:
        restored, failed, already_done, quarantined: items.
        with_warnings: of the restored ones, those whose row has warnings.
        left: planned items that the run did not get to.
        stopped: why it ended before its end; empty if it did not.
        signal: number of the signal that ended it, or 0.
    """

    restored: int
    with_warnings: int
    failed: int
    already_done: int
    quarantined: int
    left: int
    stopped: str
    signal: int


class Summary(Counts):
    """A run as plain values.

    Attributes:
        run_id: as in manifest rows.
        started_at, finished_at: ISO 8601, UTC.
        failed_by_code: failed items by error code.
        pending_because: planned items by the reason for which they were due.
        warnings: the commonest, with the number of items that have each.
        other_files: files that are neither photographs nor films, by suffix.
        not_taken: all files that are no items, by pattern, with what they are and what to do.
        model_digest: of the weights that the plan was made with.
        seconds: from the start of the flow.
        items_per_hour: restored and failed ones.
    """

    run_id: str
    started_at: str
    finished_at: str
    failed_by_code: dict[str, int]
    pending_because: dict[str, int]
    warnings: dict[str, int]
    other_files: dict[str, int]
    not_taken: list[NotTakenFiles]
    model_digest: str
    seconds: float
    items_per_hour: float


class RunResult(Summary):
    """What the flow `restore-archive` returns: the summary, and the first failures."""

    failures: list[Failure]


class PartResult(RunResult):
    """One part of a backfill: its glob, and what its run returned."""

    part: str


class Verification(TypedDict):
    """A verification's record, of whose entries these are shown.

    Attributes:
        id: of the verification; its record has this name.
        items: that were checked.
        items_with_problems: of these.
        problems: by kind.
    """

    id: str
    items: int
    items_with_problems: int
    problems: dict[str, int]


def restored_in_words(counts: Counts) -> str:
    """`13 restored`, and how many of them have warnings."""
    warned = f", {counts['with_warnings']} of them with warnings" if counts["with_warnings"] else ""
    return f"{counts['restored']} restored{warned}"
