"""What a verification shows on the terminal: its progress, the problems that it found, and what they mean."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console
from rich.filesize import decimal
from rich.progress import TextColumn
from rich.table import Table
from rich.text import Text

from jobs.console.progress import RunProgress
from jobs.console.terminal import printable
from pipelines.rows import FAILED, RESTORED, new_row

if TYPE_CHECKING:
    from pipelines.audit.findings import Findings

__all__ = ["CheckProgress", "count_items", "print_findings"]


def print_findings(findings: Findings, console: Console, limit: int) -> None:
    """Counts, a table of the first problems, and what it means."""
    if findings.first and limit:
        table = Table(title="Problems")
        for heading in ("photograph", "problem and what to do"):
            table.add_column(heading, overflow="fold")
        for problem in findings.first[:limit]:
            style = "bold red" if problem["what"] == "source" else ""
            table.add_row(Text(printable(problem["source_path"])), Text(printable(problem["text"]), style=style))
        console.print(table)
    total = findings.counts.total()
    if total > min(limit, len(findings.first)):
        console.print(
            f"... and {total - min(limit, len(findings.first))} more (--limit), all in the record's Parquet files"
        )
    if findings.altered_sources:
        console.print(
            f"[bold red]{len(findings.altered_sources)} sources altered:[/] their bytes are not those that were restored, "
            "though size and time are. Bring them back from a copy.",
            soft_wrap=True,
        )
    read = f"{decimal(findings.bytes)} read"
    if not findings.unsound:
        console.print(f"{count_items(findings.items)} checked, all sound ({read})")
        return
    kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(findings.counts.items()))
    console.print(
        f"{count_items(findings.items)} checked, {len(findings.unsound)} with problems: {kinds} ({read})",
        soft_wrap=True,
    )


class CheckProgress(RunProgress):
    """A restoration's progress with a verification's words."""

    def __init__(self, total: int, console: Console) -> None:
        super().__init__(total, console)
        if self._bar:
            spinner, _, bar, _, *rest = self._bar.columns
            counts = TextColumn("{task.completed:.0f}/{task.total:.0f} checked, {task.fields[failed]} with problems")
            self._bar.columns = (spinner, TextColumn("checking"), bar, counts, *rest)

    def item(self, sound: bool) -> None:
        """Count a checked item."""
        self(new_row() | {"status": RESTORED if sound else FAILED})

    def line(self) -> str:
        """The state as one line."""
        return super().line().replace(" done, ", " checked, ", 1).replace(" failed, ", " with problems, ", 1)


def count_items(items: int) -> str:
    """`1 item`, `2 items`."""
    return f"{items} item" if items == 1 else f"{items} items"
