"""`faitharchive verify`: are sources, results and sidecars still what they were when they were restored?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.filesize import decimal
from rich.progress import TextColumn
from rich.table import Table
from rich.text import Text

from jobs.console.progress import RunProgress
from jobs.console.tables import printable
from pipelines.rows import FAILED, RESTORED
from pipelines.settings import Settings
from pipelines.store.store import Store, StoreError

if TYPE_CHECKING:
    from pipelines.audit.findings import Findings

SOUND, PROBLEMS = 0, 1
_STOPPED = 3  # and above: the restoration of a repair came to no end
_out = Console()
_err = Console(stderr=True)


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What is asked of a verification beside the settings.

    Attributes:
        repair: mend what can be mended.
        results_only: leave the sources unread.
        sample: share of the items.
        limit: problems to show.
    """

    repair: bool = False
    results_only: bool = False
    sample: float = 1.0
    limit: int = 50


def verify(
    settings: Settings,
    repair: Annotated[
        bool,
        typer.Option(
            "--repair",
            help="Write sidecars and lost rows again, then run restore for what is missing or altered; --redo includes "
            "altered sources.",
        ),
    ] = False,
    results_only: Annotated[
        bool, typer.Option("--results-only", help="Check results and sidecars; leave the sources unread.")
    ] = False,
    sample: Annotated[float, typer.Option(help="Check this share of the items, others each time.")] = 1.0,
    limit: Annotated[int, typer.Option(help="Problems to show.", min=0)] = 50,
) -> None:
    """Check the fixity of what is restored: sources and results are read and hashed again, sidecars compared.

    Every item that the manifest calls restored is checked against the hashes of the time. Nothing is changed without
    --repair, and sources never are. A record goes to OUTPUT/_faitharchive/verifications.

    A source whose bytes changed while its size and time did not has decayed, or was tampered with: bring it back from a copy.
    Its result is not made again unless --repair --redo says so.

    Exit codes: 0 all sound, 1 problems found (with --repair: still left), 2 could not run.
    """
    asked = Asked(repair=repair, results_only=results_only, sample=sample, limit=limit)
    code, _ = run_verify(settings, asked)
    raise typer.Exit(code)


def run_verify(settings: Settings, asked: Asked) -> tuple[int, dict[str, Any]]:
    """Check, show, repair if asked, record; the exit code and the record.

    Raises:
        ValueError: the share makes no sense.
        StoreError: a store cannot be used, or there is nothing to check.
    """
    if not 0 < asked.sample <= 1:
        raise ValueError(f"--sample is {asked.sample:g}: give a share above 0, at most 1, such as 0.1")
    output = _open(settings, asked)
    from pipelines.audit.findings import Findings, write_record
    from pipelines.run.cluster import connected

    with connected(settings):
        findings = Findings(output)
        _check(settings, findings, results_only=asked.results_only, sample=asked.sample)
        findings.flush()
        print_findings(findings, _out, asked.limit)
        code, repaired = PROBLEMS if findings.unsound else SOUND, None
        if asked.repair and findings.unsound:
            code, repaired = _repair(settings, findings, asked)
        scope = {"only": settings.only, "sample": asked.sample, "results_only": asked.results_only}
        source = "" if asked.results_only else Store(settings.source).uri("")
        record = findings.record(
            source=source, output=output.uri(""), **scope, settings=settings.result_settings(), repair=repaired
        )
        uri = write_record(output, record)
    _out.print(Text(f"Record: {printable(uri)}"), soft_wrap=True)
    return code, record


def _open(settings: Settings, asked: Asked) -> Store:
    """The output store, after both have been looked at: what is wrong is said before hours of reading."""
    from pipelines.plan.plan import open_stores

    if asked.results_only and not asked.repair:
        if not settings.output:
            raise StoreError("output is needed: faitharchive verify SOURCE OUTPUT --results-only")
        output = Store(settings.output, settings.retry_seconds)
    else:
        output = open_stores(settings)[1]
    if not output.exists():
        raise StoreError(f"output {output.uri('')}: there is no such folder; check the path")
    output.check_writable()  # for the record
    return output


def _check(settings: Settings, findings: Findings, **scope: Any) -> Findings:
    """A verification with progress on the terminal."""
    from pipelines.audit.verify import verify as check

    shown: list[CheckProgress] = []

    def begin(count: int) -> None:
        shown.append(CheckProgress(count, _err))
        shown[0].__enter__()

    def count(sound: bool) -> None:
        shown[0].item(sound)

    try:
        return check(settings, findings, **scope, on_count=begin, on_item=count)
    finally:
        for progress in shown:
            progress.__exit__(None, None, None)


def _repair(settings: Settings, findings: Findings, asked: Asked) -> tuple[int, dict[str, Any]]:
    """Mend, restore again, and check the same items once more: the exit code and what was done."""
    from jobs.cli.main import run_restore
    from pipelines.audit.findings import PUBLISH_SIDECAR, RECORD_ROW, REDO, RESTORE, Findings
    from pipelines.audit.repair import mend

    known = findings
    if asked.results_only:  # what is to be made again needs a sound source
        known = _check(settings, Findings(), item_ids=findings.unsound)
    mended = mend(settings, known.remedies[PUBLISH_SIDECAR] | known.remedies[RECORD_ROW], run_id=findings.id)
    if mended.sidecars or mended.rows:
        _out.print(f"sidecars written again: {mended.sidecars}; lost rows recorded: {mended.rows}")
    damaged = known.remedies[REDO] | (known.altered_sources if settings.redo else set())
    restored = SOUND
    if damaged or known.remedies[RESTORE]:
        # --redo means altered sources here, and not the whole archive.
        restored = run_restore(settings.model_copy(update={"redo": False}), sorted(damaged))
    left = _check(settings, Findings(), item_ids=findings.unsound)
    _out.print(f"After the repair: {_count(len(left.unsound))} still with problems")
    if left.unsound:
        print_findings(left, _out, asked.limit)
    done = {
        "sidecars_written": mended.sidecars,
        "rows_recorded": mended.rows,
        "to_restore": len(damaged | known.remedies[RESTORE]),
        "restore_exit_code": restored,
        "left": dict(sorted(left.counts.items())),
        "items_left": len(left.unsound),
    }
    if restored >= _STOPPED:
        return restored, done
    return PROBLEMS if left.unsound else SOUND, done


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
        console.print(f"{_count(findings.items)} checked, all sound ({read})")
        return
    kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(findings.counts.items()))
    console.print(
        f"{_count(findings.items)} checked, {len(findings.unsound)} with problems: {kinds} ({read})", soft_wrap=True
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
        self({"status": RESTORED if sound else FAILED})

    def line(self) -> str:
        """The state as one line."""
        return super().line().replace(" done, ", " checked, ", 1).replace(" failed, ", " with problems, ", 1)


def _count(items: int) -> str:
    return f"{items} item" if items == 1 else f"{items} items"
