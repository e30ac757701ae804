"""Plans and summaries for people. Names and reasons come from outside, so they are printed without markup."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from pipelines.plan.plan import Plan
from pipelines.settings import Settings
from pipelines.store.stores import open_store


def print_plan(plan: Plan, console: Console, limit: int) -> None:
    """Counts by reason, then the first pending items."""
    table = Table(title="Plan")
    table.add_column("what")
    table.add_column("items", justify="right")
    for reason, count in sorted(plan.counts().items()):
        table.add_row(f"to restore: {reason}", str(count))
    table.add_row("already done", str(plan.done))
    if plan.quarantined:
        table.add_row("quarantined (--redo tries them)", str(len(plan.quarantined)))
    refused = sum(row["status"] == "failed" for row in plan.final_rows)
    if refused:
        table.add_row("cannot be read at all", str(refused))
    skipped = sum(plan.skipped.values())
    if skipped:
        kinds = printable(", ".join(sorted(plan.skipped)[:6]))
        table.add_row(Text(f"neither photographs nor films ({kinds})"), str(skipped))
    console.print(table)
    first = plan.pending[:limit]
    for row, reason in zip(first, first.reasons, strict=True):
        console.print(
            Text(f"{reason}: {printable(row['source_path'])} -> {printable(row['output_path'])}"), soft_wrap=True
        )
    if len(plan.pending) > limit:
        console.print(f"... and {len(plan.pending) - limit} more (--limit)")


def print_summary(summary: dict[str, Any], settings: Settings, console: Console) -> None:
    """What a run did, its failures, and where to look."""
    for failure in summary["failures"]:
        text = Text("failed ", style="red")
        line = f"{failure['error_code']} in {failure['error_stage']}: {failure['error_reason']}"
        text.append(printable(line), style="")
        console.print(text, soft_wrap=True)
    shown = len(summary["failures"])
    if summary["failed"] > shown:
        console.print(f"... and {summary['failed'] - shown} more: faitharchive manifest show OUTPUT --status failed")
    output = printable(open_store(settings.output).uri(""))
    work = summary["restored"] + summary["failed"]
    if summary["stopped"]:
        console.print(Text(f"stopped before the end: {printable(summary['stopped'])}", style="yellow"), soft_wrap=True)
        console.print(f"{summary['left']} left for the next run: the same command continues")
    if not work and not summary["stopped"]:
        console.print(f"Nothing to do: {summary['already_done']} already done, no model work.")
    else:
        console.print(
            f"{summary['restored']} restored, {summary['failed']} failed, {summary['already_done']} already done "
            f"in {summary['seconds']:.0f} s ({summary['items_per_hour']:.0f} items an hour)"
        )
    if summary["quarantined"]:
        console.print(f"{summary['quarantined']} quarantined after repeated failures; --redo tries them again")
    console.print(
        Text(f"Results: {output}\nManifest: {output}/_faitharchive/manifest (run {summary['run_id']})"), soft_wrap=True
    )


def printable(text: str) -> str:
    """Control characters made visible: a file's name must not move the cursor or forge a line."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)
