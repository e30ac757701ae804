"""The command line's exit codes, and the one that a run's summary stands for."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:  # which loads what --help has no use for
    from jobs.console.summary import Counts

__all__ = ["ALL_DONE", "NOTHING_RAN", "SIGNALLED", "SOME_FAILED", "STOPPED", "exit_code"]

ALL_DONE, SOME_FAILED, NOTHING_RAN, STOPPED = 0, 1, 2, 3
SIGNALLED = 128  # plus the signal's number, as shells have it


def exit_code(summary: Counts) -> int:
    """The exit code of a run that came to its end, from the summary of the flow `restore-archive`."""
    if summary["signal"]:
        return SIGNALLED + int(summary["signal"])
    if summary["stopped"]:
        return STOPPED
    return SOME_FAILED if summary["failed"] or summary["quarantined"] else ALL_DONE
