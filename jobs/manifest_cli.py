"""`faitharchive manifest`: look at the manifest without knowing Parquet."""

from __future__ import annotations

import csv
import fnmatch
import io
import sys
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from faithdiff_model.weights import shown
from jobs.show import printable
from pipelines.manifest import newest, read_rows
from pipelines.rows import MANIFEST_COLUMNS, Row
from pipelines.storage import Store, StoreError

app = typer.Typer(no_args_is_help=True, help="Show, filter and export the manifest of an output store.")
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
            Text(row["status"], style="green" if good else "red"),
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
    text = to_csv(select(output, status=status, code=code, path=path, run=run, every=every))
    if str(file) == "-":
        sys.stdout.write(text)
    else:
        file.write_text(text, encoding="utf-8", newline="")


@app.command()
def fields() -> None:
    """What each column means."""
    table = Table()
    for heading in ("column", "type", "meaning"):
        table.add_column(heading, overflow="fold")
    for column in MANIFEST_COLUMNS:
        table.add_row(column.name, str(column.type), column.meaning)
    _out.print(table)


def select(output: str, *, status: str, code: str, path: str, run: str, every: bool) -> list[Row]:
    """Rows that match all given filters, by source path.

    Raises:
        StoreError: there is no manifest.
    """
    rows = read_rows(Store(output)).to_pylist()
    if not rows:
        raise StoreError(f"output {shown(output)}: has no manifest yet; run faitharchive restore first")
    chosen = rows if every else list(newest(rows).values())
    wanted = [
        row
        for row in chosen
        if (not status or row["status"] == status)
        and (not code or row["error_code"] == code)
        and (not run or row["run_id"] == run)
        and (not path or fnmatch.fnmatchcase(row["source_path"], path))
    ]
    return sorted(wanted, key=lambda row: (row["source_path"], row["run_id"]))


def to_csv(rows: list[Row]) -> str:
    """CSV text; lists are joined by `; `, times are ISO 8601."""
    buffer = io.StringIO()
    names = [column.name for column in MANIFEST_COLUMNS]
    writer = csv.writer(buffer)  # lines end as in RFC 4180; so a lone carriage return in a name is quoted, too
    writer.writerow(names)
    writer.writerows([_cell(row[name]) for name in names] for row in rows)
    return buffer.getvalue()


def _cell(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, list):
        value = "; ".join(value)
    if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r", "\n"):
        return "'" + value  # a file's name must not become a spreadsheet's formula
    return value
