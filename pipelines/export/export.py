"""The export of an archive: its current results, block by block, to a destination in the form of a profile.

Nothing but a block of rows stands in memory. An item is exported when all its files are in place and checked; then the ledger
says so, and the next call passes it over. Sources and results are only read.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial

from faithdiff_model.redaction import redact_url
from pipelines.export.credentials import Signer
from pipelines.export.entry import Entry, Profile
from pipelines.export.item import Item, NotExportedError, item_of
from pipelines.export.ledger import Claim, Ledger
from pipelines.export.package import Package
from pipelines.export.reviewed import Reviewed
from pipelines.manifest.index import Choose, ManifestIndex, open_index, read_block
from pipelines.manifest.runs import new_run_id
from pipelines.manifest.scratch import scratch_database
from pipelines.manifest.sidecar import json_bytes
from pipelines.media.kinds import is_sequence
from pipelines.rows import MANIFEST_SCHEMA, Row
from pipelines.store.cleanup import clear_unfinished
from pipelines.store.concurrency import map_threaded
from pipelines.store.layout import PAGE_LIST
from pipelines.store.lease import hold_lease
from pipelines.store.retries import what_failed
from pipelines.store.store import Store, StoreError
from pipelines.store.stores import check_disjoint, open_store

__all__ = ["ExportOptions", "ExportResult", "OnCount", "OnItem", "export"]

_BLOCK_ROWS = 64  # items that a death may cost to be looked at again
_READ_ROWS = 2048  # rows that are read together: each time, the whole manifest file that holds them is
_FIRST = 1000  # failures and items left out that are kept to be shown

OnCount = Callable[[int], None]
OnItem = Callable[[bool], None]


@dataclass(frozen=True, kw_only=True)
class ExportOptions:
    """What is exported, from where, to where.

    Attributes:
        output: URL of the archive's results.
        destination: URL of the place that gets them.
        only: glob of source paths; empty for all.
        source: URL of the scans; empty where they still lie where they were read.
        base_url: under which the profile's folder will be served, for IIIF.
        retry_seconds: for how long a store's passing failures are tried again.
        lease_seconds: how long the destination stays locked if this process dies.
        steal: take the destination from another export.
        accepted: only what was accepted in a review. What was rejected is never exported.
    """

    output: str
    destination: str
    only: str = ""
    source: str = ""
    base_url: str = ""
    retry_seconds: float = 60.0
    lease_seconds: float = 120.0
    steal: bool = False
    accepted: bool = False


@dataclass(kw_only=True)
class ExportResult:
    """What an export did.

    Attributes:
        run_id: names its record.
        place: URI of the profile's folder.
        items: restored items that were chosen, those that are held back too.
        already: of them exported before.
        exported: now.
        left_out: that the profile cannot take.
        rejected: in a review: never exported.
        undecided: not accepted, where only what was accepted is wanted.
        exported_before: of the rejected, those whose files an earlier export left at the destination; they are in no table now.
        failed: that could not be exported.
        first_left_out, first_failed: a line for each of the first thousand.
    """

    run_id: str
    place: str
    items: int = 0
    already: int = 0
    exported: int = 0
    left_out: int = 0
    rejected: int = 0
    undecided: int = 0
    exported_before: int = 0
    failed: int = 0
    first_left_out: list[str] = field(default_factory=list)
    first_failed: list[str] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class _Outcome:
    row: Row
    entry: Entry | None = None
    failure: str = ""
    excuse: str = ""


def export(
    options: ExportOptions,
    profile: Profile,
    *,
    signer: Signer | None = None,
    on_count: OnCount | None = None,
    on_item: OnItem | None = None,
) -> ExportResult:
    """Export an archive; a call after a call that died, or after more was restored, goes on.

    Args:
        options: what, from where, to where.
        profile: the form.
        signer: makes a C2PA manifest for each result, where the profile has a place for it.
        on_count: called with the number of items before the first.
        on_item: called after each with whether it is exported.

    Raises:
        StoreError: a store cannot be used, the destination touches the archive, or it holds what is not this export's.
        LeaseError: another export is at work there.
        OSError: the destination cannot be written.
    """
    output, store = (open_store(url, options.retry_seconds) for url in (options.output, options.destination))
    output.check_exists("output")
    check_disjoint(output, store, ("output", "destination"))
    sources, run_id = _Sources(options, store), new_run_id()
    reviewed = Reviewed(output, accepted=options.accepted)
    with open_index(output, choose=_choice(options.only)) as index:
        if not index.count:
            raise StoreError(
                f"output {redact_url(options.output)}: no restored item to export; look at --only, or run faitharchive restore"
            )
        sources.check(next(_blocks(output, index))[0])  # before anything is written
        store.check_writable()
        with (
            hold_lease(store, run_id=run_id, seconds=options.lease_seconds, steal=options.steal) as lease,
            scratch_database() as database,
        ):
            names = {"profile": profile.name, "folder": profile.folder, "output": output.uri("")}
            claim = Claim(**names, base_url=options.base_url.rstrip("/"))
            ledger = Ledger(store, claim, run_id, database)
            if ledger.resumed:  # a half-written file would be in the way of whoever reads a package
                clear_unfinished(open_store(f"{options.destination.rstrip('/')}/{profile.folder}", 0.0), 0.0)
            package = Package(store, profile.folder)
            done = ExportResult(run_id=run_id, place=store.uri(profile.folder), items=index.count)
            if on_count:
                on_count(index.count)
            one = partial(_one, profile=profile, package=package, sources=sources, output=output, signer=signer)
            for block in _blocks(output, index):
                lease.check("export again")
                rows = reviewed.exportable(block)
                undone = ledger.undone(rows)
                outcomes = list(map_threaded(one, undone, profile.threads))
                ledger.add([(each.row, each.entry) for each in outcomes if each.entry is not None])
                _count(done, outcomes, len(rows) - len(undone), len(block) - len(rows), on_item)
            _count_held_back(done, reviewed, ledger)
            profile.finish(ledger.entries, package)
            _record(store, ledger, done)
    return done


def _choice(only: str) -> Choose | None:
    """The items whose source path matches a glob; all for an empty one."""
    return (lambda name, path: fnmatch.fnmatchcase(path, only)) if only else None


def _blocks(output: Store, index: ManifestIndex) -> Iterator[list[Row]]:
    """Current rows, a block at a time."""
    for block in index.blocks(rows=_READ_ROWS, size=1 << 62):
        rows = read_block(output, block, MANIFEST_SCHEMA.names)
        yield from (rows[first : first + _BLOCK_ROWS] for first in range(0, len(rows), _BLOCK_ROWS))


def _one(
    row: Row, *, profile: Profile, package: Package, sources: _Sources, output: Store, signer: Signer | None
) -> _Outcome:
    """Export one item; whatever is wrong with it is its outcome. An error of the destination is raised."""
    excuse = _many_files(row) or profile.excuse(row)
    if excuse:
        return _Outcome(row=row, excuse=f"{row['source_path']}: {excuse}")
    try:
        item: Item = item_of(row, sources.of, output)
        if signer is not None and profile.holds_credentials:
            item = signer.signed(item)
        return _Outcome(row=row, entry=profile.place(item, package))
    except NotExportedError as error:
        return _Outcome(row=row, failure=str(error))


def _many_files(row: Row) -> str:
    """Why an item of several result files is left out; empty for others."""
    if is_sequence(row["source_path"]):
        return "it is a sequence of frames, which no profile takes; copy its folder and the list beside it"
    if row["pages"] and row["output_path"].endswith(PAGE_LIST):
        return (
            "its pages are files of their own, which no profile takes; restore it with --pages all, or copy its folder"
        )
    return ""


def _count(done: ExportResult, outcomes: list[_Outcome], already: int, held: int, on_item: OnItem | None) -> None:
    done.already += already
    for one in outcomes:
        if one.entry is not None:
            done.exported += 1
        elif one.excuse:
            done.left_out += 1
            done.first_left_out += [one.excuse][: _FIRST - len(done.first_left_out)]
        else:
            done.failed += 1
            done.first_failed += [one.failure][: _FIRST - len(done.first_failed)]
    for failed in [False] * (already + held) + [bool(one.failure) for one in outcomes]:
        if on_item:
            on_item(not failed)


def _count_held_back(done: ExportResult, reviewed: Reviewed, ledger: Ledger) -> None:
    """What the review held back is in no table either."""
    done.rejected, done.undecided = len(reviewed.rejected), len(reviewed.undecided)
    done.exported_before = ledger.hide(reviewed.rejected)
    ledger.hide(reviewed.undecided)


def _record(store: Store, ledger: Ledger, done: ExportResult) -> None:
    """Publish what the export did, beside its ledger."""
    record = {"finished_at": datetime.now(UTC).isoformat(), **vars(done)}
    store.publish(f"{ledger.folder}/runs/{done.run_id}.json", json_bytes(record))


class _Sources:
    """The stores that scans lie in: the one that is named, or where each row's scan was read.

    Args:
        options: may name it.
        destination: no scan may lie in its way.
    """

    def __init__(self, options: ExportOptions, destination: Store) -> None:
        self._options, self._destination = options, destination
        self._checked: set[str] = set()
        if options.source:
            self._open(options.source).check_exists("source")

    def check(self, row: Row) -> None:
        """Refuse a destination that touches the place where a row's scan lies. Raises StoreError."""
        with suppress(NotExportedError):
            self.of(row)

    def of(self, row: Row) -> Store:
        """The store of a row's scan. Raises StoreError and NotExportedError."""
        if self._options.source:
            return self._open(self._options.source)
        uri, path = row["source_uri"], row["source_path"]
        if not uri.endswith(f"/{path}"):
            raise NotExportedError(f"{path}: the manifest does not say below which folder it was read; give --source")
        return self._open(uri[: -len(path) - 1])

    def _open(self, url: str) -> Store:
        try:
            store = open_store(url, self._options.retry_seconds)
        except StoreError:
            raise
        except Exception as error:  # a protocol's package that is missing here
            raise StoreError(f"source {redact_url(url)}: {what_failed(error)}; give --source") from error
        if url not in self._checked:
            check_disjoint(store, self._destination, ("source", "destination"))
            self._checked.add(url)
        return store
