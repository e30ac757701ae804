"""A report as an HTML page, with its pictures in a folder beside it. It needs nothing from elsewhere, no server, no network.

Whatever comes from the archive is escaped. Style and script are our own files of `web/`, put into the page; the page's content
security policy lets no others run, and no address but the page's own folder be read.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files

from pipelines.errors import ERROR_CODES
from pipelines.manifest.review_counts import ReviewCounts
from pipelines.review.card_page import cards_section
from pipelines.review.cards import Card
from pipelines.review.charts import columns, histogram, parts, shown

__all__ = ["Histogram", "Report", "report_page"]

_STYLES, _SCRIPTS = ("report.css", "compare.css"), ("compare.js", "report.js")
_RUN = ("run_id", "restored", "with_warnings", "failed", "left", "items_per_hour", "seconds")


@dataclass(frozen=True, kw_only=True)
class Histogram:
    """How many restored items have a measure between edges, of which there is one more than counts."""

    title: str
    unit: str
    edges: list[float]
    counts: list[int]


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
        measures: of trust and faithfulness, where there are any.
        needs_review: restored items of which a measure was below its threshold.
        with_warnings: restored items that have warnings.
        warnings: the commonest, with the number of items that have each.
        not_taken: files of the source that were not taken, of the newest run that lists them: kind, pattern, files, advice.
        models: restored items by preset, device and whether the weights were trained.
        runs: summaries of the latest runs, newest first.
        reviews: restored items by what was decided about them.
        decisions: the latest ones that hold: path, decision, reviewer, note, time.
        cards: the gallery.
        picture_bytes: of pictures that this report made and none before it.
    """

    made_at: str
    output: str
    statuses: dict[str, int] = field(default_factory=dict)
    kinds: list[tuple[str, int, int, int, int]] = field(default_factory=list)
    codes: dict[str, int] = field(default_factory=dict)
    failures: list[tuple[str, str, int, str, str, str]] = field(default_factory=list)
    faithfulness: list[float] = field(default_factory=list)
    faintest: list[tuple[str, float]] = field(default_factory=list)
    measures: list[Histogram] = field(default_factory=list)
    needs_review: int = 0
    with_warnings: int = 0
    warnings: dict[str, int] = field(default_factory=dict)
    not_taken: list[tuple[str, str, int, str]] = field(default_factory=list)
    models: list[tuple[str, str, bool, int]] = field(default_factory=list)
    runs: list[Mapping[str, object]] = field(default_factory=list)
    reviews: ReviewCounts = field(default_factory=ReviewCounts)
    decisions: list[tuple[str, str, str, str, str]] = field(default_factory=list)
    cards: list[Card] = field(default_factory=list)
    picture_bytes: int = 0

    @property
    def restored(self) -> int:
        return self.statuses.get("restored", 0)


def report_page(report: Report) -> str:
    """The page, UTF-8 text."""
    style, script = ("".join(_asset(name) for name in names) for names in (_STYLES, _SCRIPTS))
    policy = (
        f"default-src 'none'; img-src 'self' file: data:; style-src {_digest(style)}; script-src {_digest(script)}; "
        "base-uri 'none'; form-action 'none'"
    )
    body = [*_head(report), "<main>", _tiles(report), _charts(report), *cards_section(report.cards, report.restored)]
    body += [*_tables(report), "</main>", _foot(report)]
    return (
        "<!doctype html>\n<html lang='en'><head><meta charset='utf-8'>"
        f"<meta http-equiv='Content-Security-Policy' content=\"{policy}\">"
        "<meta name='viewport' content='width=device-width, initial-scale=1'><meta name='referrer' content='no-referrer'>"
        f"<title>FaithArchive report</title><style>{style}</style></head><body>{''.join(body)}"
        f"<script>{script}</script></body></html>\n"
    )


def _asset(name: str) -> str:
    return (files("pipelines.review") / "web" / name).read_text(encoding="utf-8")


def _digest(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _head(report: Report) -> list[str]:
    total = sum(report.statuses.values())
    lead = f"{total} items, {report.restored} restored"
    if report.with_warnings:
        lead += f" ({report.with_warnings} of them with warnings)"
    failed = f", <span class='bad'>{total - report.restored} not</span>" if total > report.restored else ""
    return [
        f"<header><div><h1>{shown(lead)}{failed}</h1><p>{shown(report.output)}<br>made {shown(report.made_at)}</p></div>",
        "<button type='button' id='theme'>Light or dark</button></header>",
    ]


def _tiles(report: Report) -> str:
    before, after = sum(kind[2] for kind in report.kinds), sum(kind[3] for kind in report.kinds)
    frames = sum(kind[4] for kind in report.kinds)
    failed = sum(report.statuses.values()) - report.restored
    tiles = [(f"{report.restored:,}", "restored")]
    tiles += [(f"{failed:,}", "not restored")] if failed else []
    tiles += [(f"{frames:,}", "images and frames")] if frames > report.restored else []
    tiles += [(_bytes(after), f"of results, from {_bytes(before)} of scans")] if after else []
    if report.reviews.reviewed:
        tiles.append((f"{report.reviews.reviewed:,} of {report.reviews.results:,}", "reviewed"))
    tiles += [(f"{report.needs_review:,}", "to be looked at first")] if report.needs_review else []
    tiles += [(f"{report.with_warnings:,}", "with warnings")] if report.with_warnings else []
    return (
        "<div class='tiles'>"
        + "".join(f"<div class='tile'><b>{n}</b><span>{w}</span></div>" for n, w in tiles)
        + "</div>"
    )


def _charts(report: Report) -> str:
    order = ("restored", "failed", "quarantined")
    statuses = {name: report.statuses.get(name, 0) for name in order}
    found = [parts("Items", statuses | {name: n for name, n in report.statuses.items() if name not in order})]
    if report.reviews.reviewed:
        made = report.reviews
        open_ = made.results - made.reviewed
        reviewed = {"accepted": made.accepted, "rejected": made.rejected, "to redo": made.redo, "not reviewed": open_}
        found.append(parts("Review", reviewed))
    found += [histogram(each.title, each.edges, each.counts, each.unit) for each in report.measures]
    runs = [run for run in reversed(report.runs) if _number(run, "restored") + _number(run, "failed")]
    names = [str(run.get("run_id", ""))[:8] for run in runs]
    days = [f"{name[:4]}-{name[4:6]}-{name[6:]}" if name.isdigit() else name for name in names]
    found.append(columns("Items restored, by run", days, [_number(run, "restored") for run in runs]))
    found.append(columns("Items an hour, by run", days, [_number(run, "items_per_hour") for run in runs]))
    found.append(parts("Failed, by code", {str(code): items for code, items in report.codes.items()}, plain=False))
    return f"<div class='charts'>{''.join(found)}</div>"


def _tables(report: Report) -> list[str]:
    body = _section("What is restored", ("kind", "items", "images or frames", "bytes before", "bytes after"), [
        (kind, items, frames, before, after) for kind, items, before, after, frames in report.kinds
    ])  # fmt: skip
    body += _section("What failed", ("code", "items", "meaning"), [
        (code, count, ERROR_CODES.get(code or "", "")) for code, count in report.codes.items()
    ])  # fmt: skip
    body += _section("Failures", ("source", "status", "tries", "code", "stage", "what to do"), report.failures)
    body += _section(
        f"Warnings: {report.with_warnings} restored items have some", ("warning", "items"), report.warnings.items()
    )
    body += _section("Decisions", ("source", "decision", "reviewer", "note", "when"), report.decisions)
    body += _section(
        "Files of the source that were not taken", ("what they are", "names", "files", "what to do"), report.not_taken
    )
    if report.faithfulness:
        quantiles = [f"{value:.2f}" for value in report.faithfulness]
        body += _section(
            "Faithfulness: PSNR to the source at its size, dB", ("1 %", "10 %", "half", "90 %", "99 %"), [quantiles]
        )
        body += _section("Furthest from their source", ("source", "dB"), [(p, f"{v:.2f}") for p, v in report.faintest])
    body += _section("By what", ("network", "device", "trained", "items"), [
        (preset, device, "yes" if trained else "NO: not restorations", count)
        for preset, device, trained, count in report.models
    ])  # fmt: skip
    headings = ("run", "restored", "with warnings", "failed", "left", "items an hour", "seconds", "ended")
    return body + _section(
        "Runs",
        headings,
        [[*(run.get(name, "") for name in _RUN), run.get("stopped") or "at its end"] for run in report.runs],
    )


def _section(title: str, headings: Sequence[str], rows: Iterable[Sequence[object]]) -> list[str]:
    """A heading and a table; nothing without rows."""
    cells = [
        "".join(f"<td class='number'>{v}</td>" if isinstance(v, int | float) else f"<td>{shown(v)}</td>" for v in row)
        for row in rows
    ]
    if not cells:
        return []
    head = "".join(f"<th scope='col'>{shown(heading)}</th>" for heading in headings)
    body = "".join(f"<tr>{row}</tr>" for row in cells)
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    return [
        f"<h2>{shown(title)}</h2><div class='scroll' tabindex='0' role='region' aria-label='{shown(title)}'>{table}</div>"
    ]


def _foot(report: Report) -> str:
    return (
        "<footer>Made by faitharchive report. The figures lie beside this page as JSON; copy the page together with the "
        f"folder pictures. This report added {_bytes(report.picture_bytes)} of pictures to it.</footer>"
    )


def _bytes(size: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:.3g} TB"


def _number(run: Mapping[str, object], name: str) -> float:
    value = run.get(name)
    return float(value) if isinstance(value, int | float) and value >= 0 else 0.0
