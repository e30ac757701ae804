"""What an export shows: its progress, and at its end what was exported, left out and failed."""

from __future__ import annotations

from rich.console import Console
from rich.progress import TextColumn

from jobs.console.progress import RunProgress
from jobs.console.terminal import print_line
from pipelines.export.export import ExportResult
from pipelines.rows import FAILED, RESTORED, new_row

__all__ = ["ExportProgress", "print_exported"]


class ExportProgress(RunProgress):
    """A restoration's progress with an export's words."""

    def __init__(self, total: int, console: Console) -> None:
        super().__init__(total, console)
        if self._bar:
            spinner, _, bar, *rest = self._bar.columns
            self._bar.columns = (spinner, TextColumn("exporting"), bar, *rest)

    def item(self, good: bool) -> None:
        """Count an item."""
        self(new_row() | {"status": RESTORED if good else FAILED})


def print_exported(done: ExportResult, console: Console, limit: int) -> None:
    """What an export did, failures first; at most `limit` of them, and of what was left out."""
    failed, left_out = done.first_failed[:limit], done.first_left_out[:limit]
    for text in failed:
        print_line(f"failed {text}", "red", console=console)
    for text in left_out:
        print_line(f"left out {text}", "yellow", console=console)
    hidden = done.failed + done.left_out - len(failed) - len(left_out)
    if hidden:
        console.print(f"... and {hidden} more (--limit)")
    if done.rejected:
        print_line(f"{done.rejected} not exported: rejected in the review", console=console)
    if done.undecided:
        print_line(f"{done.undecided} not exported: not accepted yet (--accepted)", console=console)
    if done.exported_before:
        text = (
            f"{done.exported_before} of the rejected were exported before: their files are still there, and in no table"
        )
        print_line(text, "yellow", console=console)
    console.print(
        f"{done.exported} exported, {done.already} already there, {done.left_out} left out, {done.failed} failed",
        soft_wrap=True,
    )
    print_line(f"Export: {done.place}", console=console)
