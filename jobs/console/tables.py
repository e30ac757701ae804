"""Plans and summaries for people. Names and reasons come from outside, so they are printed without markup."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from jobs.console.summary import RunResult, restored_in_words
from jobs.console.terminal import print_line, printable
from pipelines.plan.plan import Plan
from pipelines.rows import FAILED, QUARANTINED
from pipelines.settings import Settings
from pipelines.store.stores import open_store

__all__ = ["kinds_not_taken", "print_plan", "print_summary"]

_PATTERNS = 6  # names that are shown of a kind of files that were not taken
_HOW_GLOBS = "it is compared with whole paths below SOURCE, such as '1924/*.tif' or '*.tif'"
_WARNINGS = 5  # kinds of warnings that are shown


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
    due = sum(row["status"] == QUARANTINED for row in plan.final_rows)  # of which no manifest and no record tells yet
    if len(plan.quarantined) > due:
        table.add_row("quarantined (--redo tries them)", str(len(plan.quarantined) - due))
    if due:
        table.add_row("failed too often: the next restore quarantines them (--redo tries them)", str(due))
    if plan.waiting:
        table.add_row("waiting for redo with chosen settings", str(len(plan.waiting)))
    refused = [row for row in plan.final_rows if row["status"] == FAILED]
    if refused:
        table.add_row("cannot be restored as they are", str(len(refused)))
    for kind, advice, files, patterns in kinds_not_taken(plan.not_taken.listed()):
        table.add_row(Text(printable(f"not taken: {kind} ({patterns}){': ' if advice else ''}{advice}")), str(files))
    console.print(table)
    if settings.only and plan.not_taken.chosen_out and not (plan.pending or plan.done or plan.quarantined or refused):
        left = plan.not_taken.chosen_out
        print_line(f"--only {settings.only!r} matches none of {left} files: {_HOW_GLOBS}", "yellow", console=console)
    for row in refused[:limit]:
        print_line(f"{row['error_code']}: {row['error_reason']}", "red", console=console)
    for line in plan.why_waiting:
        print_line(line, "yellow", console=console)
    first = plan.pending[:limit]
    for row, reason in zip(first, first.reasons, strict=True):
        print_line(f"{reason}: {row['source_path']} -> {row['output_path']}", console=console)
    if len(plan.pending) > limit:
        console.print(f"... and {len(plan.pending) - limit} more (--limit)")


def kinds_not_taken(found: Sequence[Mapping[str, object]]) -> list[tuple[str, str, int, str]]:
    """Kind, advice, files and the first names of what was not taken, in order."""
    kinds: dict[tuple[str, str], list[Mapping[str, object]]] = {}
    for each in found:
        kinds.setdefault((str(each["kind"]), str(each["advice"])), []).append(each)
    return [
        (kind, advice, sum(int(str(each["files"])) for each in members), _first_patterns(members))
        for (kind, advice), members in kinds.items()
    ]


def _first_patterns(members: Sequence[Mapping[str, object]]) -> str:
    more = f" and {len(members) - _PATTERNS} more" if len(members) > _PATTERNS else ""
    return ", ".join(str(each["pattern"]) for each in members[:_PATTERNS]) + more


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
        if settings.only and not (summary["already_done"] or summary["quarantined"]):
            print_line(
                f"--only {settings.only!r} matches no photograph or film: {_HOW_GLOBS}", "yellow", console=console
            )
    else:
        console.print(
            f"{restored_in_words(summary)}, {summary['failed']} failed, {summary['already_done']} already done "
            f"in {summary['seconds']:.0f} s ({summary['items_per_hour']:.0f} items an hour)"
        )
    _print_warnings(summary, console)
    _print_not_taken(summary, console)
    if summary["quarantined"]:
        console.print(f"{summary['quarantined']} quarantined after repeated failures; --redo tries them again")
    console.print(
        Text(f"Results: {output}\nManifest: {output}/_faitharchive/manifest (run {summary['run_id']})"), soft_wrap=True
    )


def _print_warnings(summary: RunResult, console: Console) -> None:
    """The commonest warnings of the run, each once."""
    if not summary["with_warnings"]:
        return
    first = list(summary["warnings"].items())[:_WARNINGS]
    console.print("Warnings (all in the manifest's column warnings):", style="yellow")
    for text, items in first:
        print_line(f"  {items} {'item' if items == 1 else 'items'}: {text}", console=console)
    if len(summary["warnings"]) > len(first):
        console.print(f"  ... and {len(summary['warnings']) - len(first)} more kinds")


def _print_not_taken(summary: RunResult, console: Console) -> None:
    """One line on the files of the source that were not taken."""
    kinds = kinds_not_taken(summary["not_taken"])
    if not kinds:
        return
    total = sum(files for _, _, files, _ in kinds)
    text = ", ".join(f"{files} {kind}" for kind, _, files, _ in kinds)
    print_line(
        f"{total} {'file' if total == 1 else 'files'} not taken: {text}; faitharchive manifest show OUTPUT --not-taken says "
        "what to do",
        console=console,
    )
