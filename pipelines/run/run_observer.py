"""Reports a run from its driver while it goes on: metrics, log events, spans, and the progress file."""

from __future__ import annotations

import copy
import logging
import threading
import time
from types import TracebackType

from faithdiff_model.redaction import redact_url
from pipelines.plan.plan import Plan
from pipelines.rows import FAILED, RESTORED, Row
from pipelines.run.stop import Stop
from pipelines.settings import Settings
from pipelines.store.lease import Lease
from pipelines.store.store import Store
from pipelines.telemetry import logs
from pipelines.telemetry.metrics import Change, change, record
from pipelines.telemetry.progress import DRAINING, ENDED, Progress, Publisher
from pipelines.telemetry.traces import RunTrace, add_span

__all__ = ["Observer"]

_BEAT = 1.0
_LAST_WORD = 10.0  # seconds that the last progress may take on a store that hangs
_FILMS = 50  # in the progress file


class Observer:
    """Gets what a run's driver learns; a context, as long as the run.

    Args:
        plan: what is to be done.
        settings: all settings.
        store: the output store.
        lease: of the output.
        stop: asks the run to end.

    Attributes:
        trace: of the run.
    """

    def __init__(self, plan: Plan, settings: Settings, store: Store, lease: Lease, stop: Stop) -> None:
        self._plan, self._settings, self._lease, self._stop = plan, settings, lease, stop
        self._progress = Progress(run_id=lease.run_id, planned=len(plan.pending), started_at=time.time())
        self._publisher = Publisher(store, self._current)
        self.trace = RunTrace(plan.began or time.time(), run_id=lease.run_id)
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._left = self._stop_logged = False
        self._thread = threading.Thread(target=self._live, name="observer", daemon=True)

    def __enter__(self) -> Observer:
        settings, plan = self._settings, self._plan
        logs.configure(settings.log_format, settings.log_level)
        self._event("run planned", pending=len(plan.pending), already_done=plan.done, refused=len(plan.final_rows))
        self._event(
            "run started",
            source=redact_url(settings.source),
            output=redact_url(settings.output),
            preset=settings.preset,
        )
        if plan.began:
            counts = {"pending": len(plan.pending), "already_done": plan.done}
            add_span("plan", self.trace.traceparent, plan.began, plan.ended, {"run_id": self._lease.run_id, **counts})
        if plan.pending:
            record(
                [
                    change("faitharchive_run_active", 1),
                    change("faitharchive_run_started_timestamp_seconds", self._progress.started_at),
                    self._pending(),
                ]
            )
            self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._log_stop()
        if self._plan.pending:
            self._left = True
            self._wake.set()
            self._thread.join(_LAST_WORD)
            record([change("faitharchive_run_active", 0), change("faitharchive_items_pending", 0)])
        counts = {"restored": self._progress.restored, "failed": self._progress.failed}
        left = self._progress.planned - self._progress.done
        self.trace.end(**counts, left=left, stopped=self._stop.reason or None)
        if error is None:
            self._event("run ended", **counts, left=left, stopped=self._stop.reason or None)
        else:
            level = logging.ERROR
            self._event("run failed", level, **counts, left=left, reason=f"{type(error).__name__}: {error}")

    def replicas(self, count: int) -> None:
        """How many replicas there may be; 0 grows with the cluster."""
        self._progress.replicas = count

    def part(self, row: Row) -> None:
        """A part became durable."""
        with self._lock:
            self._progress.parts += 1
            self._progress.last_done_at = time.time()
            if row["media_kind"] == "film":
                before = self._progress.films.get(row["source_path"], (0, 0))[0]
                self._progress.films[row["source_path"]] = before + 1, row["parts"]
        record([change("faitharchive_parts", 1, media_kind=row["media_kind"] or "photo")])
        self._event("part durable", **_about(row), part=row["part"], parts=row["parts"])

    def refused(self, row: Row) -> None:
        """An item failed while it was planned."""
        record(_final(row))
        self._event("item failed", logging.WARNING, **_about(row), **_failure(row))

    def row(self, row: Row) -> None:
        """An item became final."""
        with self._lock:
            self._progress.last_done_at = time.time()
            self._progress.restored += row["status"] == RESTORED
            self._progress.failed += row["status"] == FAILED
            self._progress.films.pop(row["source_path"], None)
        record([*_final(row), self._pending()])
        if row["status"] == FAILED:
            self._event("item failed", logging.WARNING, **_about(row), **_failure(row))
        else:
            self._event("item restored", **_about(row), output_path=row["output_path"], seconds=row["seconds_restore"])

    def _pending(self) -> Change:
        return change("faitharchive_items_pending", self._progress.planned - self._progress.done)

    def _current(self) -> Progress:
        with self._lock:
            now = copy.copy(self._progress)
            now.films = dict(list(now.films.items())[:_FILMS])
        now.stopping = self._stop.reason
        now.state = ENDED if self._left else DRAINING if now.stopping else now.state
        return now

    def _live(self) -> None:
        """The observer's own thread. It looks for a stop: whoever asks for one may be a signal handler, which must not log."""
        while not self._left:
            self._publisher.beat()
            self._wake.wait(_BEAT)
            self._wake.clear()
            if self._stop.requested and not self._stop_logged:
                self._log_stop()
                self._publisher.publish()
        self._publisher.publish()

    def _log_stop(self) -> None:
        if not self._stop.requested or self._stop_logged:
            return
        self._stop_logged = True
        if self._lease.lost:
            self._event("lease lost", logging.ERROR, reason=self._stop.reason)
        self._event("stop requested", logging.WARNING, reason=self._stop.reason, signal=self._stop.signal or None)

    def _event(self, message: str, level: int = logging.INFO, /, **about: object) -> None:
        logs.event(level, message, **{"run_id": self._lease.run_id, **about})


def _about(row: Row) -> dict[str, object]:
    return {"item_id": row["item_id"], "source_path": row["source_path"]}


def _failure(row: Row) -> dict[str, object]:
    return {"stage": row["error_stage"], "error_code": row["error_code"], "reason": row["error_reason"]}


def _final(row: Row) -> list[Change]:
    """What a final row adds to the counters."""
    kind = row["media_kind"] or "photo"
    changes = [change("faitharchive_items", 1, status=row["status"], media_kind=kind)]
    if row["status"] == FAILED:
        return [*changes, change("faitharchive_failures", 1, stage=row["error_stage"], code=row["error_code"])]
    pixels = (row["output_width"] or 0) * (row["output_height"] or 0)
    frames = (row["frames"] or 1) if kind == "film" else 1  # of a photograph's file the first image alone is restored
    return [
        *changes,
        change("faitharchive_source_bytes", row["source_size"] or 0, media_kind=kind),
        change("faitharchive_output_bytes", row["output_size"] or 0, media_kind=kind),
        change("faitharchive_output_megapixels", pixels * frames / 1e6, media_kind=kind),
    ]
