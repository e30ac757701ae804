"""How far a run is, as a small file in the output store: `faitharchive status` shows it on any machine that can read the store.

It is a sign of life and nothing else: what is done is said by sidecars and manifest, whatever this file says.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import PurePosixPath

from pipelines.store.layout import PROGRESS, progress_path, whole_run
from pipelines.store.store import Store
from pipelines.telemetry import logs

__all__ = ["DRAINING", "ENDED", "SECONDS", "Progress", "Publisher", "read_progress", "run_ids"]

SECONDS = 10.0  # between two signs of life
RUNNING, DRAINING, ENDED = "running", "draining", "ended"
_KEPT = 20  # runs whose files stay, as leases do; of a run in shards all
_PATIENCE = 3.0  # seconds for which a failing store is tried: the next sign of life comes soon


@dataclass(kw_only=True)
class Progress:
    """What the file says. Times are seconds since 1970.

    Attributes:
        run_id: the run.
        state: running, draining (finishing what it has begun) or ended.
        stopping: why it ends early; empty if it does not.
        started_at, written_at: of the restoration, after planning; and of this file.
        last_done_at: when the last item or part was done; 0 if none was.
        planned, restored, failed, parts: items, and parts that became durable.
        replicas: of the model, at most; 0 if they grow with the cluster.
        films: those with parts, by path: how many are durable, and of how many.
    """

    run_id: str
    state: str = RUNNING
    stopping: str = ""
    started_at: float = 0.0
    written_at: float = 0.0
    last_done_at: float = 0.0
    planned: int = 0
    restored: int = 0
    failed: int = 0
    parts: int = 0
    replicas: int = 0
    films: dict[str, tuple[int, int]] = field(default_factory=dict)

    @property
    def done(self) -> int:
        """Items that are final."""
        return self.restored + self.failed

    def dumps(self) -> bytes:
        return (json.dumps(asdict(self), indent=1, ensure_ascii=False) + "\n").encode("utf-8", "backslashreplace")

    @classmethod
    def loads(cls, data: bytes) -> Progress | None:
        """The progress, or None if the bytes are none, or another version's."""
        try:
            return cls(**json.loads(data))
        except (ValueError, TypeError):
            return None


def read_progress(store: Store, run_id: str) -> Progress | None:
    """A run's progress; None if it has published none yet, or its file is gone."""
    try:
        return Progress.loads(store.read(progress_path(run_id)))
    except FileNotFoundError:
        return None


def run_ids(store: Store) -> list[str]:
    """Runs whose progress is kept, oldest first."""
    return sorted(PurePosixPath(entry.path).stem for entry in store.list(PROGRESS))


class Publisher:
    """Writes the file, at most every ten seconds; a store that fails costs a sign of life and nothing more.

    Args:
        store: the output store.
        read: gives the progress as it is.
    """

    def __init__(self, store: Store, read: Callable[[], Progress]) -> None:
        self._store, self._read = Store(store.url, _PATIENCE), read
        self._next = 0.0

    def beat(self) -> None:
        """Publish if it is time."""
        if time.monotonic() >= self._next:
            self.publish()
            self._next = time.monotonic() + SECONDS

    def publish(self) -> None:
        """Publish now, and tidy up the first time."""
        progress = self._read()
        progress.written_at = time.time()
        self._safely(lambda: self._store.publish(progress_path(progress.run_id), progress.dumps()))
        if not self._next:
            self._safely(self._prune)

    def _prune(self) -> None:
        known = run_ids(self._store)
        kept = sorted({whole_run(run_id) for run_id in known})[-_KEPT:]
        for old in known:
            if whole_run(old) not in kept:
                self._store.remove(progress_path(old))

    def _safely(self, call: Callable[[], object]) -> None:
        try:
            call()
        except Exception as error:  # stores raise what they like, and nobody's night ends for want of a progress file
            logs.event(logging.DEBUG, "progress not published", reason=f"{type(error).__name__}: {error}")
