"""Ending a run before its end: a signal, a lost lease or a full store asks; what is in flight may finish, for a while."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
BUDGET = "the time budget"  # how the reason of an end that was asked for begins


class DrainTimeout(BaseException):
    """What was in flight did not finish in time, or a second signal came: leave it. Not an `Exception`, as nobody handles it
    on the way."""


class Stop:
    """Whether and why a run is to end early.

    Attributes:
        reason: one line for people; empty while the run goes on.
        signal: number of the signal that asked, 0 if none did.
    """

    def __init__(self) -> None:
        self.reason = ""
        self.signal = 0
        self._calls: list[Callable[[], None]] = []

    @property
    def requested(self) -> bool:
        return bool(self.reason)

    def when_requested(self, call: Callable[[], None]) -> None:
        """Have `call` called at the first request; it may be called from a signal handler, so it must return at once."""
        self._calls.append(call)

    def request(self, reason: str, number: int = 0) -> None:
        """Ask the run to end. Only the first reason counts."""
        if self.reason:
            return
        self.reason, self.signal = reason, number
        for call in self._calls:
            call()


@contextmanager
def handle_signals(stop: Stop, grace: float) -> Iterator[None]:
    """Turn SIGINT and SIGTERM into requests to stop, for the length of a block.

    Outside the main thread, where Python lets nobody listen, signals keep their meaning.

    Args:
        stop: gets the request.
        grace: seconds after a request until the block is left by `DrainTimeout`, at a second signal at once.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def asked(number: int, frame: FrameType | None) -> None:
        if stop.requested:
            raise DrainTimeout
        stop.request(f"interrupted by {signal.Signals(number).name}", number)

    def over(number: int, frame: FrameType | None) -> None:
        raise DrainTimeout

    before = {number: signal.signal(number, asked) for number in _SIGNALS}
    before_alarm = signal.signal(signal.SIGALRM, over)
    # setitimer works from any thread's call; the handler always runs in the main thread.
    stop.when_requested(lambda: signal.setitimer(signal.ITIMER_REAL, max(grace, 0.001)) and None)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before_alarm)
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def time_budget(stop: Stop, hours: float) -> Iterator[None]:
    """Request the stop once a block has taken its time.

    Args:
        stop: gets the request.
        hours: of the block; 0 is no limit.
    """
    timer = threading.Timer(hours * 3600, stop.request, (f"{BUDGET} of {hours:g} hours is spent",))
    timer.daemon = True
    if hours:
        timer.start()
    try:
        yield
    finally:
        timer.cancel()
