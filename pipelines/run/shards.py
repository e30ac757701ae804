"""Drives one shard of a run that was planned in shards: takes its lease, does what is left of it, says how it ended.

Any process on any machine that can read the sources and write the output may do so. One that dies is followed by another, which
takes over what the first had finished: by the manifest, and by the sidecars of the shard's own items.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext

import pyarrow as pa

from faithdiff_model.redaction import redact
from faithdiff_model.weights.files import model_digest
from pipelines.manifest.reader import read_manifest_file
from pipelines.manifest.sidecar import read_sidecar
from pipelines.plan.header import PlanHeader, check_shard
from pipelines.plan.pending import CompactRows, PendingRows, whole_rows
from pipelines.plan.plan import Plan
from pipelines.plan.slices import read_slice
from pipelines.rows import FAILED, MANIFEST_SCHEMA, Row, to_table, whole_row
from pipelines.run.cluster import connected
from pipelines.run.driver import run
from pipelines.run.outcome import Outcome
from pipelines.run.shard_board import ShardEnd, write_end
from pipelines.run.stop import Stop, on_purpose
from pipelines.settings import Settings
from pipelines.store.concurrency import map_threaded
from pipelines.store.layout import (
    MANIFEST,
    PAGE_LIST,
    SIDECAR_SUFFIX,
    lease_path,
    shard_folder,
    shard_run,
    sidecar_path,
)
from pipelines.store.lease import DRAINING, Lease, hold_lease
from pipelines.store.lease_files import LeasePlace, LeaseRecord
from pipelines.store.store import Store, StoreError

__all__ = ["FAILURES", "run_shard", "settle_shard"]

FAILURES = 50  # rows that failed, in a shard's end
_BEATS = 6  # looks at the run's own lease in the time that it holds without renewal
_THREADS = 32
_PAGE = 1000  # files that one listing request names
_COUNTED = ("item_id", "source_path", "status", "error_stage", "error_code", "error_reason", "warnings")
_GONE = "the run that this shard is of has ended or died"
_DRAINS = "the run that this shard is of ends early"


def run_shard(
    store: Store, header: PlanHeader, shard: int, settings: Settings, *, ray_at: str = "", flow_run_id: str = ""
) -> ShardEnd:
    """Take a shard and restore what is left of it. Ends early, as a run does, also when the run that planned ends or dies.

    Args:
        store: the output store.
        header: of the plan.
        shard: its number, from 1.
        settings: those of the header, with what this machine has otherwise (where Ray is, how much of it).
        ray_at: address of a Ray that was started for the run on this machine; empty connects as `settings` say.
        flow_run_id: Prefect's id.

    Raises:
        LeaseError: somebody else is at this shard.
        PlanFileError: there is no such shard, or a file of the plan is damaged.
        ValueError, OSError, RayError: it cannot work here; also told by the shard's end, so that others may try.
    """
    stop = Stop()
    with _taken(store, header, shard, settings) as (lease, end), _watching(store, header, settings, stop) as watch:
        work = _Work(store, header, shard, lease)
        with connected(settings, ray_at) if work.plan.pending else nullcontext():
            outcome = run(
                work.plan,
                settings,
                run_id=end.run_id,
                flow_run_id=flow_run_id,
                on_row=work.note,
                lease=lease,
                stop=stop,
            )
        work.tell(end, outcome)
        if end.left and not (watch.is_set() or on_purpose(end.stopped, end.signal)):
            end.fault = end.stopped
    return end


def settle_shard(store: Store, header: PlanHeader, shard: int, settings: Settings) -> ShardEnd:
    """Record what drivers that died had finished of a shard, and do nothing more of it. Needs no Ray. Raises as `run_shard`."""
    with _taken(store, header, shard, settings) as (lease, end):
        work = _Work(store, header, shard, lease)
        left = len(work.plan.pending)
        work.plan.pending = work.plan.pending.select(())
        outcome = run(work.plan, settings, run_id=end.run_id, lease=lease, stop=Stop())
        outcome.left = left
        work.tell(end, outcome)
    return end


@contextmanager
def _taken(store: Store, header: PlanHeader, shard: int, settings: Settings) -> Iterator[tuple[Lease, ShardEnd]]:
    """Hold a shard for the length of a block, and say at its end how it ended, unless the shard was lost meanwhile."""
    check_shard(header, shard)
    place = LeasePlace(shard_folder(header.run_id, shard), header.lease)
    name = shard_run(header.run_id, shard)
    with hold_lease(store, run_id=name, seconds=settings.lease_seconds, place=place) as lease:
        end = ShardEnd(run_id=f"{name}-{lease.number}", left=header.slices[shard - 1].rows)
        try:
            yield lease, end
        except Exception as error:  # whatever it is: without a reason the shard would be tried for ever
            end.fault = redact(" ".join(str(error).split()) or type(error).__name__)[:500]
            raise
        finally:
            if not lease.lost:
                write_end(store, header.run_id, shard, lease.number, end)


@contextmanager
def _watching(store: Store, header: PlanHeader, settings: Settings, stop: Stop) -> Iterator[threading.Event]:
    """Ask for the stop once the run that planned drains, ends or dies; yields whether that was so.

    The lease of the shard is lost by itself once another run has the output; this is for the time before.
    """
    spoke, over = threading.Event(), threading.Event()
    beat = settings.lease_seconds / _BEATS

    def watch() -> None:
        while not over.wait(beat):
            reason = _why_to_end(store, header)
            if reason:
                spoke.set()
                stop.request(reason)
                return

    thread = threading.Thread(target=watch, name="coordinator", daemon=True)
    thread.start()
    try:
        yield spoke
    finally:
        over.set()
        thread.join()


def _why_to_end(store: Store, header: PlanHeader) -> str:
    try:
        record = LeaseRecord.loads(store.read(lease_path(header.lease)))
    except FileNotFoundError:
        return _GONE
    except OSError:  # a store that does not answer: the shard's own lease says when that is too long
        return ""
    if record is None or record.run_id != header.run_id or not record.blocks():
        return _GONE
    return _DRAINS if record.state == DRAINING else ""


class _Work:
    """What is left of a shard, and what its earlier drivers have done.

    Args:
        store: the output store.
        header: of the plan.
        shard: its number.
        lease: of the shard, which is held.

    Attributes:
        plan: what is left; what died drivers had finished without saying so is among its final rows.
    """

    def __init__(self, store: Store, header: PlanHeader, shard: int, lease: Lease) -> None:
        self._store, self._name = store, lease.run_id
        self.earlier, self._failures = Outcome(), list[dict[str, str]]()
        rows = read_slice(store, header, shard)
        own = header.settings
        digest = model_digest(own.at_revisions(header.model_revision).model_spec())
        if digest != header.model_digest:
            raise StoreError(
                f"shard {shard} of run {header.run_id}: this machine's weights have the digest {digest[:12]} and not "
                f"{header.model_digest[:12]}; install the same weights and the same FaithArchive as where the run began"
            )
        adopted: list[Row] = []
        if lease.number > 1:
            counted = self._count_recorded(lease.number)
            rows = _without(rows, counted)
            adopted = self._adopted(rows, header)
            for row in adopted:
                self.earlier.count(row)
            rows = _without(rows, {row["item_id"] for row in adopted})
        table = to_table(adopted).select(MANIFEST_SCHEMA.names)
        final = CompactRows(table, whole_rows)
        self.plan = Plan(pending=rows, final_rows=final, model_digest=header.model_digest)

    def note(self, row: Row) -> None:
        """Keep the first rows that fail."""
        if row["status"] == FAILED and len(self._failures) < FAILURES:
            names = ("source_path", "error_stage", "error_code", "error_reason")
            self._failures.append({name: str(row[name] or "") for name in names})  # type: ignore[literal-required]

    def tell(self, end: ShardEnd, outcome: Outcome) -> None:
        """Put what all drivers of the shard did into its end."""
        earlier = self.earlier
        end.restored = earlier.restored + outcome.restored
        end.failed = earlier.failed + outcome.failed
        end.with_warnings = earlier.with_warnings + outcome.with_warnings
        codes = earlier.by_code.keys() | outcome.by_code.keys()
        end.by_code = {code: earlier.by_code.get(code, 0) + outcome.by_code.get(code, 0) for code in sorted(codes)}
        for text, items in outcome.warnings.commonest().items():
            earlier.warnings.add([text], items)
        end.warnings = earlier.warnings.commonest()
        end.left, end.stopped, end.signal = outcome.left, outcome.stopped, outcome.signal
        end.failures, end.counted = self._failures, True

    def _count_recorded(self, number: int) -> set[str]:
        """Count what earlier drivers recorded in the manifest; the items' ids."""
        found: set[str] = set()
        for earlier in range(1, number):
            for entry in self._store.list(f"{MANIFEST}/run={self._name}-{earlier}"):
                for values in read_manifest_file(self._store, entry.path, _COUNTED).to_pylist():
                    if values["item_id"] not in found:
                        found.add(values["item_id"])
                        row = whole_row(values)
                        self.earlier.count(row)
                        self.note(row)
        return found

    def _adopted(self, rows: PendingRows, header: PlanHeader) -> list[Row]:
        """Rows of results that earlier drivers of this shard finished and did not record, from their sidecars.

        The sidecar of each item is asked for, or the output is listed, whatever takes fewer requests.
        """
        planned = rows.table["output_path"].to_pylist()
        paths = [*planned, *(path + PAGE_LIST for path in planned)]
        files = 2 * (header.done + sum(each.rows for each in header.slices))
        if len(paths) > files // _PAGE + 1:
            wanted = {sidecar_path(path) for path in paths}
            seen = (entry.path for entry in self._store.list() if entry.path in wanted)
            paths = [path.removesuffix(SIDECAR_SUFFIX) for path in seen]
        read: Callable[[str], Row | None] = self._own_sidecar
        ids = set(rows.table["item_id"].to_pylist())
        found = (row for row in map_threaded(read, paths, _THREADS) if row is not None)
        return [row for row in found if row["item_id"] in ids]

    def _own_sidecar(self, path: str) -> Row | None:
        """The row of the sidecar beside a path, if a driver of this shard wrote it in this run."""
        try:
            row = read_sidecar(self._store.read(sidecar_path(path)))
        except FileNotFoundError:
            return None
        if row is None or row["output_path"] != path:
            return None
        return row if (row["run_id"] or "").startswith(f"{self._name}-") else None


def _without(rows: PendingRows, item_ids: set[str]) -> PendingRows:
    """The rows of all other items."""
    if not item_ids:
        return rows
    keep = [item_id not in item_ids for item_id in rows.table["item_id"].to_pylist()]
    return PendingRows(rows.table.filter(pa.array(keep)), rows.builder)
