"""`faitharchive manifest`: show, export, rebuild and compact the manifest of an output store."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from jobs.console.export import decisions_of, select, to_csv
from jobs.console.row_files import write_rows
from jobs.console.terminal import OUT, print_line, printable
from pipelines.manifest.compact import CompactResult, compact_manifest
from pipelines.manifest.rebuild import RebuildResult, rebuild_manifest
from pipelines.manifest.runs import new_run_id, newest_not_taken
from pipelines.manifest.sidecar_schema import sidecar_schema
from pipelines.rows import MANIFEST_COLUMNS
from pipelines.settings import Settings
from pipelines.store.layout import SET_ASIDE
from pipelines.store.store import Store
from pipelines.store.stores import open_store

__all__ = ["app", "compact", "export", "fields", "print_rebuilt", "rebuild", "schema", "show"]

app = typer.Typer(
    no_args_is_help=True, help="Show, filter, export, compact and rebuild the manifest of an output store."
)

_Output = Annotated[str, typer.Argument(help="Output folder or URL.")]
_Status = Annotated[str, typer.Option(help="Only this status: restored, failed, quarantined.")]
_Code = Annotated[str, typer.Option(help="Only this error code.")]
_Path = Annotated[str, typer.Option(help="Only sources that match this glob.")]
_Run = Annotated[str, typer.Option(help="Only rows of this run.")]
_Decision = Annotated[str, typer.Option(help="Only this decision of a review: accept, reject, redo, none.")]
_All = Annotated[bool, typer.Option("--all", help="Every row ever written, not only each item's current one.")]


@app.command()
def show(
    output: _Output,
    status: _Status = "",
    code: _Code = "",
    path: _Path = "",
    run: _Run = "",
    decision: _Decision = "",
    every: _All = False,
    not_taken: Annotated[bool, typer.Option("--not-taken", help="Instead, the files that the last run left.")] = False,
    limit: Annotated[int, typer.Option(help="Rows to show.", min=1)] = 50,
) -> None:
    """A table of items: status, result or reason, size, seconds."""
    if not_taken:
        _show_not_taken(output, limit)
        return
    rows = select(output, status=status, code=code, path=path, run=run, decision=decision, every=every)
    table = Table()
    shown = rows[:limit]
    decided = decisions_of(output, shown)
    headings = ("source", "status", "result or reason", "pixels", "PSNR dB", "s", *(["review"] if any(decided) else []))
    for heading in headings:
        table.add_column(heading, overflow="fold", justify="right" if heading in ("PSNR dB", "s") else "left")
    for row, made in zip(shown, decided, strict=True):
        good = row["status"] == "restored"
        size = f"{row['width']}x{row['height']} > {row['output_width']}x{row['output_height']}" if good else ""
        table.add_row(
            Text(printable(row["source_path"])),
            Text(printable(row["status"]), style="green" if good else "red"),
            Text(printable(row["output_path"] if good else f"{row['error_code']}: {row['error_reason']}")),
            size,
            f"{row['lq_psnr_db']:.1f}" if row["lq_psnr_db"] is not None else "",
            f"{row['seconds_restore']:.1f}" if row["seconds_restore"] is not None else "",
            *([made.decision if made else ""] if any(decided) else []),
        )
    OUT.print(table)
    OUT.print(f"{min(limit, len(rows))} of {len(rows)} rows")


def _show_not_taken(output: str, limit: int) -> None:
    """What the newest run over the whole archive did not take, and why."""
    run_id, found = newest_not_taken(open_store(output))
    if not run_id:
        OUT.print("No run over the whole archive has listed what it did not take: faitharchive restore, or plan, does.")
        return
    table = Table(title=Text(f"Not taken by run {printable(run_id)}"))
    for heading in ("names", "files", "what they are", "what to do"):
        table.add_column(heading, overflow="fold", justify="right" if heading == "files" else "left")
    for each in found[:limit]:
        table.add_row(*(Text(printable(str(each.get(name, "")))) for name in ("pattern", "files", "kind", "advice")))
    OUT.print(table)
    OUT.print(f"{min(limit, len(found))} of {len(found)} kinds of names")


@app.command()
def export(
    output: _Output,
    file: Annotated[
        Path, typer.Argument(help="File to write: .csv, .jsonl, .xlsx or .parquet; - is CSV for the terminal.")
    ],
    status: _Status = "",
    code: _Code = "",
    path: _Path = "",
    run: _Run = "",
    decision: _Decision = "",
    every: _All = False,
) -> None:
    """Write rows as CSV, JSON lines, Excel or Parquet, as FILE ends, with what was decided about each result in a review."""
    rows = select(output, status=status, code=code, path=path, run=run, decision=decision, every=every)
    decided = decisions_of(output, rows)
    if str(file) == "-":
        sys.stdout.write(to_csv(rows, decided, visible=sys.stdout.isatty()))
    else:
        write_rows(rows, decided, file)


@app.command()
def rebuild(
    output: _Output,
    steal_lease: Annotated[bool, typer.Option(help="Take the output over from another run, which then stops.")] = False,
    limit: Annotated[int, typer.Option(help="Unusable sidecars to name.", min=0)] = 50,
) -> None:
    """Give the manifest back the rows that it lost, from the sidecars beside the results.

    Manifest files that cannot be read are moved to OUTPUT/_faitharchive/set-aside, never deleted. Rows go to a new folder and
    keep the id of the run that restored them. Where nothing is lost nothing is written.

    Failed and quarantined items are in the manifest alone: their lost rows cannot come back, and restore tries those items
    again, counting from one.

    Exit codes: 0 done, 1 some sidecars are unusable, 2 could not run.
    """
    store = open_store(output)
    seconds = Settings().lease_seconds
    result = rebuild_manifest(store, run_id=new_run_id(), lease_seconds=seconds, steal=steal_lease)
    print_rebuilt(result, store, OUT, limit)
    raise typer.Exit(1 if result.unusable else 0)


def print_rebuilt(result: RebuildResult, store: Store, console: Console, limit: int) -> None:
    """What a rebuild found and did."""
    for path, reason in result.set_aside:
        print_line(f"set aside {path}: cannot be read ({reason})", "yellow", console=console)
    for path, reason in result.first_unusable[:limit]:
        print_line(f"unusable {path}: {reason}", "red", console=console)
    if result.unusable > min(limit, len(result.first_unusable)):
        console.print(
            f"... and {result.unusable - min(limit, len(result.first_unusable))} more unusable sidecars (--limit)"
        )
    console.print(
        f"{result.manifest_files} manifest files read, {len(result.set_aside)} set aside; {result.sidecars} sidecars found, "
        f"{result.known} already in the manifest, {result.written} rows written, {result.unusable} unusable",
        soft_wrap=True,
    )
    if result.set_aside:
        print_line(f"Set aside: {store.uri(f'{SET_ASIDE}/{result.run_id}')}", console=console)
    if result.written or result.set_aside:
        console.print(
            "Rows of failed and quarantined items cannot come back if they were lost: restore tries those items again.",
            soft_wrap=True,
        )
    else:
        console.print("Nothing was lost; nothing was written.")


@app.command()
def compact(
    output: _Output,
    steal_lease: Annotated[bool, typer.Option(help="Take the output over from another run, which then stops.")] = False,
) -> None:
    """Put small neighbouring manifest files together, so that plans stay quick after hundreds of nights.

    No row is changed or dropped, and the order that decides between equally new ones stays. Holds the output for the time;
    killed anywhere it loses nothing, and the next compaction goes on. Damaged files and those of a newer version are left.

    Exit codes: 0 done, 1 some files were left because they cannot be read, 2 could not run.
    """
    store = open_store(output)
    seconds = Settings().lease_seconds
    result = compact_manifest(store, compaction_id=new_run_id(), lease_seconds=seconds, steal=steal_lease)
    _print_compacted(result)
    raise typer.Exit(1 if result.left else 0)


def _print_compacted(result: CompactResult) -> None:
    for path, reason in result.left:
        print_line(f"left {path}: {reason}", "yellow")
    finished = f"; finished {result.finished} that had died" if result.finished else ""
    OUT.print(
        f"{result.files_before} manifest files are {result.files_after} now ({result.bytes_before / 1e6:.1f} MB are "
        f"{result.bytes_after / 1e6:.1f}): {result.rows} rows in {result.written} new files{finished}",
        soft_wrap=True,
    )


@app.command()
def fields() -> None:
    """What each column means."""
    table = Table()
    for heading in ("column", "type", "meaning"):
        table.add_column(heading, overflow="fold")
    for column in MANIFEST_COLUMNS:
        table.add_row(column.name, str(column.type), column.meaning)
    OUT.print(table)


@app.command()
def schema() -> None:
    """Print the JSON schema of sidecars, to check them with other programs."""
    sys.stdout.write(json.dumps(sidecar_schema(), indent=1) + "\n")
