"""`faitharchive manifest`: look at the manifest without knowing Parquet."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from jobs.console.export import select, to_csv
from jobs.console.tables import printable
from pipelines.manifest.compact import CompactResult, compact_manifest
from pipelines.manifest.rebuild import RebuildResult, rebuild_manifest
from pipelines.manifest.runs import new_run_id
from pipelines.rows import MANIFEST_COLUMNS
from pipelines.settings import Settings
from pipelines.store.layout import SET_ASIDE
from pipelines.store.store import Store
from pipelines.store.stores import open_store

app = typer.Typer(
    no_args_is_help=True, help="Show, filter, export, compact and rebuild the manifest of an output store."
)
_out = Console()

_Output = Annotated[str, typer.Argument(help="Output folder or URL.")]
_Status = Annotated[str, typer.Option(help="Only this status: restored, failed, quarantined.")]
_Code = Annotated[str, typer.Option(help="Only this error code.")]
_Path = Annotated[str, typer.Option(help="Only sources that match this glob.")]
_Run = Annotated[str, typer.Option(help="Only rows of this run.")]
_All = Annotated[bool, typer.Option("--all", help="Every row ever written, not only each item's current one.")]


@app.command()
def show(
    output: _Output,
    status: _Status = "",
    code: _Code = "",
    path: _Path = "",
    run: _Run = "",
    every: _All = False,
    limit: Annotated[int, typer.Option(help="Rows to show.", min=1)] = 50,
) -> None:
    """A table of items: status, result or reason, size, seconds."""
    rows = select(output, status=status, code=code, path=path, run=run, every=every)
    table = Table()
    for heading in ("source", "status", "result or reason", "pixels", "PSNR dB", "s"):
        table.add_column(heading, overflow="fold", justify="right" if heading in ("PSNR dB", "s") else "left")
    for row in rows[:limit]:
        good = row["status"] == "restored"
        size = f"{row['width']}x{row['height']} > {row['output_width']}x{row['output_height']}" if good else ""
        table.add_row(
            Text(printable(row["source_path"])),
            Text(printable(row["status"]), style="green" if good else "red"),
            Text(printable(row["output_path"] if good else f"{row['error_code']}: {row['error_reason']}")),
            size,
            f"{row['lq_psnr_db']:.1f}" if row["lq_psnr_db"] is not None else "",
            f"{row['seconds_restore']:.1f}" if row["seconds_restore"] is not None else "",
        )
    _out.print(table)
    _out.print(f"{min(limit, len(rows))} of {len(rows)} rows")


@app.command()
def export(
    output: _Output,
    file: Annotated[Path, typer.Argument(help="CSV file to write, or - for the terminal.")],
    status: _Status = "",
    code: _Code = "",
    path: _Path = "",
    run: _Run = "",
    every: _All = False,
) -> None:
    """Write rows as CSV (UTF-8, a header line, one line a row)."""
    rows = select(output, status=status, code=code, path=path, run=run, every=every)
    if str(file) == "-":
        sys.stdout.write(to_csv(rows, visible=sys.stdout.isatty()))
    else:
        file.write_text(to_csv(rows), encoding="utf-8", newline="")


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
    found = rebuild_manifest(store, run_id=new_run_id(), lease_seconds=seconds, steal=steal_lease)
    print_rebuilt(found, store, _out, limit)
    raise typer.Exit(1 if found.unusable else 0)


def print_rebuilt(found: RebuildResult, store: Store, console: Console, limit: int) -> None:
    """What a rebuild found and did."""
    for path, reason in found.set_aside:
        line = f"set aside {printable(path)}: cannot be read ({printable(reason)})"
        console.print(Text(line, style="yellow"), soft_wrap=True)
    for path, reason in found.first_unusable[:limit]:
        console.print(Text(f"unusable {printable(path)}: {printable(reason)}", style="red"), soft_wrap=True)
    if found.unusable > min(limit, len(found.first_unusable)):
        console.print(
            f"... and {found.unusable - min(limit, len(found.first_unusable))} more unusable sidecars (--limit)"
        )
    console.print(
        f"{found.manifest_files} manifest files read, {len(found.set_aside)} set aside; {found.sidecars} sidecars found, "
        f"{found.known} already in the manifest, {found.written} rows written, {found.unusable} unusable",
        soft_wrap=True,
    )
    if found.set_aside:
        console.print(Text(f"Set aside: {printable(store.uri(f'{SET_ASIDE}/{found.run_id}'))}"), soft_wrap=True)
    if found.written or found.set_aside:
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
    found = compact_manifest(store, compaction_id=new_run_id(), lease_seconds=seconds, steal=steal_lease)
    _print_compacted(found)
    raise typer.Exit(1 if found.left else 0)


def _print_compacted(found: CompactResult) -> None:
    for path, reason in found.left:
        _out.print(Text(f"left {printable(path)}: {printable(reason)}", style="yellow"), soft_wrap=True)
    finished = f"; finished {found.finished} that had died" if found.finished else ""
    _out.print(
        f"{found.files_before} manifest files are {found.files_after} now ({found.bytes_before / 1e6:.1f} MB are "
        f"{found.bytes_after / 1e6:.1f}): {found.rows} rows in {found.written} new files{finished}",
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
    _out.print(table)
