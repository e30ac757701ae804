"""`faitharchive status`: the run that is on in an output store, or how the last one ended."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, TypedDict

import typer
from rich.console import Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from faithdiff_model.redaction import redact
from jobs.console.progress import rate_per_hour, time_left
from jobs.console.terminal import OUT, printable
from jobs.console.waits import patience, waiting
from pipelines.audit.status import RunStatus, run_status
from pipelines.manifest.review_counts import review_counts
from pipelines.store.store import Store, StoreError
from pipelines.store.stores import open_store
from pipelines.telemetry.progress import Progress

__all__ = ["as_table", "as_values", "exit_code", "status"]

WELL, SOME_FAILED, BROKEN = 0, 1, 3
_REFRESH_SECONDS = 5.0
_STYLES = {"died": "bold red", "stalled": "bold red", "stopped": "yellow", "draining": "yellow", "ended": "green"}


def status(
    output: Annotated[str, typer.Argument(help="Folder or URL of the results.", show_default=False)],
    watch: Annotated[bool, typer.Option("--watch", help="Look again every few seconds until the run ends.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object, with --watch one a line.")] = False,
) -> None:
    """Show the run that is on in OUTPUT, from any machine that can read it; or how the last one ended.

    A run renews its hold on the output and tells how far it is every ten seconds. One that died is told as such.

    Exit codes: 0 running or ended well, 1 the last run has failed or quarantined items, 2 the store cannot be read, 3 it died,
    stalled, or stopped before its end.
    """
    store = open_store(output)
    with waiting("looking at the store" + patience(store.retry_seconds)):
        there = store.exists() and not (store.local and not Path(store.key("")).is_dir())
    if not there:
        raise StoreError(f"output {printable(store.uri(''))}: there is no such folder; check the path")
    if watch and not as_json and OUT.is_terminal:
        with Live(console=OUT, auto_refresh=False) as live:
            for run in _looks(store):
                live.update(as_table(run), refresh=True)
    else:
        for run in _looks(store) if watch else [_look(store)]:
            if as_json:
                sys.stdout.write(json.dumps(as_values(run), indent=None if watch else 1) + "\n")
                sys.stdout.flush()
            else:
                OUT.print(as_table(run), soft_wrap=True)
    raise typer.Exit(exit_code(run))


def _look(store: Store) -> RunStatus:
    with waiting("looking at the store"):
        return replace(run_status(store), reviews=review_counts(store))


def _looks(store: Store) -> Iterator[RunStatus]:
    """A look at a time, until no run is on."""
    while True:
        run = _look(store)
        yield run
        if not run.live:
            return
        time.sleep(_REFRESH_SECONDS)


def exit_code(run: RunStatus) -> int:
    """See `status`."""
    if run.state in ("died", "stalled", "stopped"):
        return BROKEN
    if run.state == "ended" and (run.record.get("failed") or run.record.get("quarantined")):
        return SOME_FAILED
    return WELL


def as_values(run: RunStatus) -> dict[str, object]:
    """As plain values, with what is worked out of them."""
    progress: dict[str, object] | None = asdict(run.progress) if run.progress else None
    if run.progress and progress is not None:
        progress |= {"done": run.progress.done, **_pace(run.progress)}
        progress["last_sign_of_life_seconds"] = round(time.time() - run.progress.written_at, 1)
    return {
        "state": run.state,
        "run_id": run.run_id,
        "lease": asdict(run.lease) if run.lease else None,
        "progress": progress,
        "record": run.record or None,
        "reviews": {**asdict(run.reviews), "reviewed": run.reviews.reviewed} if run.reviews else None,
        "advice": run.advice,
    }


class _Pace(TypedDict):
    items_per_hour: float
    time_left: str


def _pace(progress: Progress) -> _Pace:
    seconds = progress.written_at - progress.started_at
    return {
        "items_per_hour": round(rate_per_hour(progress.done, seconds), 1),
        "time_left": time_left(progress.done, progress.planned, seconds),
    }


def as_table(run: RunStatus) -> RenderableType:
    """For people: a table of a few lines, then what to do."""
    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, text in _lines(run):
        style = _STYLES.get(text, "") if name == "state" else ""
        table.add_row(name, Text(printable(redact(text)), style=style))
    parts: list[RenderableType] = [table]
    if run.advice:
        parts.append(Text(printable(redact(run.advice)), style="yellow" if exit_code(run) else ""))
    return Group(*parts)


def _lines(run: RunStatus) -> Iterator[tuple[str, str]]:
    """What is shown, as names and texts."""
    yield "state", run.state
    if run.run_id:
        yield "run", run.run_id
    lease, progress, record = run.lease, run.progress, run.record
    if lease is not None:
        yield "held by", f"process {lease.process} on {lease.host} since {_at(lease.taken_at)}"
        yield "lease", f"{lease.state if lease.blocks() else 'expired'}, until {_at(lease.expires_at)}"
    if record:
        yield "ended", f"{record.get('finished_at', '')} after {record.get('seconds', 0):.0f} s"
        names = ("restored", "failed", "left", "already_done", "quarantined")
        yield "items", ", ".join(f"{record.get(name, 0)} {name.replace('_', ' ')}" for name in names)
    elif progress is not None:
        yield "items", f"{progress.done} of {progress.planned} done, {progress.failed} failed"
        pace = _pace(progress)
        yield "pace", f"{pace['items_per_hour']:.0f} items an hour, {pace['time_left']} left"
        yield "replicas", f"up to {progress.replicas}" if progress.replicas else "as many as the cluster carries"
        if progress.parts:
            yield "parts", str(progress.parts)
        for path, (done, parts) in progress.films.items():
            yield "film", f"{path}: {done} of {parts} parts"
        if progress.last_done_at:
            yield "last item or part", _ago(progress.last_done_at)
        yield "last sign of life", _ago(progress.written_at)
        if progress.stopping:
            yield "stopping", progress.stopping
    if run.reviews is not None:
        yield "reviews", run.reviews.in_words()


def _at(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _ago(seconds: float) -> str:
    return f"{max(0.0, time.time() - seconds):.0f} s ago"
