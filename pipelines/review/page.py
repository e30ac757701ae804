"""A report as one HTML page that needs nothing from elsewhere. Whatever comes from the archive is escaped."""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from pipelines.errors import ERROR_CODES

__all__ = ["Report", "report_page"]

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 70rem; padding: 0 1rem; color: #222; }
h1, h2 { font-weight: 600; } h2 { margin-top: 2rem; border-bottom: 1px solid #ddd; }
table { border-collapse: collapse; width: 100%; } th, td { text-align: left; padding: .25rem .6rem; vertical-align: top; }
th { color: #666; font-weight: 500; } tr + tr td { border-top: 1px solid #eee; } td.number { text-align: right; }
.bad { color: #a40000; } td { overflow-wrap: anywhere; }
"""
_RUN = ("run_id", "restored", "with_warnings", "failed", "left", "items_per_hour", "seconds")


@dataclass(kw_only=True)
class Report:
    """What a report says. Counts are of items by their current row.

    Attributes:
        made_at: UTC.
        output: the store, without secrets.
        statuses: items by status.
        kinds: restored items, their bytes before and after and their frames, by kind of medium.
        codes: failed items by error code.
        failures: the first failed and quarantined items: path, status, attempts, code, stage, reason.
        faithfulness: PSNR to the source in dB at the 1st, 10th, 50th, 90th and 99th hundredth; empty without results.
        faintest: the results that are furthest from their source: path, dB.
        with_warnings: restored items that have warnings.
        warnings: the commonest, with the number of items that have each.
        not_taken: files of the source that were not taken, of the newest run that lists them: kind, pattern, files, advice.
        models: restored items by preset, device and whether the weights were trained.
        runs: summaries of the latest runs, newest first.
    """

    made_at: str
    output: str
    statuses: dict[str, int] = field(default_factory=dict)
    kinds: list[tuple[str, int, int, int, int]] = field(default_factory=list)
    codes: dict[str, int] = field(default_factory=dict)
    failures: list[tuple[str, str, int, str, str, str]] = field(default_factory=list)
    faithfulness: list[float] = field(default_factory=list)
    faintest: list[tuple[str, float]] = field(default_factory=list)
    with_warnings: int = 0
    warnings: dict[str, int] = field(default_factory=dict)
    not_taken: list[tuple[str, str, int, str]] = field(default_factory=list)
    models: list[tuple[str, str, bool, int]] = field(default_factory=list)
    runs: list[Mapping[str, object]] = field(default_factory=list)


def report_page(report: Report) -> str:
    """The page, UTF-8 text."""
    total = sum(report.statuses.values())
    failed = total - report.statuses.get("restored", 0)
    lead = f"{total} items, {report.statuses.get('restored', 0)} restored"
    if report.with_warnings:
        lead += f" ({report.with_warnings} of them with warnings)"
    parts = [
        "<!doctype html><html lang='en'><head><meta charset='utf-8'><title>FaithArchive report</title>",
        f"<style>{_STYLE}</style></head><body><h1>{_text(lead)}",
        f", <span class='bad'>{failed} not</span>" if failed else "",
        f"</h1><p>{_text(report.output)}<br>made {_text(report.made_at)}</p>",
    ]
    parts += _section("What is restored", ("kind", "items", "images or frames", "bytes before", "bytes after"), [
        (kind, items, frames, before, after) for kind, items, before, after, frames in report.kinds
    ])  # fmt: skip
    parts += _section("What failed", ("code", "items", "meaning"), [
        (code, count, ERROR_CODES.get(code or "", "")) for code, count in report.codes.items()
    ])  # fmt: skip
    parts += _section("Failures", ("source", "status", "tries", "code", "stage", "what to do"), report.failures)
    parts += _section(
        f"Warnings: {report.with_warnings} restored items have some", ("warning", "items"), report.warnings.items()
    )
    parts += _section(
        "Files of the source that were not taken", ("what they are", "names", "files", "what to do"), report.not_taken
    )
    if report.faithfulness:
        quantiles = [f"{value:.2f}" for value in report.faithfulness]
        parts += _section(
            "Faithfulness: PSNR to the source at its size, dB", ("1 %", "10 %", "half", "90 %", "99 %"), [quantiles]
        )
        parts += _section("Furthest from their source", ("source", "dB"), [(p, f"{v:.2f}") for p, v in report.faintest])
    parts += _section("By what", ("network", "device", "trained", "items"), [
        (preset, device, "yes" if trained else "NO: not restorations", count)
        for preset, device, trained, count in report.models
    ])  # fmt: skip
    parts += _section("Runs", ("run", "restored", "with warnings", "failed", "left", "items an hour", "seconds", "ended"), [
        [*(run.get(name, "") for name in _RUN), run.get("stopped") or "at its end"] for run in report.runs
    ])  # fmt: skip
    return "".join(parts) + "</body></html>\n"


def _section(title: str, headings: Sequence[str], rows: Iterable[Sequence[object]]) -> list[str]:
    """A heading and a table; nothing without rows."""
    cells = [
        "".join(f"<td class='number'>{v}</td>" if isinstance(v, int | float) else f"<td>{_text(v)}</td>" for v in row)
        for row in rows
    ]
    if not cells:
        return []
    head = "".join(f"<th>{_text(heading)}</th>" for heading in headings)
    body = "".join(f"<tr>{row}</tr>" for row in cells)
    return [f"<h2>{_text(title)}</h2><table><tr>{head}</tr>{body}</table>"]


def _text(value: object) -> str:
    """Escaped; control characters made visible, so that no name forges a line or hides."""
    shown = "".join(c if c.isprintable() else repr(c)[1:-1] for c in str("" if value is None else value))
    return html.escape(shown)
