"""Plans and summaries for people. Names and reasons come from outside, so they are printed without markup."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table
from rich.text import Text

from jobs.console.summary import RunResult
from jobs.console.terminal import print_line, printable
from pipelines.plan.plan import Plan
from pipelines.settings import Settings
from pipelines.store.stores import open_store

__all__ = ["print_plan", "print_summary"]


def print_plan(plan: Plan, settings: Settings, console: Console, limit: int) -> None:
    """Counts by reason, then the first pending items."""
    table = Table(title="Plan")
    table.add_column("what")
    table.add_column("items", justify="right")
    for reason, count in sorted(plan.counts().items()):
        table.add_row(f"to restore: {reason}", str(count))
    unguided = plan.pending.unguided(settings)
    if unguided:
        table.add_row("of these without guidance (prompt and negative prompt are alike): half the work", str(unguided))
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
        print_line(f"{reason}: {row['source_path']} -> {row['output_path']}", console=console)
    if len(plan.pending) > limit:
        console.print(f"... and {len(plan.pending) - limit} more (--limit)")


def print_summary(summary: RunResult, settings: Settings, console: Console) -> None:
    """What a run did, its failures, and where to look."""
    for failure in summary["failures"]:
        text = Text("failed ", style="red")
        line = f"{failure['error_code']} in {failure['error_stage']}: {failure['error_reason']}"
        text.append(printable(line), style="")
        console.print(text, soft_wrap=True)
    listed = len(summary["failures"])
    if summary["failed"] > listed:
        console.print(f"... and {summary['failed'] - listed} more: faitharchive manifest show OUTPUT --status failed")
    output = printable(open_store(settings.output).uri(""))
    work = summary["restored"] + summary["failed"]
    if summary["stopped"]:
        print_line(f"stopped before the end: {summary['stopped']}", "yellow", console=console)
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
