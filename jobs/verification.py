"""A verification from its first look to its record, with repair: what the command and the flow `verify-archive` share."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypedDict, cast

from rich.console import Console

from jobs.console.exit_codes import ALL_DONE, STOPPED
from jobs.console.findings import CheckProgress, count_items, print_findings
from jobs.console.summary import Verification
from jobs.console.terminal import ERR, OUT, print_line
from pipelines.settings import Settings
from pipelines.store.ownership import check_holds_records
from pipelines.store.store import Store, StoreError
from pipelines.store.stores import open_store

if TYPE_CHECKING:
    from pipelines.audit.findings import Findings

__all__ = ["PROBLEMS", "Restore", "VerifyOptions", "run_verify"]

PROBLEMS = 1

# Restores what SETTINGS name, and makes the results of these items again; the exit code of `faitharchive restore`.
Restore = Callable[[Settings, Sequence[str]], int]


@dataclass(frozen=True, kw_only=True)
class VerifyOptions:
    """What a verification does, beside the settings.

    Attributes:
        repair: mend what can be repaired.
        results_only: leave the sources unread.
        sample: share of the items.
        limit: problems to show.
    """

    repair: bool = False
    results_only: bool = False
    sample: float = 1.0
    limit: int = 50


class _Repaired(TypedDict):
    """What the record says of a repair."""

    sidecars_written: int
    rows_recorded: int
    to_restore: int
    restore_exit_code: int
    left: dict[str, int]
    items_left: int


def run_verify(
    settings: Settings, options: VerifyOptions, *, restore: Restore, out: Console = OUT
) -> tuple[int, Verification]:
    """Check, show, repair if `options` say so, record; the exit code and the record.

    Args:
        settings: source, output, and those that results are made with.
        options: what to do.
        restore: makes missing and damaged results again in a repair.
        out: where findings are printed; standard output by default. Progress goes to standard error.

    Raises:
        ValueError: the share makes no sense.
        StoreError: a store cannot be used, or there is nothing to check.
    """
    if not 0 < options.sample <= 1:
        raise ValueError(f"--sample is {options.sample:g}: give a share above 0, at most 1, such as 0.1")
    output = _open(settings, options)
    from pipelines.audit.findings import Findings, write_record
    from pipelines.run.cluster import connected

    with connected(settings):
        findings = Findings(output)
        _check(settings, findings, results_only=options.results_only, sample=options.sample)
        findings.flush()
        print_findings(findings, out, options.limit)
        code, repaired = PROBLEMS if findings.unsound else ALL_DONE, None
        if options.repair and findings.unsound:
            code, repaired = _repair(settings, findings, options, restore, out)
        scope = {"only": settings.only, "sample": options.sample, "results_only": options.results_only}
        source = "" if options.results_only else open_store(settings.source).uri("")
        record = findings.record(
            source=source, output=output.uri(""), **scope, settings=settings.result_settings(), repair=repaired
        )
        uri = write_record(output, record)
    print_line(f"Record: {uri}", console=out)
    return code, cast("Verification", record)


def _open(settings: Settings, options: VerifyOptions) -> Store:
    """The output store, after both have been looked at: what is wrong is said before hours of reading."""
    from pipelines.plan.stores import open_stores

    if options.results_only and not options.repair:
        if not settings.output:
            raise StoreError("output is needed: faitharchive verify SOURCE OUTPUT --results-only")
        output = open_store(settings.output, settings.retry_seconds)
    else:
        output = open_stores(settings).output
    check_holds_records(output)
    output.check_writable()  # for the record
    return output


def _check(
    settings: Settings,
    findings: Findings,
    *,
    results_only: bool = False,
    sample: float = 1.0,
    item_ids: Collection[str] | None = None,
) -> Findings:
    """A verification with progress on the terminal."""
    from pipelines.audit.verify import verify as check

    bars: list[CheckProgress] = []

    def begin(count: int) -> None:
        bars.append(CheckProgress(count, ERR))
        bars[0].__enter__()

    def count(sound: bool) -> None:
        bars[0].item(sound)

    try:
        return check(
            settings,
            findings,
            results_only=results_only,
            sample=sample,
            item_ids=item_ids,
            on_count=begin,
            on_item=count,
        )
    finally:
        for progress in bars:
            progress.__exit__(None, None, None)


def _repair(
    settings: Settings, findings: Findings, options: VerifyOptions, restore: Restore, out: Console
) -> tuple[int, _Repaired]:
    """Mend, restore again, and check the same items once more: the exit code and what was done."""
    from pipelines.audit.findings import PUBLISH_SIDECAR, RECORD_ROW, REDO, RESTORE, Findings
    from pipelines.audit.repair import repair

    diagnosis = findings
    if options.results_only:  # what is to be made again needs a sound source
        diagnosis = _check(settings, Findings(), item_ids=findings.unsound)
    repaired = repair(
        settings, diagnosis.remedies[PUBLISH_SIDECAR] | diagnosis.remedies[RECORD_ROW], run_id=findings.id
    )
    if repaired.sidecars or repaired.rows:
        out.print(f"sidecars written again: {repaired.sidecars}; lost rows recorded: {repaired.rows}")
    damaged = diagnosis.remedies[REDO] | (diagnosis.altered_sources if settings.redo else set())
    restored = ALL_DONE
    if damaged or diagnosis.remedies[RESTORE]:
        # --redo means altered sources here, and not the whole archive.
        restored = restore(settings.model_copy(update={"redo": False}), sorted(damaged))
    left = _check(settings, Findings(), item_ids=findings.unsound)
    out.print(f"After the repair: {count_items(len(left.unsound))} still with problems")
    if left.unsound:
        print_findings(left, out, options.limit)
    done = _Repaired(
        sidecars_written=repaired.sidecars,
        rows_recorded=repaired.rows,
        to_restore=len(damaged | diagnosis.remedies[RESTORE]),
        restore_exit_code=restored,
        left=dict(sorted(left.counts.items())),
        items_left=len(left.unsound),
    )
    if restored >= STOPPED:
        return restored, done
    return PROBLEMS if left.unsound else ALL_DONE, done
