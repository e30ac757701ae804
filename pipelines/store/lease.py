"""One run at a time on an output store: a lease with owner and expiry, kept in the store itself.

Leases are numbered files under `_faitharchive/lease/`; the highest number holds. Taking one means creating the next number,
which every store lets exactly one contender do. Only its owner rewrites a lease, to renew it. So whoever was silent for too
long, or was robbed, finds a higher number and knows that the store is no longer its own.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

from faithdiff_model.redaction import redact_url
from pipelines.store.layout import LEASES, lease_path
from pipelines.store.lease_answers import Answer, NodeAnswers
from pipelines.store.lease_files import (
    DRAINING,
    HELD,
    RELEASED,
    LeasePlace,
    LeaseRecord,
    newest_lease,
    process_mark,
    prune,
    refusal,
)
from pipelines.store.store import Store, StoreError

__all__ = ["DRAINING", "HELD", "LOST", "RELEASED", "Fence", "Lease", "LeaseError", "hold_lease"]

LOST = "lost"  # not written anywhere: what an owner finds
_WHOLE = LeasePlace()
_BEATS = 6  # renewals in the time that a silent owner keeps its lease

logger = logging.getLogger(__name__)


class LeaseError(StoreError):
    """Another run holds the output; the message says which, since when and what to do."""


class Lease:
    """A lease that is held, and renewed by a thread until it is released.

    Args:
        store: the output store.
        number: of the lease file.
        record: its content.
        seconds: how long it holds without renewal.
        place: what it is of.
    """

    def __init__(
        self, store: Store, number: int, record: LeaseRecord, seconds: float, place: LeasePlace = _WHOLE
    ) -> None:
        self._place = place
        self._beat = seconds / _BEATS
        # A renewal that hangs on a failing store must not outlast the lease.
        self._store = Store(store.url, self._beat)
        self._seconds = seconds
        self._record = record
        self._wake = threading.Event()
        self._ended = False
        self._on_lost: Callable[[], None] | None = None
        self.number = number
        self.lost = False
        self._thread = threading.Thread(target=self._renew, name="lease", daemon=True)
        self._thread.start()

    @property
    def run_id(self) -> str:
        return self._record.run_id

    def fence(self) -> Fence:
        """What workers ask whether they may go on."""
        return Fence(self._store.url, self.number, self._seconds, self._record.run_id, self._place)

    def when_lost(self, call: Callable[[], None]) -> None:
        """Have `call` called, from the lease's thread, once the lease is lost."""
        self._on_lost = call

    def drain(self) -> None:
        """Tell all workers, through the store, to begin nothing new. Returns at once; safe in a signal handler."""
        self._record = replace(self._record, state=DRAINING)
        self._wake.set()

    def release(self) -> None:
        """Give the output back."""
        self._ended = True
        self._wake.set()
        self._thread.join()
        self._publish(RELEASED)  # also a lost one: whoever took it may wait for our word

    def check(self, again: str, store: Store | None = None) -> None:
        """Refuse to go on once the lease is lost.

        Args:
            again: says what to do after the other run.
            store: the output store, to be looked at now: the lease's own thread looks only now and then.

        Raises:
            LeaseError: another run has taken the output over.
        """
        if self.lost or (store is not None and self._place.taken_over(store, self.number)):
            raise LeaseError(
                f"output {redact_url(self._store.url)}: another run took it over meanwhile; {again} after it"
            )

    def _renew(self) -> None:
        while True:
            self._wake.wait(self._beat)
            self._wake.clear()
            if self._ended:
                return
            try:
                if self._place.taken_over(self._store, self.number):
                    self._lose()
                    return
                self._publish(self._record.state)
            except Exception as error:  # whatever the store does: the lease runs on for a while
                logger.warning("lease of %s could not be renewed: %s", self._record.run_id, error)
                if time.time() > self._record.expires_at:
                    self._lose()
                    return

    def _publish(self, state: str) -> None:
        record = replace(self._record, state=state, expires_at=time.time() + self._seconds)
        self._store.publish(lease_path(self.number, self._place.folder), record.dumps())
        self._record = replace(self._record, expires_at=record.expires_at)

    def _lose(self) -> None:
        self.lost = True
        if self._on_lost:
            self._on_lost()


class Fence:
    """A worker's view of a lease: cheap to ask, at most one look at the store in every few seconds, by one process a machine.

    Processes that take over another's answer look again when that answer is old, not when they took it: nobody knows less than
    if each asked by itself.

    Args:
        url: of the output store.
        number: of the lease.
        seconds: how long it holds without renewal.
        owner: the run that holds it.
        place: what it is of.
    """

    def __init__(self, url: str, number: int, seconds: float, owner: str = "", place: LeasePlace = _WHOLE) -> None:
        self._arguments = (url, number, seconds, owner, place)
        self._place = place
        self._store = Store(url, seconds / _BEATS)
        self._answers = NodeAnswers(url, number, owner)
        self._number = number
        self._seconds = seconds
        self._state = HELD
        self._looked = self._sure = time.monotonic()
        self._lock = threading.Lock()

    def __reduce__(self) -> tuple[type[Fence], tuple[str, int, float, str, LeasePlace]]:
        return Fence, self._arguments

    def state(self) -> str:
        """`HELD`: go on. `DRAINING`: begin nothing new. `LOST`: write nothing more."""
        with self._lock:
            if self._state != LOST and time.monotonic() - self._looked > self._seconds / _BEATS:
                self._looked = self._ask()
            return self._state

    def _ask(self) -> float:
        """Take the answer of another process of this machine where it is fresh, or about to be; else ask the store for all.

        Returns:
            When the store was asked.
        """
        beat, known = self._seconds / _BEATS, self._answers.read()
        if known is not None and time.monotonic() - known.asked <= beat:
            return self._take_over(known)
        with self._answers.alone() as first:
            if not first and known is not None and time.monotonic() - known.asked <= 2 * beat:
                return self._take_over(known)
            asked = time.monotonic()
            self._look()
            if first:
                self._answers.write(Answer(self._state, asked, min(self._sure, asked)))
                if known is None:
                    self._answers.tidy()
            return asked

    def _take_over(self, known: Answer) -> float:
        self._sure = max(self._sure, known.sure)
        if time.monotonic() - self._sure > self._seconds:
            self._state = LOST
        elif known.state != HELD:
            self._state = known.state
        return known.asked

    def _look(self) -> None:
        try:
            if self._place.taken_over(self._store, self._number):
                self._state = LOST
                return
            record = LeaseRecord.loads(self._store.read(lease_path(self._number, self._place.folder)))
        except Exception:  # a store that does not answer: what was known holds for as long as the lease
            if time.monotonic() - self._sure > self._seconds:
                self._state = LOST
            return
        self._sure = time.monotonic()
        if record is not None and record.state != HELD:
            self._state = LOST if record.state == RELEASED else DRAINING


@contextmanager
def hold_lease(
    store: Store, *, run_id: str, seconds: float, steal: bool = False, place: LeasePlace = _WHOLE
) -> Iterator[Lease]:
    """Hold an output store, or a part of its work, for the length of a block.

    Args:
        store: the output store.
        run_id: who holds it.
        seconds: how long the lease holds if we fall silent.
        steal: take it from a run that is at work, which then stops; waits for its word, but not for ever.
        place: what the lease is of.

    Raises:
        LeaseError: another run holds it.
        StoreError: the store cannot be written.
    """
    lease = _take(store, run_id, seconds, steal, place)
    try:
        yield lease
    finally:
        try:
            lease.release()
        except Exception as error:  # what was done is done; the lease runs out by itself
            logger.warning("lease of %s could not be released: %s", run_id, error)


def _take(store: Store, run_id: str, seconds: float, steal: bool, place: LeasePlace) -> Lease:
    for _ in range(10):  # each loss of a race means that another run has just begun
        number, holder = newest_lease(store, place.folder)
        blocked = holder is not None and holder.blocks()
        if blocked and not steal:
            assert holder is not None
            raise LeaseError(refusal(store, holder))
        now = time.time()
        record = LeaseRecord(
            run_id=run_id,
            host=socket.gethostname(),
            process=os.getpid(),
            process_mark=process_mark(os.getpid()),
            taken_at=now,
            expires_at=now + seconds,
            state=HELD,
        )
        try:
            created = store.create(lease_path(number + 1, place.folder), record.dumps())
        except OSError as error:
            raise StoreError(
                f"output {redact_url(store.url)}: cannot be written ({error.strerror or type(error).__name__}); check the "
                "path, space and permissions"
            ) from error
        if created:
            lease = Lease(store, number + 1, record, seconds, place)
            prune(store, number + 1, place.folder)
            if blocked:
                _await_release(store, number, seconds)
            return lease
    raise LeaseError(f"output {redact_url(store.url)}: other runs keep taking it; look at {store.uri(LEASES)}")


def _await_release(store: Store, number: int, seconds: float) -> None:
    """Wait until the robbed run has stopped, or has had the time to notice that it must."""
    until = time.monotonic() + 3 * seconds / _BEATS
    while time.monotonic() < until:
        record = LeaseRecord.loads(store.read(lease_path(number)))
        if record is None or not record.blocks():
            return
        time.sleep(min(0.5, seconds / _BEATS))
