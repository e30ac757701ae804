"""A report on an archive, from its manifest: what is done, what failed, how faithful, how fast, and what it looks like."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, replace
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from pipelines.manifest.decisions import DecisionLog
from pipelines.manifest.index import RowTable
from pipelines.manifest.reader import manifest_files, read_manifest_file
from pipelines.manifest.review_counts import count_reviews
from pipelines.manifest.runs import newest_not_taken, read_run_record
from pipelines.manifest.scratch import batches, count, scratch_database
from pipelines.manifest.sidecar import json_bytes
from pipelines.manifest.warning_counts import WarningCounts
from pipelines.review.cards import make_cards, picture_strip
from pipelines.review.page import Report, report_page
from pipelines.review.queries import MEASURES, chosen_rows, held_decisions, histogram, load_decisions
from pipelines.review.side_by_side import scan_store_url
from pipelines.rows import Row
from pipelines.store.layout import REPORTS, RUNS
from pipelines.store.ownership import check_holds_records
from pipelines.store.store import Store
from pipelines.store.stores import open_store

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

__all__ = ["CARDS", "NIGHTLY_CARDS", "Published", "make_and_publish", "make_report", "publish_report"]


_COLUMNS = (
    "item_id", "source_path", "source_size", "output_path", "output_size", "status", "error_code", "error_stage",
    "error_reason", "attempt", "media_kind", "frames", "model_preset", "model_trained", "device", "lq_psnr_db",
    "seconds_restore", "warnings", "run_id", "finished_at", "output_sha256", "settings_digest", "needs_review",
    *(name for name in MEASURES if name != "lq_psnr_db"),
)  # fmt: skip
_FAILURES, _RUNS, _FAINTEST, _DECISIONS = 200, 30, 20, 200
CARDS = 200  # items that are shown with pictures, where nobody says how many
NIGHTLY_CARDS = 48  # the same of a report that a night's run makes: it should not read a night's photographs again


def make_report(output: Store, *, pictures: int = 0, source: str = "") -> Report:
    """Look at the manifest, the records of runs and the reviews. Memory stays bounded: the rows lie in a temporary database.

    Args:
        output: the store.
        pictures: items to show with pictures, which are published to `_faitharchive/reports/pictures`; 0 publishes nothing.
        source: URL of the scans, where they were moved since.

    Raises:
        StoreError: a manifest file, or the decisions, cannot be read; named.
        OSError: a picture cannot be written.
    """
    report = Report(made_at=datetime.now(UTC).isoformat(timespec="seconds"), output=output.uri(""))
    decisions = DecisionLog(output).current()
    with scratch_database() as database:
        _load(database, output)
        _count(database, report)
        load_decisions(database, decisions)
        held = held_decisions(database, decisions)
        report.reviews = replace(count_reviews([row for row, _ in held], decisions), results=report.restored)
        report.decisions = [
            (row["source_path"], made.decision, made.reviewer, made.note, made.decided_at.isoformat(timespec="seconds"))
            for row, made in sorted(held, key=lambda pair: pair[1].decided_at, reverse=True)[:_DECISIONS]
        ]
        rows = chosen_rows(database, output, pictures) if pictures else []
    report.cards, report.picture_bytes = make_cards(output, rows, decisions, partial(_scans, source))
    report.runs = _runs(output)
    report.not_taken = _not_taken(output)
    return report


def _scans(source: str, row: Row) -> Store:
    return open_store(source or scan_store_url(row))


def _count(database: DuckDBPyConnection, report: Report) -> None:
    """All that is counted of current rows."""

    def ask(query: str) -> list[tuple[Any, ...]]:
        return database.execute(query).fetchall()

    report.statuses = dict(ask("select status, count(*) from current group by status order by status"))
    report.kinds = ask(
        "select coalesce(media_kind, 'photo'), count(*), coalesce(sum(source_size), 0)::bigint, "
        "coalesce(sum(output_size), 0)::bigint, "
        "coalesce(sum(case when media_kind = 'film' then frames else 1 end), 0)::bigint "
        "from current where status = 'restored' group by 1 order by 1"
    )
    failed = "from current where status in ('failed', 'quarantined')"
    report.codes = dict(ask(f"select error_code, count(*) {failed} group by 1 order by 2 desc, 1"))
    report.failures = ask(
        f"select source_path, status, attempt, error_code, error_stage, error_reason {failed} "
        f"order by status desc, source_path limit {_FAILURES}"
    )
    measured = "from current where status = 'restored' and lq_psnr_db is not null"
    ((quantiles,),) = ask(f"select quantile_cont(lq_psnr_db, [0.01, 0.1, 0.5, 0.9, 0.99]) {measured}")
    report.faithfulness = [float(value) for value in quantiles or ()]
    report.faintest = ask(f"select source_path, lq_psnr_db {measured} order by 2, 1 limit {_FAINTEST}")
    report.models = ask(
        "select model_preset, device, model_trained, count(*) from current where status = 'restored' "
        "group by 1, 2, 3 order by 4 desc, 1"
    )
    warned = "from current where status = 'restored' and warnings <> ''"
    report.with_warnings = count(database, f"select count(*) {warned}")
    counts = WarningCounts()
    for table in batches(database, f"select warnings, count(*) as items {warned} group by warnings"):
        for texts, items in zip(table["warnings"].to_pylist(), table["items"].to_pylist(), strict=True):
            counts.add(texts.splitlines(), items)
    report.warnings = counts.commonest()
    report.needs_review = count(database, "select count(*) from current where status = 'restored' and needs_review")
    report.measures = [found for name in MEASURES if (found := histogram(database, name))]


def _load(database: DuckDBPyConnection, output: Store) -> None:
    """The table `current`: each item's newest row."""
    rows = RowTable(database, _COLUMNS)
    for entry in manifest_files(output):
        rows.add(read_manifest_file(output, entry.path, _COLUMNS))
    rows.keep_newest("current")


def _runs(output: Store) -> list[Mapping[str, object]]:
    """The latest runs' records; one that cannot be read is left out."""
    found: list[Mapping[str, object]] = []
    names = sorted((entry.path for entry in output.list(RUNS) if entry.path.endswith(".json")), reverse=True)
    for name in names[:_RUNS]:
        run_id = name.rpartition("/")[2].removesuffix(".json")
        with suppress(OSError):
            if (record := read_run_record(output, run_id)) is not None:
                found.append({"run_id": run_id, **record})
    return found


def _not_taken(output: Store) -> list[tuple[str, str, int, str]]:
    """What the newest run over the whole archive did not take; records that cannot be read tell nothing."""
    with suppress(OSError):
        _, found = newest_not_taken(output)
        return [
            (str(each.get("kind", "")), str(each.get("pattern", "")), _number(each), str(each.get("advice", "")))
            for each in found
        ]
    return []


def _number(each: Mapping[str, object]) -> int:
    files = each.get("files")
    return files if isinstance(files, int) else 0


def publish_report(output: Store, report: Report, name: str) -> str:
    """Write the page and its figures to `_faitharchive/reports/`; the page's URI.

    Args:
        output: the store.
        report: from `make_report`.
        name: of the files, without an extension: a run's id or a date.

    Raises:
        OSError: it cannot be written.
    """
    output.publish(f"{REPORTS}/{name}.json", json_bytes(asdict(report)))
    output.publish(f"{REPORTS}/{name}.html", report_page(report).encode())
    return output.uri(f"{REPORTS}/{name}.html")


class Published(NamedTuple):
    """A report that was published.

    Attributes:
        uri: of its page.
        strip: a small JPEG of a few scans and results; empty where none can be shown.
    """

    uri: str
    strip: bytes


def make_and_publish(output: str, name: str = "", *, pictures: int = CARDS, source: str = "") -> Published:
    """Make the report of a store and publish it.

    Args:
        output: URL of the store.
        name: of the page, without an extension; today's date by default.
        pictures, source: as of `make_report`.

    Raises:
        OSError: it cannot be written.
        StoreError: there is no such store, no run has been there, or its manifest cannot be read.
        ValueError: the name is none for a file.
    """
    name = name or f"{datetime.now(UTC):%Y-%m-%d}"
    if not name.replace("-", "").replace("_", "").isalnum():
        raise ValueError(f"--name is {name!r}: use letters, digits, - and _")
    store = open_store(output)
    check_holds_records(store)
    report = make_report(store, pictures=pictures, source=source)
    return Published(publish_report(store, report, name), picture_strip(store, report.cards))
